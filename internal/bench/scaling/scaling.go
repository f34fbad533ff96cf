// Package scaling measures what more threads bring, and says what a machine with more cores than this one would do if it were made
// of the same cores: by a simple model, which is held against every number of threads that can be measured here. It measures the
// forward pass and the pool's dispatches, no HTTP. `penstock bench scaling` calls it.
package scaling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Scaling measures steps with one thread and more, and extrapolates: `penstock bench scaling`.
type Scaling struct {
	Model          string       `help:"Model to measure." required:""`
	Batch          []int        `help:"Sequences of a step." default:"1,8"`
	Ctx            int          `help:"Tokens that each sequence has before the step." default:"64"`
	Prefill        int          `help:"Tokens of a prompt (0: none)." default:"512"`
	Rounds         int          `help:"How often everything is measured." default:"5"`
	Steps          int          `help:"Steps of a round." default:"20"`
	Threads        int          `help:"Most threads to measure (0: all that this process may use)."`
	Cores          []int        `help:"Numbers of cores to extrapolate to." default:"8,16,32,64"`
	Bandwidth      float64      `help:"GB/s that all of those cores can read together (0: as many for each core as here)."`
	Nodes          int          `help:"Sockets that those cores are on, each with its own memory." default:"1"`
	Remote         float64      `help:"How much longer a line of memory takes from another socket than from the same." default:"2"`
	KVType         model.KVType `name:"kv-type" help:"Numbers of the KV cache: i16, f16 or q8." default:"i16"`
	results.Output `embed:""`
	Tier           cpu.Tier  `kong:"-"`
	Progress       io.Writer `kong:"-"`
}

// Result is the outcome of Scaling, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Reads    []Reads        `json:"reads"`
	Lines    *Lines         `json:"lines,omitempty"` // nil: there is one thread
	Loads    []Load         `json:"loads"`
}

// Reads is what some threads of this machine can do together.
type Reads struct {
	Threads   int     `json:"threads"`
	Bandwidth float64 `json:"read_bytes_per_second"`
	Dispatch  float64 `json:"dispatch_ns"` // of a job in which there is nothing to do
}

// Load is a kind of step, with each number of threads.
type Load struct {
	Name      string      `json:"name"`
	Rows      int         `json:"rows"` // of a step
	Measured  []Measured  `json:"measured"`
	Simulated []Simulated `json:"simulated"`
}

// Measured is what so many threads do.
type Measured struct {
	Threads int       `json:"threads"`
	Speeds  []float64 `json:"tokens_per_second"` // of each round
	Waiting float64   `json:"waiting"`           // part of the workers' time that they stand at barriers
}

// Simulated is what so many cores would do. Between is the part of a step for which more cores do nothing.
type Simulated struct {
	Cores   int     `json:"cores"`
	Speed   float64 `json:"tokens_per_second"`
	Between float64 `json:"serial_and_barriers"`
}

// Run measures, extrapolates and prints.
func (s *Scaling) Run(ctx context.Context, out io.Writer) error {
	if s.Threads == 0 {
		s.Threads = cpu.Threads()
	}
	if err := s.check(); err != nil {
		return err
	}
	res := &Result{Record: results.NewRecord("scaling"), Settings: map[string]any{"model": filepath.Base(s.Model), "tier": s.Tier.String(), "threads": s.Threads,
		"ctx": s.Ctx, "kv_type": s.KVType, "bandwidth": s.Bandwidth, "nodes": s.Nodes, "remote": s.Remote}}
	m := machine{bandwidth: s.Bandwidth * 1e9, nodes: s.Nodes, remote: s.Remote}
	if s.Threads > 1 {
		lines := measureLines()
		res.Lines, m.lines = &lines, lines
	}
	loads := s.loads()
	for _, l := range loads {
		res.Loads = append(res.Loads, Load{Name: l.name, Rows: l.rows})
	}
	profiles := make([][]profile, len(loads)) // of each load, by number of threads
	for _, n := range s.threads() {
		res.Reads = append(res.Reads, Reads{Threads: n, Bandwidth: limits.Probe(s.Tier, n, limits.ColdBytes()).Bandwidth, Dispatch: dispatch(n)})
		for i, l := range loads {
			results.Say(s.Progress, "%d of %d threads, %s", n, s.Threads, l.name)
			m, p, err := s.measure(ctx, l, n)
			if err != nil {
				return err
			}
			res.Loads[i].Measured = append(res.Loads[i].Measured, m)
			profiles[i] = append(profiles[i], p)
		}
	}
	for i := range loads {
		m.reads = res.Reads
		res.Loads[i].Simulated = s.simulate(&res.Loads[i], profiles[i], &m)
	}
	return s.Deliver(out, res, res.print)
}

