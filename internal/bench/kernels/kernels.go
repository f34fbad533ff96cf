// Package kernels measures the matrix products of every weight format alone, and the share that each reaches of what the machine
// can do. It runs no model: package steps does. `penstock bench kernels` calls it, and package layers multiplies with its Product.
package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Kernels measures the matrix products of every format alone, and the share that each reaches of what the machine can do:
// `penstock bench kernels`. One column is bound by reading the weights, many columns by the arithmetic.
type Kernels struct {
	Formats        []string      `help:"Weight formats." default:"Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q4_K,Q5_K,Q6_K,Q2_K,Q3_K,IQ4_NL,IQ4_XS,MXFP4,IQ3_S,IQ3_XXS,IQ2_S,IQ2_XS,IQ2_XXS,TQ2_0,TQ1_0,Q2_0,Q1_0"`
	Rows           int           `help:"Rows of the matrix." default:"3072"`
	Cols           int           `help:"Columns of the matrix: the length of an activation." default:"1024"`
	Columns        []int         `help:"Activations multiplied at once." default:"1,2,4,8,64"`
	Threads        int           `help:"Threads (0: all that this process may use)."`
	Time           time.Duration `help:"For each cell." default:"60ms"`
	Warm           bool          `help:"Let the weights stay in the caches; otherwise they come from memory, as in a model."`
	results.Output `embed:""`
	Progress       io.Writer `kong:"-"`
	Tier           cpu.Tier  `kong:"-"`
	coldBytes      int       // bytes of weights that are used in turn; far more than the caches hold
}

// Result is the outcome of Kernels, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Limits   limits.Limits  `json:"limits"`
	Cells    []KernelCell   `json:"cells"`
}

// KernelCell is one format with one number of columns.
type KernelCell struct {
	Format       string  `json:"format"`
	Columns      int     `json:"columns"`
	Ops          float64 `json:"ops_per_second"`   // multiplications and additions
	Bytes        float64 `json:"bytes_per_second"` // of packed weights
	OpsShare     float64 `json:"ops_share"`
	BytesShare   float64 `json:"bytes_share"`
	Microseconds float64 `json:"us"` // of one product, median
}

// Run measures every cell and prints the table.
func (k *Kernels) Run(ctx context.Context, out io.Writer) error {
	if err := k.check(); err != nil {
		return err
	}
	if k.Threads == 0 {
		k.Threads = cpu.Threads()
	}
	pool := nn.NewPool(k.Threads)
	defer pool.Close()
	rows, cols := kernel.New(k.Tier).Tile()
	res := &Result{Record: results.NewRecord("kernels"),
		Settings: map[string]any{"rows": k.Rows, "cols": k.Cols, "threads": k.Threads, "warm": k.Warm, "tier": k.Tier.String(), "tile": fmt.Sprintf("%dx%d", rows, cols)}}
	for i, name := range k.Formats {
		t, ok := quant.ParseType(name)
		if !ok || !kernel.Supports(t) {
			return fmt.Errorf("no kernel for format %q", name)
		}
		results.Say(k.Progress, "%s", name)
		if i%formatsPerProbe == 0 {
			res.Limits = res.Limits.Best(limits.Probe(k.Tier, k.Threads, k.cold()))
		}
		cells, err := k.format(ctx, pool, t)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		res.Cells = append(res.Cells, cells...)
	}
	res.Limits = res.Limits.Best(limits.Probe(k.Tier, k.Threads, k.cold()))
	res.share(k.Warm)
	return k.Deliver(out, res, res.print)
}

// formatsPerProbe is how many formats are measured between two probes of the machine.
const formatsPerProbe = 4

func (k *Kernels) check() error {
	if k.Rows < kernel.Lanes || k.Cols < 256 || k.Cols%256 != 0 {
		return errors.New("--rows must be at least 16, --cols a multiple of 256")
	}
	for _, c := range k.Columns {
		if c < 1 || c > 512 {
			return fmt.Errorf("--columns %d: between 1 and 512 activations can be multiplied at once", c)
		}
	}
	if len(k.Columns) == 0 || len(k.Formats) == 0 || k.Time <= 0 {
		return errors.New("nothing to measure")
	}
	return nil
}

// cold is how many bytes of weights are gone through, so that none is still in a cache when its turn comes again.
func (k *Kernels) cold() int {
	if k.coldBytes > 0 {
		return k.coldBytes
	}
	return limits.ColdBytes()
}

