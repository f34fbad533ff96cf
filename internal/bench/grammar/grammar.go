// Package grammar measures structured output as MaskBench does: it compiles schemas, walks instances token by token through the masks, and says
// how many schemas are served right and how long the masks take. It runs no model, only its vocabulary. `penstock bench grammar` calls it.
package grammar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sort"
	"sync"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Grammar measures structured output over files of schemas with instances: `penstock bench grammar`.
type Grammar struct {
	Files    []string  `arg:"" help:"JSON files {\"schema\": …, \"tests\": [{\"valid\": bool, \"data\": …}]}, folders of them, .tar or .tar.xz archives." type:"path"`
	Model    string    `help:"Model whose vocabulary is used." required:""`
	Threads  int       `help:"Files that are measured at the same time. More than one disturbs the times." default:"1"`
	Every    int       `help:"Measure each N-th file only." default:"1"`
	JSON     bool      `help:"Print a JSON object for each file, one a line."`
	CPUTime  bool      `name:"cpu-time" help:"Measure processor time instead of time, where the system knows it: what others do on the machine disturbs it less."`
	Export   string    `help:"Measure nothing, but write the vocabulary and the tokens of all instances to this file, for bench/grammar_peers.py." type:"path"`
	Progress io.Writer `kong:"-"`
}

// Run measures and prints.
func (g *Grammar) Run(ctx context.Context, out io.Writer) error {
	if g.Threads < 1 || g.Every < 1 {
		return errors.New("--threads and --every must be at least 1")
	}
	files, err := read(g.Files)
	if err != nil {
		return err
	}
	var sample []file
	for i := 0; i < len(files); i += g.Every {
		sample = append(sample, files[i])
	}
	v, err := open(g.Model)
	if err != nil {
		return err
	}
	if g.Export != "" {
		return v.export(g.Export, sample)
	}
	if v.clock, err = clock(g.CPUTime); err != nil {
		return err
	}
	outcomes, err := g.measure(ctx, v, sample)
	if err != nil {
		return err
	}
	if g.JSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for _, o := range outcomes {
			if err := enc.Encode(o); err != nil {
				return fmt.Errorf("result: %w", err)
			}
		}
		return nil
	}
	return print(out, outcomes)
}

func open(path string) (*vocabulary, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tok, err := tokenizer.New(f)
	if err != nil {
		return nil, err
	}
	v := newVocabulary(tok)
	v.spelt, _ = f.Strs("tokenizer.ggml.tokens")
	v.merges, _ = f.Strs("tokenizer.ggml.merges")
	return v, nil
}

// measure shares the files out among the threads. The outcomes are in the files' order.
func (g *Grammar) measure(ctx context.Context, v *vocabulary, files []file) ([]*Outcome, error) {
	outcomes, errs := make([]*Outcome, len(files)), make([]error, len(files))
	next := make(chan int)
	var wait sync.WaitGroup
	for range g.Threads {
		wait.Go(func() {
			runtime.LockOSThread() // whose processor time is measured
			defer runtime.UnlockOSThread()
			for i := range next {
				if outcomes[i], errs[i] = v.measure(files[i]); outcomes[i] != nil && len(outcomes[i].Masks) > 0 {
					outcomes[i].MaskMean, outcomes[i].MaskMax = stats.Mean(outcomes[i].Masks), slices.Max(outcomes[i].Masks)
				}
			}
		})
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
		if i%100 == 99 {
			results.Say(g.Progress, "%d of %d schemas", i+1, len(files))
			runtime.GC() // between files, so that it is not counted among the masks as often
		}
	}
	close(next)
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return outcomes, errors.Join(errs...)
}

// total is the outcomes of a set, or of all.
type total struct {
	name                                         string
	schemas, compiled, right, rejected, accepted int
	masks, first                                 []float64
	bytes                                        int
}

func (t *total) add(o *Outcome) {
	t.schemas++
	t.rejected += o.ValidRejected
	t.accepted += o.InvalidAccepted
	t.masks = append(t.masks, o.Masks...)
	t.bytes = max(t.bytes, o.Bytes)
	if o.Compiled {
		t.compiled++
		t.first = append(t.first, o.FirstMask)
	}
	if o.Right {
		t.right++
	}
}

func print(out io.Writer, outcomes []*Outcome) error {
	sets := map[string]*total{}
	sum := &total{name: "all"}
	refused := map[string]int{}
	for _, o := range outcomes {
		if sets[o.Set] == nil {
			sets[o.Set] = &total{name: o.Set}
		}
		sets[o.Set].add(o)
		sum.add(o)
		if !o.Compiled {
			refused[reason(o)]++
		}
	}
	var list []*total
	for _, t := range sets {
		list = append(list, t)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	rows := [][]string{{"set", "schemas", "compiled", "right", "%", "valid rejected", "invalid accepted", "mask µs mean", "p50", "p99", "max", "first µs p50", "p99", "MB max"}}
	for _, t := range append(list, sum) {
		rows = append(rows, t.row())
	}
	if err := results.Table(out, rows); err != nil {
		return err
	}
	return printRefused(out, refused)
}

func (t *total) row() []string {
	n := func(x int) string { return fmt.Sprint(x) }
	f := func(x float64) string {
		if !stats.Finite(x) {
			return "-"
		}
		return fmt.Sprintf("%.1f", x)
	}
	most := 0.0
	if len(t.masks) > 0 {
		most = slices.Max(t.masks)
	}
	return []string{t.name, n(t.schemas), n(t.compiled), n(t.right), f(100 * float64(t.right) / float64(t.schemas)), n(t.rejected), n(t.accepted),
		f(stats.Mean(t.masks)), f(stats.Median(t.masks)), f(stats.Quantile(t.masks, 0.99)), f(most),
		f(stats.Median(t.first)), f(stats.Quantile(t.first, 0.99)), f(float64(t.bytes) / 1e6)}
}

// reason groups refusals.
func reason(o *Outcome) string {
	if o.Keyword != "" {
		return o.Keyword
	}
	return o.Refused
}

func printRefused(out io.Writer, refused map[string]int) error {
	var names []string
	for k := range refused {
		names = append(names, k)
	}
	sort.Slice(names, func(i, j int) bool {
		if refused[names[i]] != refused[names[j]] {
			return refused[names[i]] > refused[names[j]]
		}
		return names[i] < names[j]
	})
	rows := [][]string{{"refused because of", "schemas"}}
	for _, k := range names {
		rows = append(rows, []string{k, fmt.Sprint(refused[k])})
	}
	if len(rows) == 1 {
		return nil
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	return results.Table(out, rows)
}
