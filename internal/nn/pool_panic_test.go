package nn

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bomb panics on the workers of a bit set; the others do their part.
type bomb struct {
	pool   *Pool
	on     uint
	value  any
	wait   bool // the others wait for what never comes
	parts  atomic.Int64
	inside atomic.Int64
}

func (j *bomb) Do(worker, _ int) {
	j.inside.Add(1)
	defer j.inside.Add(-1)
	if j.on>>worker&1 == 1 {
		panic(j.value)
	}
	for j.wait && !j.pool.Failed() {
		runtime.Gosched()
	}
	time.Sleep(50 * time.Microsecond)
	j.parts.Add(1)
}

// caught runs a function and returns what it panics with.
func caught(run func()) (value any) {
	defer func() { value = recover() }()
	run()
	return nil
}

// A panic of any worker ends on the caller's goroutine, nobody is left in the
// job, and the pool works as before.
func TestPoolSurvivesPanics(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	cause := errors.New("division of labour by zero")
	for round := range 60 {
		on := uint(round%7 + 1)
		if round%5 == 0 {
			time.Sleep(3 * time.Millisecond) // the helpers fall asleep
		}
		j := &bomb{pool: p, on: on, value: cause, wait: round%2 == 0}
		v := caught(func() { p.Run(j) })
		if j.inside.Load() != 0 {
			t.Fatalf("round %d: somebody is still in the job", round)
		}
		var helper *WorkerPanic
		switch err, _ := v.(error); {
		case on&1 == 1:
			if v != cause {
				t.Fatalf("round %d: the caller's own panic came as %v", round, v)
			}
		case !errors.As(err, &helper) || !errors.Is(err, cause):
			t.Fatalf("round %d: %v", round, v)
		case on>>helper.Worker&1 != 1 || !strings.Contains(string(helper.Stack), "bomb).Do"):
			t.Fatalf("round %d: worker %d, stack %s", round, helper.Worker, helper.Stack)
		}
		if p.Failed() {
			t.Fatal("the failure outlives its job")
		}
		good := &tally{}
		p.Run(good)
		for w := range 3 {
			if good.calls[w].Load() != 1 {
				t.Fatalf("round %d: worker %d does not work any more", round, w)
			}
		}
	}
}

// The same for shared jobs, which helpers may miss.
func TestSharedJobsSurvivePanics(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for round := range 200 {
		j := &bomb{pool: p, on: uint(round % 8), value: "no"}
		v := caught(func() { p.Share(j) })
		if j.inside.Load() != 0 {
			t.Fatalf("round %d: somebody is still in the job", round)
		}
		if j.on&1 == 1 && v != "no" || j.on == 0 && v != nil {
			t.Fatalf("round %d: %v", round, v)
		}
		if v := caught(func() { p.Run(&tally{}) }); v != nil {
			t.Fatalf("round %d: afterwards: %v", round, v)
		}
	}
}

// A panic of one worker alone is a panic as it is.
func TestPanicWithoutHelpers(t *testing.T) {
	p := NewPool(1)
	defer p.Close()
	if v := caught(func() { p.Run(&bomb{pool: p, on: 1, value: "alone"}) }); v != "alone" {
		t.Errorf("got %v", v)
	}
	p.Run(&tally{})
}

// A job started inside another is refused; the outer one and the pool survive.
type nested struct{ pool *Pool }

func (j nested) Do(worker, _ int) {
	if worker == 0 {
		j.pool.Run(&tally{})
	}
}

func TestNestedJobIsRefused(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	if v, _ := caught(func() { p.Run(nested{p}) }).(string); !strings.Contains(v, "another is running") {
		t.Errorf("got %q", v)
	}
	p.Run(&tally{})
}