// share compares every cell with the best of all probes. Weights that stay in the caches have no share of the bandwidth of memory.
func (r *Result) share(warm bool) {
	for i := range r.Cells {
		c := &r.Cells[i]
		if !warm && r.Limits.Bandwidth > 0 {
			c.BytesShare = c.Bytes / r.Limits.Bandwidth
		}
		if r.Limits.Ops > 0 {
			c.OpsShare = c.Ops / r.Limits.Ops
		}
	}
}

// format measures one format with every number of columns.
func (k *Kernels) format(ctx context.Context, pool *nn.Pool, t quant.Type) ([]KernelCell, error) {
	set := kernel.New(k.Tier)
	matrices, err := k.matrices(set, t, k.cold())
	defer func() {
		for _, m := range matrices {
			_ = m.Free() // no product uses them any more
		}
	}()
	if err != nil {
		return nil, err
	}
	m := matrices[0]
	rng := rand.New(rand.NewPCG(1, 2))
	bytes := float64(m.Groups() * m.GroupBytes())
	var cells []KernelCell
	spaces := Spaces(k.Threads)
	for _, cols := range k.Columns {
		job := Product{Set: set, P: RandomPanels(rng, set, k.Cols, cols, m.NeedsFloats()), Y: make([]float32, cols*m.Groups()*kernel.Lanes), Spaces: spaces}
		var times []float64
		at := 0
		for deadline := time.Now().Add(k.Time); len(times) < 5 || time.Now().Before(deadline); at++ {
			job.M = matrices[at%len(matrices)]
			start := time.Now()
			pool.Run(&job)
			if at > 0 { // the first run has to wake the workers
				times = append(times, time.Since(start).Seconds())
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		took := stats.Median(times)
		c := KernelCell{Format: t.String(), Columns: cols, Microseconds: took * 1e6,
			Ops: 2 * float64(k.Rows) * float64(k.Cols) * float64(cols) / took, Bytes: bytes / took}
		cells = append(cells, c)
	}
	return cells, nil
}

// matrices packs random weights: one matrix if they may stay in the caches, otherwise so many copies that the caches can't hold them.
// Only the first is packed, which takes a hundred times as long as copying it.
func (k *Kernels) matrices(set kernel.Set, t quant.Type, total int) ([]*kernel.Matrix, error) {
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, k.Rows*k.Cols)
	for i := range x {
		x[i] = float32(rng.NormFloat64()) * 0.02
	}
	src := make([]byte, k.Rows*t.RowBytes(k.Cols))
	if err := quant.Quantize(t, src, x); err != nil {
		rng := rand.NewChaCha8([32]byte{1}) // the format has no quantiser: random bits are good enough to measure speed
		_, _ = rng.Read(src)                // never fails
	}
	var list []*kernel.Matrix
	for bytes := 0; bytes == 0 || !k.Warm && bytes < total; {
		m, err := kernel.NewMatrix(t, k.Rows, k.Cols)
		if err != nil {
			return list, err
		}
		if len(list) == 0 {
			set.Pack(m, 0, src, k.Rows)
		} else {
			copy(m.Data, list[0].Data)
			copy(m.Scales, list[0].Scales)
		}
		list = append(list, m)
		bytes += m.Groups() * m.GroupBytes()
	}
	return list, nil
}

func (r *Result) print(out io.Writer) error {
	rows := [][]string{{"format", "columns", "µs", "GB/s", "of reads", "GOPS", "of the ceiling"}}
	for _, c := range r.Cells {
		percent := func(share float64) string {
			if share == 0 {
				return "-"
			}
			return fmt.Sprintf("%.0f %%", 100*share)
		}
		rows = append(rows, []string{c.Format, fmt.Sprint(c.Columns), fmt.Sprintf("%.1f", c.Microseconds), fmt.Sprintf("%.1f", c.Bytes/1e9),
			percent(c.BytesShare), fmt.Sprintf("%.0f", c.Ops/1e9), percent(c.OpsShare)})
	}
	if err := results.Table(out, rows); err != nil {
		return err
	}
	return r.Limits.Print(out)
}

func (r *Result) Conditions() map[string]any { return r.Settings }

func (r *Result) Series() []results.Series {
	var out []results.Series
	for _, c := range r.Cells {
		out = append(out, results.Series{Name: fmt.Sprintf("%s, %d columns", c.Format, c.Columns), Unit: "GOPS", Values: []float64{c.Ops / 1e9}})
	}
	return out
}

func (r *Result) Headline() string {
	best := KernelCell{}
	for _, c := range r.Cells {
		if c.Ops > best.Ops {
			best = c
		}
	}
	return fmt.Sprintf("best %s with %d columns: %.0f GOPS", best.Format, best.Columns, best.Ops/1e9)
}
