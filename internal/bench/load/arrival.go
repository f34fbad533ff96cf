package load

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// arrivals yields the times at which an open loop's conversations are due, counted from the start of the run.
func arrivals(p Traffic) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		gap := gaps(p)
		var at float64 // seconds
		for n := 0; p.Requests <= 0 || n < p.Requests; n++ {
			due := time.Duration(at * float64(time.Second))
			if p.Duration > 0 && due >= p.Duration || !yield(due) {
				return
			}
			at += gap() / p.rateAt(n, due)
		}
	}
}

// gaps returns a source of gaps with mean 1.
func gaps(p Traffic) func() float64 {
	if p.Burstiness == 0 {
		return func() float64 { return 1 }
	}
	g := distuv.Gamma{Alpha: p.Burstiness, Beta: p.Burstiness, Src: rand.NewPCG(p.Seed, 0x6a09e667)}
	return g.Rand
}

// rateAt is the rate at a time of the run, after n arrivals.
func (p Traffic) rateAt(n int, at time.Duration) float64 {
	if p.RampTo == 0 {
		return p.Rate
	}
	var through float64
	if p.Duration > 0 {
		through = float64(at) / float64(p.Duration)
	} else {
		through = float64(n) / float64(p.Requests)
	}
	return p.Rate + (p.RampTo-p.Rate)*min(through, 1)
}

func sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func sortByStart(s []Sample) {
	slices.SortStableFunc(s, func(a, b Sample) int { return cmp.Compare(a.Start, b.Start) })
}

// Pause waits for d, or until ctx ends, which is an error.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("interrupted: %w", ctx.Err())
	case <-t.C:
		return nil
	}
}