func (s *Scaling) check() error {
	switch {
	case s.Nodes < 1 || s.Remote < 1:
		return errors.New("--nodes and --remote must be at least 1")
	case s.Ctx < 1 || s.Rounds < 1 || s.Steps < 1 || s.Threads < 1 || s.Prefill < 0 || s.Bandwidth < 0:
		return errors.New("--ctx, --rounds and --steps must be at least 1, --prefill and --bandwidth at least 0")
	case len(s.Batch) == 0 || slices.Min(s.Batch) < 1:
		return errors.New("--batch: want numbers of at least 1")
	case len(s.Cores) > 0 && slices.Min(s.Cores) < 1:
		return errors.New("--cores: want numbers of at least 1")
	}
	return nil
}

// threads are the numbers of threads to measure: 1, 2, 4 and so on, and the most.
func (s *Scaling) threads() (list []int) {
	for n := 1; n < s.Threads; n *= 2 {
		list = append(list, n)
	}
	return append(list, s.Threads)
}

// load is a kind of step: sequences that decode, or a prompt.
type load struct {
	name   string
	batch  int
	prompt int // tokens; 0: sequences decode
	rows   int
}

func (s *Scaling) loads() (list []load) {
	for _, b := range s.Batch {
		list = append(list, load{fmt.Sprintf("batch %d", b), b, 0, b})
	}
	if s.Prefill > 0 {
		list = append(list, load{fmt.Sprintf("prompt of %d", s.Prefill), 1, s.Prefill, s.Prefill})
	}
	return list
}

// profile is a load's step with some threads.
type profile struct {
	step  float64 // seconds, in the median of rounds
	kinds []kind
}

// kind is a kind of work in a step.
type kind struct{ time, bytes, calls, pieces float64 }

// measure runs a load with n threads. Each round is timed without the profile, which is taken once, at the end.
func (s *Scaling) measure(ctx context.Context, l load, n int) (m Measured, p profile, err error) {
	prompt := s.Ctx
	if l.prompt > 0 {
		prompt = l.prompt
	}
	sc := &layers.Scenario{Model: s.Model, Tier: s.Tier.String(), Threads: n, MaxBatch: l.batch, Requests: l.batch, Concurrency: l.batch,
		Gen: s.Steps + 2, PromptTokens: prompt, Prompt: layers.PlainPrompt, KV: s.KVType}
	if err := sc.Check(); err != nil {
		return m, p, err
	}
	x, err := layers.OpenExecutor(sc)
	if err != nil {
		return m, p, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	round := func() (steps int) {
		if l.prompt > 0 {
			x.Prefill(1)
			return 1
		}
		for i := range s.Steps {
			x.Decode(l.batch, x.PromptLen()+i)
		}
		return s.Steps
	}
	x.Prefill(l.batch)
	round()
	m.Threads = n
	var steps []float64
	for range s.Rounds {
		if err := ctx.Err(); err != nil {
			return m, p, err
		}
		start := time.Now()
		count := round()
		took := time.Since(start).Seconds()
		steps = append(steps, took/float64(count))
		m.Speeds = append(m.Speeds, float64(count*l.rows)/took)
	}
	x.Model.SetProfile(true)
	count := round()
	p = profiled(x.Model.Profile(), float64(count), &m)
	p.step = stats.Median(steps)
	x.Model.SetProfile(false)
	return m, p, nil
}

// profiled takes a profile apart by kind, for one of so many steps.
func profiled(of nn.Profile, steps float64, m *Measured) (p profile) {
	var wait, all float64
	for _, k := range nn.Kinds() {
		w := of.Work[k]
		p.kinds = append(p.kinds, kind{time: w.Time.Seconds() / steps, bytes: float64(w.Bytes) / steps, calls: float64(w.Calls) / steps, pieces: float64(w.Pieces) / steps})
		wait, all = wait+w.Wait.Seconds(), all+w.Time.Seconds()
	}
	if all > 0 {
		m.Waiting = wait / all
	}
	return p
}

// nothing is a job in which there is nothing to do.
type nothing struct{}

func (nothing) Do(_, _ int) {}

// dispatch is the time in ns of a job for n workers in which there is nothing to do: the best of batches of them in a tenth of a
// second, for other processes only make it longer.
func dispatch(n int) float64 {
	pool := nn.NewPool(n)
	defer pool.Close()
	const times = 50
	best := math.Inf(1)
	for begin := time.Now(); time.Since(begin) < 100*time.Millisecond; {
		start := time.Now()
		for range times {
			pool.Run(nothing{})
		}
		best = min(best, float64(time.Since(start).Nanoseconds())/times)
	}
	return best
}
