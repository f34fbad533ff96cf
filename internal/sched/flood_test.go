package sched

import (
	"fmt"
	"testing"
)

// newFlood is a scheduler with 300 requests of one client that has taken all slots,
// after so many steps.
func newFlood(t *testing.T, steps int) *session {
	t.Helper()
	s := &session{t: t}
	s.do([]string{"config", "maxseqs=8", "maxqueue=400", "blocks=256", "context=200", "alone=64", "beside=8"})
	for i := range 300 {
		s.do([]string{"add", fmt.Sprint("flood", i), fmt.Sprint("prompt=", 5+i%60), fmt.Sprint("max=", 20+i%40), "client=flood"})
	}
	for range steps {
		s.plan = s.s.Schedule(s.budget)
		s.update(s.plan)
	}
	return s
}

// startsAfter is the number of steps until a sequence runs, the first of them
// included.
func (s *session) startsAfter(name string) int {
	for n := 1; ; n++ {
		s.plan = s.s.Schedule(s.budget)
		running := s.seqs[name].admitted
		s.update(s.plan)
		if running {
			return n
		}
	}
}

// A flood of 300 requests from one client delays another one's request by at most 3
// steps, whenever it comes; and all requests of the flood end.
func TestFloodOfOneClient(t *testing.T) {
	alone := &session{t: t}
	alone.do([]string{"config", "maxseqs=8", "maxqueue=400", "blocks=256", "context=200", "alone=64", "beside=8"})
	alone.do([]string{"add", "x", "prompt=40", "max=5", "client=other"})
	least := alone.startsAfter("x")
	for _, steps := range []int{0, 1, 5, 20, 60, 150} {
		s := newFlood(t, steps)
		for i := range 40 { // one after the other, each at once after the one before
			name := fmt.Sprint("x", i)
			s.do([]string{"add", name, "prompt=40", "max=5", "client=other"})
			if late := s.startsAfter(name) - least; late > 3 {
				t.Errorf("after %d steps, request %d starts %d steps later than alone", steps, i, late)
			}
			for s.seqs[name].Reason() == Running {
				s.plan = s.s.Schedule(s.budget)
				s.update(s.plan)
			}
		}
		s.run()
		for name, seq := range s.seqs {
			if seq.Reason() != Length {
				t.Errorf("%s ended with %v", name, seq.Reason())
			}
		}
	}
}

// One client who comes again and again takes nothing but a share from the flood: the
// flood's requests go on meanwhile, all of them end, and preemptions stay rare.
func TestFloodIsNotStarved(t *testing.T) {
	s := newFlood(t, 10)
	done := func() (n int) {
		for _, seq := range s.seqs {
			if seq.Reason() != Running {
				n++
			}
		}
		return n
	}
	for i := 0; done() < 300+i; i++ {
		if i == 5000 {
			t.Fatalf("%d of 300 requests have ended while another client sent %d", done()-i, i)
		}
		name := fmt.Sprint("x", i)
		s.do([]string{"add", name, "prompt=6", "max=3", "client=other"})
		for s.seqs[name].Reason() == Running {
			s.plan = s.s.Schedule(s.budget)
			s.update(s.plan)
		}
	}
	if n := s.s.Counters().Preemptions; n > uint64(len(s.seqs)) {
		t.Errorf("%d preemptions for %d requests", n, len(s.seqs))
	}
}
