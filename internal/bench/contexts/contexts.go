// Package contexts measures what a context costs: steps and prompts beside those of short contexts, in alternated rounds, as ratios.
// It measures the forward pass alone; layers and steps say where the rest of a step goes. llama.cpp can be measured beside it, with the
// same context. `penstock bench contexts` calls it.
package contexts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/model"
)

// Contexts compares steps and prompts with long contexts to those with short ones: `penstock bench contexts`.
type Contexts struct {
	Model          string       `help:"Model to measure." required:""`
	Batch          int          `help:"Sequences of a step." default:"8"`
	Short          int          `help:"Tokens of a short context." default:"64"`
	Ctx            int          `help:"Tokens of each of the sequences of a batch, and of the prefix that they share." default:"2000"`
	Long           int          `help:"Tokens of a long context of one sequence, and of a long prompt." default:"8192"`
	Prompt         int          `help:"Tokens of a short prompt." default:"512"`
	Rounds         int          `help:"How often everything is measured." default:"5"`
	Steps          int          `help:"Steps of each kind in a round; the median counts." default:"8"`
	Threads        int          `help:"Compute threads (0: all that this process may use)."`
	KVType         model.KVType `name:"kv-type" help:"Numbers of the KV cache: i16, f16 or q8." default:"i16"`
	Llama          string       `help:"Folder with llama.cpp's programs, to compare the long context and the long prompt with (none: not compared)." type:"path"`
	results.Output `embed:""`
	Tier           cpu.Tier  `kong:"-"`
	Progress       io.Writer `kong:"-"`
}

// Result is the outcome of Contexts, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Points   []Point        `json:"points"`
	Ratios   []Ratio        `json:"ratios"`
	// Attention is the part of a step of a batch with short contexts that attention takes, of each round.
	Attention []float64 `json:"attention_share"`
	Llama     []Rival   `json:"llama,omitempty"`
}

// Point is the speed of one kind of step or prompt, in tokens a second.
type Point struct {
	Name   string    `json:"name"`
	Speeds []float64 `json:"tokens_per_second"` // of each round
}

// Ratio is the speed of a point, divided by that of another in the same round.
type Ratio struct {
	Name   string    `json:"name"`
	Values []float64 `json:"values"` // of each round
}

// Run measures and prints.
func (c *Contexts) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Threads == 0 {
		c.Threads = cpu.Threads()
	}
	if err := c.check(); err != nil {
		return err
	}
	r, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	res := &Result{Record: results.NewRecord("contexts"), Settings: map[string]any{"model": filepath.Base(c.Model), "tier": c.Tier.String(), "threads": c.Threads,
		"batch": c.Batch, "short": c.Short, "ctx": c.Ctx, "long": c.Long, "prompt": c.Prompt, "kv_type": c.KVType}}
	if c.Llama != "" {
		res.Llama = newRivals()
	}
	points := c.points(r)
	for _, p := range points {
		res.Points = append(res.Points, Point{Name: p.name})
	}
	for round := range c.Rounds + 1 {
		for i := range points {
			if round%2 == 1 { // there and back
				i = len(points) - 1 - i
			}
			c.say(round, points[i].name)
			speed := points[i].measure()
			if err := ctx.Err(); err != nil {
				return err
			}
			if round > 0 { // the first one wakes everything up
				res.Points[i].Speeds = append(res.Points[i].Speeds, speed)
			}
		}
		if round > 0 {
			res.Attention = append(res.Attention, r.share(c.Batch, c.Short, c.Steps))
			if err := c.rivals(ctx, round, res.Llama); err != nil {
				return err
			}
		}
	}
	res.compare()
	return c.Deliver(out, res, res.print)
}

// say names what a round goes on with.
func (c *Contexts) say(round int, what string) {
	if round == 0 {
		results.Say(c.Progress, "once before the rounds, %s", what)
		return
	}
	results.Say(c.Progress, "round %d of %d, %s", round, c.Rounds, what)
}

func (c *Contexts) check() error {
	switch {
	case c.Batch < 1 || c.Short < 1 || c.Rounds < 1 || c.Steps < 1 || c.Threads < 1:
		return errors.New("--batch, --short, --rounds and --steps must be at least 1")
	case c.Ctx <= c.Short || c.Long <= c.Ctx || c.Prompt < 1 || c.Prompt >= c.Long:
		return errors.New("--short must be less than --ctx, --ctx less than --long, and --prompt less than --long")
	}
	return nil
}

// The points, in the order in which they are printed.
const (
	batchShort = iota
	batchLong
	batchShared
	oneShort
	oneLong
	promptShort
	promptLong
)

