package nn

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestSpansHandOutEveryUnitOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 7} {
		for _, n := range []int{0, 1, 2, 5, 64, 1001} {
			for _, chunk := range []int{0, 1, 4, 5000} {
				s := newSpans(workers)
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
	s := newSpans(2)
	s.even(10, 2)
	got := 0
	for lo, hi, ok := s.next(0); ok; lo, hi, ok = s.next(0) {
		got += hi - lo
	}
	if got != 10 {
		t.Errorf("worker 0 alone did %d of 10 units", got)
	}
}
