package loadtest

import (
	"math"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// closedRun is a closed loop of clients whose requests take a second each and have ten tokens; the last one takes as long as is
// said.
func closedRun(clients, each int, last time.Duration) *load.Result {
	r := &load.Result{}
	for i := range each {
		for range clients {
			r.Samples = append(r.Samples, load.Sample{Start: time.Duration(i) * time.Second, End: time.Second, Completion: 10, Counted: true})
		}
	}
	r.Samples[len(r.Samples)-1].End = last
	for _, s := range r.Samples {
		r.Elapsed = max(r.Elapsed, s.Start+s.End)
	}
	return r
}

// Eight clients are done with ten requests each after ten seconds, but for one of 40 s at the end: over the whole run that is
// 16 tokens/s, and the server did 80.
func TestSteadyIgnoresTheDrain(t *testing.T) {
	r := closedRun(8, 10, 40*time.Second)
	sum, err := Summarise(r, nil)
	if err != nil || math.Abs(sum.TokensPerSecond-800.0/49) > 1e-9 {
		t.Fatalf("%+v %v", sum, err)
	}
	if s := steady(r, false); s.From != 1 || s.To != 9 || math.Abs(s.TokensPerSecond-80) > 1e-9 || math.Abs(s.RequestsPerSecond-8) > 1e-9 {
		t.Errorf("%+v", s)
	}
	for i := range r.Samples { // streamed: ten pieces, a tenth of a second apart
		s := &r.Samples[i]
		for k := range 10 {
			s.Events = append(s.Events, s.End*time.Duration(k+1)/10)
		}
	}
	if s := steady(r, false); math.Abs(s.TokensPerSecond-80) > 1e-9 {
		t.Errorf("streamed: %+v", s)
	}
}

// A straggler at the level with the most throughput moved the knee to a lighter one.
func TestKneeIgnoresTheDrain(t *testing.T) {
	s := &Sweep{}
	for _, c := range []struct {
		clients int
		last    time.Duration
	}{{1, time.Second}, {2, time.Second}, {4, time.Second}, {8, 40 * time.Second}} {
		r := closedRun(c.clients, 10, c.last)
		sum, err := Summarise(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Points = append(s.Points, SweepPoint{Load: float64(c.clients), Steady: steady(r, false), Summary: *sum})
	}
	if k := s.knee(); k != 8 {
		t.Errorf("knee at %v, want 8: latency is the same at all levels, throughput doubles with each", k)
	}
}

// Twenty requests a second arrive at a server that does ten: while they arrive, ten a second are completed, however long the rest
// takes afterwards. A server that keeps up completes as many as arrive.
func TestSteadyOfAnOpenLoop(t *testing.T) {
	for served, want := range map[float64]float64{10: 10, 1000: 20} {
		r := &load.Result{}
		free := 0.0
		for i := range 200 {
			at := float64(i) / 20
			free = max(free, at) + 1/served
			r.Samples = append(r.Samples, load.Sample{Start: seconds(at), End: seconds(free - at), Completion: 5})
			r.Elapsed = max(r.Elapsed, seconds(free))
		}
		if s := steady(r, true); math.Abs(s.RequestsPerSecond/want-1) > 0.02 || math.Abs(s.TokensPerSecond/(5*want)-1) > 0.02 {
			t.Errorf("a server of %v requests/s: %+v, want %v requests/s", served, s, want)
		}
	}
}

func seconds(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }

// All requests are sent at once, or all but one fail: there is no steady part, and the whole run counts.
func TestWithoutSteadyPart(t *testing.T) {
	if s := steady(closedRun(8, 1, time.Second), false); s.From != 0 || s.To != 1 || math.Abs(s.TokensPerSecond-80) > 1e-9 {
		t.Errorf("%+v", s)
	}
	r := closedRun(1, 3, time.Second)
	for i := range r.Samples {
		r.Samples[i].Err = "broken"
	}
	if s := steady(r, false); s.TokensPerSecond != 0 || s.RequestsPerSecond != 0 {
		t.Errorf("%+v", s)
	}
	if s := steady(&load.Result{}, false); s != (Steady{}) {
		t.Errorf("%+v", s)
	}
}
