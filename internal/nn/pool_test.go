package nn

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// tally counts how often each worker was called.
type tally struct {
	calls [8]atomic.Int64
	nap   time.Duration
}

func (j *tally) Do(worker, workers int) {
	j.calls[worker].Add(1)
	if j.nap > 0 && worker == workers-1 {
		time.Sleep(j.nap)
	}
}

func TestPoolRunsEveryWorkerOncePerJob(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 8} {
		p := NewPool(workers)
		j := &tally{}
		const runs = 500
		for range runs {
			p.Run(j)
		}
		for w := range workers {
			if n := j.calls[w].Load(); n != runs {
				t.Errorf("%d workers: worker %d ran %d times, want %d", workers, w, n, runs)
			}
		}
		p.Close()
	}
}

func TestPoolSurvivesSleepOnEitherSide(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	j := &tally{}
	for i := range 30 {
		switch i % 3 {
		case 0:
			time.Sleep(3 * time.Millisecond) // helpers go to sleep by themselves
		case 1:
			time.Sleep(3 * time.Millisecond)
			p.Wake()
		case 2:
			j.nap = time.Millisecond // the caller goes to sleep
		}
		p.Run(j)
		j.nap = 0
	}
	if n := j.calls[2].Load(); n != 30 {
		t.Errorf("worker 2 ran %d times, want 30", n)
	}
}

// TestSharedJobsNeedNobody: whoever comes does the work once, and nobody is
// still at it when Share returns.
func TestSharedJobsNeedNobody(t *testing.T) {
	p := NewPool(4)
	defer p.Close()
	j := &units{}
	for i := range 2000 {
		j.left.Store(50)
		j.done.Store(0)
		p.Share(j)
		if n := j.done.Load(); n != 50 || j.inside.Load() != 0 {
			t.Fatalf("job %d: %d units of 50 done, %d workers inside", i, n, j.inside.Load())
		}
		if i%500 == 0 {
			time.Sleep(3 * time.Millisecond) // the helpers fall asleep
		}
	}
}

// units is a job that workers take piece by piece.
type units struct {
	left, done atomic.Int64
	inside     atomic.Int64
}

func (j *units) Do(_, _ int) {
	j.inside.Add(1)
	defer j.inside.Add(-1)
	for j.left.Add(-1) >= 0 {
		j.done.Add(1)
	}
}

// TestLateHelperIsLeftOut: a helper that stalls a shared job gets a rest, and
// comes back after it. A job for all does not spare it.
func TestLateHelperIsLeftOut(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	if p.patient == 0 {
		p.patient = callerSpin // judge helpers on one processor, too
	}
	// stall has the helper keep the caller waiting until it is judged for it. On a busy
	// machine the caller may come late itself, and then nobody has waited.
	stall := func(before func()) {
		t.Helper()
		for range 200 {
			before()
			p.Share(&meeting{come: make(chan struct{}, 1), nap: 5 * time.Millisecond}) // worker 0 waits until the helper is in
			if p.helpers[1].resting.Load() && p.resting == 1 {
				return
			}
		}
		t.Fatal("the helper never rests")
	}
	stall(func() {})
	j := &meeting{come: make(chan struct{}, 1)}
	p.Run(j)
	if len(j.come) != 0 {
		t.Error("Run did without the helper")
	}
	stall(func() {
		p.helpers[1].rest.until = time.Since(p.base) // whatever the machine does meanwhile
		p.helpers[1].rest.last = time.Minute / 4
	})
	if r := p.helpers[1].rest.last; r != longRest {
		t.Errorf("rest of %v, want %v", r, longRest)
	}
	// Share does not end without the helper. On a busy machine it may be so slow that it
	// rests again: the next time will do.
	for range 50 {
		time.Sleep(longRest + time.Millisecond)
		p.Share(&meeting{come: make(chan struct{}, 1)})
		if p.resting == 0 {
			return
		}
	}
	t.Error("the helper does not come back")
}

// meeting is a job that the caller does not leave before the helper has come.
type meeting struct {
	come chan struct{}
	nap  time.Duration
}

func (j *meeting) Do(worker, _ int) {
	if worker == 0 {
		<-j.come
		return
	}
	j.come <- struct{}{}
	time.Sleep(j.nap)
}

func TestPoolOnOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := NewPool(4)
	defer p.Close()
	j := &tally{}
	for range 100 {
		p.Run(j)
	}
	if n := j.calls[3].Load(); n != 100 {
		t.Errorf("worker 3 ran %d times, want 100", n)
	}
}

func TestPoolRunAllocatesNothing(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	j := &tally{}
	if n := alloctest.PerRun(100, func() { p.Run(j) }); n != 0 {
		t.Errorf("Run allocates %v times", n)
	}
}

func TestIdlePoolUsesNoProcessor(t *testing.T) {
	p := NewPool(4)
	defer p.Close()
	p.Run(&tally{})
	time.Sleep(20 * time.Millisecond)
	before := cpu.Used()
	time.Sleep(200 * time.Millisecond)
	if used := cpu.Used() - before; used > 40*time.Millisecond {
		t.Errorf("an idle pool used %v of processor time in 200 ms", used)
	}
}

func BenchmarkDispatch(b *testing.B) {
	p := NewPool(2)
	defer p.Close()
	j := &tally{}
	for b.Loop() {
		p.Run(j)
	}
}