// point is one thing to measure: measure returns tokens a second.
type point struct {
	name    string
	measure func() float64
}

func (c *Contexts) points(r *runner) []point {
	decode := func(n, at int, tables [][]int32) func() float64 {
		return func() float64 { return r.decode(n, at, tables, c.Steps) }
	}
	one := [][]int32{r.long}
	return []point{
		batchShort:  {fmt.Sprintf("batch %d, context %d", c.Batch, c.Short), decode(c.Batch, c.Short, r.own)},
		batchLong:   {fmt.Sprintf("batch %d, context %d", c.Batch, c.Ctx), decode(c.Batch, c.Ctx, r.own)},
		batchShared: {fmt.Sprintf("batch %d, shared prefix of %d", c.Batch, c.Ctx), decode(c.Batch, c.Ctx+c.Short, r.shared)},
		oneShort:    {fmt.Sprintf("one stream, context %d", c.Short), decode(1, c.Short, one)},
		oneLong:     {fmt.Sprintf("one stream, context %d", c.Long), decode(1, c.Long-1, one)},
		promptShort: {fmt.Sprintf("prompt of %d", c.Prompt), func() float64 { return r.prompt(c.Prompt) }},
		promptLong:  {fmt.Sprintf("prompt of %d", c.Long), func() float64 { return r.prompt(c.Long) }},
	}
}

// compare computes the ratios.
func (r *Result) compare() {
	add := func(point, to int, format string) {
		p, q := r.Points[point], r.Points[to]
		r.Ratios = append(r.Ratios, Ratio{Name: fmt.Sprintf(format, p.Name, q.Name), Values: stats.Ratios(p.Speeds, q.Speeds)})
	}
	add(batchLong, batchShort, "%s / %s")
	add(batchShared, batchShort, "%s / %s")
	add(oneLong, oneShort, "%s / %s")
	add(promptShort, promptLong, "time of a token: %[2]s / %[1]s")
	if len(r.Llama) > 0 {
		r.against(oneLong, func(v *Rival) []float64 { return v.Decode })
		r.against(promptLong, func(v *Rival) []float64 { return v.Prompt })
	}
}

// lowerRatio is the place of the ratio, among those of compare, of which less is better.
const lowerRatio = 3

func (r *Result) print(out io.Writer) error {
	rows := [][]string{{"", "tokens/s", "range"}}
	for _, p := range r.Points {
		rows = append(rows, []string{p.Name, fmt.Sprintf("%.1f", stats.Median(p.Speeds)), span(p.Speeds, "%.1f", 1)})
	}
	for _, v := range r.Llama {
		rows = append(rows, v.row(r.Points[oneLong].Name, v.Decode), v.row(r.Points[promptLong].Name, v.Prompt))
	}
	rows = append(rows, []string{"", "ratio", ""})
	for _, q := range r.Ratios {
		rows = append(rows, []string{q.Name, fmt.Sprintf("%.2f", stats.Median(q.Values)), span(q.Values, "%.2f", 1)})
	}
	rows = append(rows, []string{"attention's share of: " + r.Points[batchShort].Name, fmt.Sprintf("%.1f %%", 100*stats.Median(r.Attention)), span(r.Attention, "%.1f", 100)})
	return results.Table(out, rows)
}

// span prints the least and the greatest of xs.
func span(xs []float64, form string, times float64) string {
	return fmt.Sprintf(form+" to "+form, times*slices.Min(xs), times*slices.Max(xs))
}

// Conditions are the settings of a result.
func (r *Result) Conditions() map[string]any { return r.Settings }

// Series are the ratios and the speeds.
func (r *Result) Series() []results.Series {
	out := []results.Series{{Name: "attention's share", Unit: "of a step", Lower: true, Values: r.Attention, Ratio: true}}
	for i, q := range r.Ratios {
		out = append(out, results.Series{Name: q.Name, Unit: "ratio", Lower: i == lowerRatio, Values: q.Values, Ratio: true})
	}
	for _, p := range r.Points {
		out = append(out, results.Series{Name: p.Name, Unit: "tokens/s", Values: p.Speeds})
	}
	for _, v := range r.Llama {
		out = append(out, results.Series{Name: v.named(r.Points[oneLong].Name), Unit: "tokens/s", Values: v.Decode},
			results.Series{Name: v.named(r.Points[promptLong].Name), Unit: "tokens/s", Values: v.Prompt})
	}
	return out
}

// Headline is the result in a line.
func (r *Result) Headline() string {
	return fmt.Sprintf("%s: %.2f; %s: %.2f", r.Ratios[0].Name, stats.Median(r.Ratios[0].Values), r.Ratios[2].Name, stats.Median(r.Ratios[2].Values))
}
