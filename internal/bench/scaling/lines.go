package scaling

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Lines is what memory costs that two cores share, in nanoseconds. A job for n workers hands one line to n-1 helpers, who read what there is
// to do, and reads the n-1 lines in which they say that it is done.
type Lines struct {
	Transfer float64 `json:"transfer_ns"` // of a line that both cores write
	Read     float64 `json:"read_ns"`     // of one line among many that the other core has written
}

// measureLines takes medians of runs in a tenth of a second each.
func measureLines() Lines {
	pool := nn.NewPool(2)
	defer pool.Close()
	few, many := &dirty{lines: make([]line, 1)}, &dirty{lines: make([]line, 64)}
	fight := &fight{}
	for _, j := range []interface {
		nn.Job
		reset()
	}{few, many, fight} {
		for begin := time.Now(); time.Since(begin) < 100*time.Millisecond; {
			j.reset()
			pool.Run(j)
		}
	}
	return Lines{
		Transfer: stats.Median(fight.took) / (2 * turns),
		Read:     max(0, stats.Median(many.took)-stats.Median(few.took)) / float64(len(many.lines)-len(few.lines)),
	}
}

// line is a value alone in its line of memory.
type line struct {
	v atomic.Uint64
	_ [120]byte
}

// meeting has both workers begin at the same time.
type meeting struct{ come atomic.Int32 }

func (m *meeting) wait() {
	m.come.Add(1)
	for spins := 0; m.come.Load() < 2; spins++ {
		if spins > 1<<16 {
			runtime.Gosched() // the other one has no processor
		}
	}
}

// turns is how often each worker writes in a run of fight.
const turns = 200

// fight is a job in which both workers add to the same value.
type fight struct {
	meeting
	_    [128]byte
	v    atomic.Uint64
	_    [128]byte
	took []float64 // by worker 0: ns of each run
}

func (f *fight) reset() { f.come.Store(0) }

// Do implements nn.Job.
func (f *fight) Do(worker, _ int) {
	f.wait()
	start := time.Now()
	for range turns {
		f.v.Add(1)
	}
	if worker == 0 {
		f.took = append(f.took, float64(time.Since(start).Nanoseconds()))
	}
}

// dirty is a job in which worker 0 reads lines that worker 1 has just written.
type dirty struct {
	lines []line
	ready line
	round uint64
	took  []float64 // ns of each run
	sum   uint64
}

func (d *dirty) reset() { d.round++ }

// Do implements nn.Job.
func (d *dirty) Do(worker, _ int) {
	if worker == 1 {
		for i := range d.lines {
			d.lines[i].v.Store(d.round)
		}
		d.ready.v.Store(d.round)
		return
	}
	for spins := 0; d.ready.v.Load() != d.round; spins++ {
		if spins > 1<<16 {
			runtime.Gosched()
		}
	}
	start := time.Now()
	for i := range d.lines {
		d.sum += d.lines[i].v.Load()
	}
	d.took = append(d.took, float64(time.Since(start).Nanoseconds()))
}
