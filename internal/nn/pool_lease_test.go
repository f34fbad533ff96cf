package nn

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/penstock-llm/penstock/internal/alloctest"
)

// Leases do not overlap, and cost nothing to remember.
func TestPoolLease(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	const holders, rounds = 4, 500
	var all sync.WaitGroup
	held := 0
	p.Lease() // until all of them wait
	for range holders {
		all.Go(func() {
			for range rounds {
				p.Lease()
				held++
				p.Run(&tally{})
				if held != 1 {
					t.Error("two hold a lease")
				}
				held--
				p.Release()
			}
		})
	}
	for p.leases.Load() <= holders {
		runtime.Gosched()
	}
	p.Release()
	all.Wait()
	if n := alloctest.PerRun(100, func() { p.Lease(); p.Release() }); n != 0 {
		t.Errorf("a lease allocates %v times", n)
	}
}

// Leases go round among those who want one, in the order in which they came.
func TestPoolLeaseGoesRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1)
		defer p.Close()
		const holders, rounds = 4, 50
		var order []int
		var all sync.WaitGroup
		p.Lease() // until all of them wait
		for h := range holders {
			all.Go(func() {
				for range rounds {
					p.Lease()
					order = append(order, h)
					synctest.Wait() // until all others wait for their turn, or are done
					p.Release()
				}
			})
			synctest.Wait()
		}
		p.Release()
		all.Wait()
		for i, h := range order {
			if h != i%holders {
				t.Fatalf("lease %d went to %d: %v", i, h, order)
			}
		}
	})
}
