package nn

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// onNodes are seats for so many workers on each node.
func onNodes(workers ...int) (seats []cpu.Seat) {
	for node, n := range workers {
		for range n {
			seats = append(seats, cpu.Seat{Node: node})
		}
	}
	return seats
}

func TestSpansHandOutEveryUnitOnce(t *testing.T) {
	for _, seats := range [][]cpu.Seat{onNodes(1), onNodes(2), onNodes(3), onNodes(7), onNodes(1, 1), onNodes(3, 4), onNodes(2, 1, 2)} {
		workers := len(seats)
		for _, n := range []int{0, 1, 2, 5, 64, 1001} {
			for _, chunk := range []int{0, 1, 4, 5000} {
				s := newSpans(&Pool{workers: workers, seats: seats})
				s.even(n, chunk)
				seen := make([]atomic.Int32, n)
				var wg sync.WaitGroup
				for w := range workers {
					wg.Go(func() {
						for lo, hi, ok := s.next(w); ok; lo, hi, ok = s.next(w) {
							for i := lo; i < hi; i++ {
								seen[i].Add(1)
							}
						}
					})
				}
				wg.Wait()
				for i := range seen {
					if c := seen[i].Load(); c != 1 {
						t.Fatalf("%d workers, %d units, chunk %d: unit %d was handed out %d times", workers, n, chunk, i, c)
					}
				}
			}
		}
	}
}

func TestAWorkerFinishesForAnother(t *testing.T) {
	s := newSpans(&Pool{workers: 2, seats: onNodes(1, 1)})
	s.even(10, 2)
	got := 0
	for lo, hi, ok := s.next(0); ok; lo, hi, ok = s.next(0) {
		got += hi - lo
	}
	if got != 10 {
		t.Errorf("worker 0 alone did %d of 10 units", got)
	}
}

// TestHelpBeginsAtHome: a worker without work takes its neighbours' first, and that of other nodes only where it may.
func TestHelpBeginsAtHome(t *testing.T) {
	for _, near := range []bool{false, true} {
		s := newSpans(&Pool{workers: 6, seats: onNodes(2, 2, 2)})
		s.even(60, 1)
		s.near = near
		var order []int
		for lo, _, ok := s.next(3); ok; lo, _, ok = s.next(3) {
			if owner := lo / 10; len(order) == 0 || order[len(order)-1] != owner {
				order = append(order, owner)
			}
		}
		want := []int{3, 2, 4, 5, 0, 1}
		if near {
			want = want[:2]
		}
		if !slices.Equal(order, want) {
			t.Errorf("near %v: worker 3 works for %v, want %v", near, order, want)
		}
	}
}
