package nn

import (
	"runtime"
	"sync"
	"testing"
)

// Leases do not overlap, go round among those who want one, and cost nothing to
// remember.
func TestPoolLease(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	const holders, rounds = 4, 500
	var count [holders]int // of leases
	var all sync.WaitGroup
	held, ahead := 0, 0
	p.Lease() // until all of them wait
	for h := range holders {
		all.Go(func() {
			for range rounds {
				p.Lease()
				held++
				p.Run(&tally{})
				if held != 1 {
					t.Error("two hold a lease")
				}
				held--
				count[h]++
				least := rounds
				for _, n := range count {
					least = min(least, n)
				}
				ahead = max(ahead, count[h]-least)
				p.Release()
			}
		})
	}
	for p.leases.Load() <= holders {
		runtime.Gosched()
	}
	p.Release()
	all.Wait()
	if ahead > rounds/10 {
		t.Errorf("one had %d leases more than another", ahead)
	}
	if n := testing.AllocsPerRun(100, func() { p.Lease(); p.Release() }); n != 0 {
		t.Errorf("a lease allocates %v times", n)
	}
}
