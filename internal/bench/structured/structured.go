// Package structured measures what a grammar costs a running model: the throughput of constrained requests beside that of free
// ones, with and without forced tokens, and what one client's hard schema does to the others. It drives the engine in this process,
// without HTTP. Package bench/grammar measures the masks alone. `penstock bench structured` calls it.
package structured

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Structured measures constrained generation: `penstock bench structured`.
type Structured struct {
	Model          string  `help:"Model to measure." required:""`
	Clients        int     `help:"Requests that run at once." default:"8"`
	Requests       int     `help:"Requests of each run." default:"16"`
	Tokens         int     `help:"Tokens of an answer at most." default:"96"`
	Rounds         int     `help:"Rounds, each of which runs everything once, in alternated order. Fewer than 5 give no intervals." default:"6"`
	Temperature    float64 `help:"Temperature of all requests." default:"0.8"`
	Simple         string  `help:"File with the simple schema; a list of function calls if there is none." type:"path"`
	Hard           string  `help:"File with the hard schema; many alternatives, patterns and bounds if there is none." type:"path"`
	Fresh          bool    `help:"Compile the schemas anew for each run, so that no mask is left from the one before. A server keeps those that it has compiled last, as runs do without this flag."`
	Threads        int     `help:"Compute threads (0: all that this process may use)."`
	results.Output `embed:""`
	Tier           cpu.Tier  `kong:"-"`
	Progress       io.Writer `kong:"-"`
}

// Result is the outcome, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Lanes    []*Lane        `json:"lanes"`
	Ratios   []Ratio        `json:"ratios"`
}

// Lane is one kind of load, measured once in each round.
type Lane struct {
	Name   string    `json:"name"`
	Speed  []float64 `json:"tokens_per_second"`
	CPU    []float64 `json:"cpu_seconds_per_token"`
	P99    []float64 `json:"itl_p99_ms"` // of the free clients, if there are any
	Steps  []float64 `json:"tokens_per_row"`
	Length float64   `json:"tokens_per_answer"`

	schema  []byte
	grammar *grammar.Grammar // of the schema, if it is kept
	bound   int              // clients that have the schema
	forced  bool             // whether what must follow is taken without the model
	free    int              // clients without a schema
	lengths []int            // [requests] of the answers
	of      *Lane            // whose answers' lengths the free requests have
}

// Ratio compares two lanes by their rounds.
type Ratio struct {
	Name  string         `json:"name"`
	Value stats.Estimate `json:"ratio"`
	CPU   stats.Estimate `json:"cpu_ratio"`
	P99   bool           `json:"itl_p99,omitempty"` // Value is of the times between tokens, so that less is better
}

// bench is what all runs share.
type bench struct {
	*Structured
	in     *instance.Instance
	vocab  *grammar.Vocabulary
	prompt []int32
}

// Run measures and prints.
func (s *Structured) Run(ctx context.Context, out io.Writer) error {
	if s.Clients < 2 || s.Requests < s.Clients || s.Tokens < 2 || s.Rounds < 1 {
		return errors.New("--clients must be at least 2, --requests at least as many, --tokens at least 2 and --rounds at least 1")
	}
	simple, err := text(s.Simple, simpleSchema)
	if err != nil {
		return err
	}
	hard, err := text(s.Hard, hardSchema)
	if err != nil {
		return err
	}
	if s.Threads == 0 {
		s.Threads = cpu.Threads()
	}
	instance.Tune(s.Threads)
	in, err := instance.Open(s.Model, instance.Options{Tier: s.Tier, Threads: s.Threads, MaxBatch: s.Clients, NoPrefix: true})
	if err != nil {
		return err
	}
	defer in.Close()
	b := &bench{Structured: s, in: in, vocab: vocabularyOf(in.Tokenizer), prompt: in.Tokenizer.Encode(prompt, true, true)}
	res := &Result{Record: results.NewRecord("structured"), Settings: map[string]any{"model": filepath.Base(s.Model), "tier": s.Tier.String(),
		"threads": s.Threads, "clients": s.Clients, "requests": s.Requests, "tokens": s.Tokens, "temperature": s.Temperature, "rounds": s.Rounds, "fresh": s.Fresh}}
	res.Lanes = s.lanes(simple, hard)
	if err := b.rounds(ctx, res.Lanes); err != nil {
		return err
	}
	res.compare()
	return s.Deliver(out, res, res.print)
}

// lanes lists what is measured. A lane of free requests gets the lengths of the answers of the lane that it is compared with.
func (s *Structured) lanes(simple, hard []byte) []*Lane {
	n := s.Clients
	a := &Lane{Name: "simple", schema: simple, bound: n, forced: true}
	h := &Lane{Name: "hard", schema: hard, bound: n, forced: true}
	return []*Lane{
		a, {Name: "free, as long as simple", of: a, free: n}, {Name: "simple, nothing forced", schema: simple, bound: n},
		h, {Name: "free, as long as hard", of: h, free: n}, {Name: "hard, nothing forced", schema: hard, bound: n},
		{Name: "one hard, the others free", schema: hard, bound: 1, forced: true, free: n - 1}, {Name: "all free", free: n},
	}
}

// text reads a schema, which may be one of a set of schemas with instances.
func text(path, otherwise string) ([]byte, error) {
	if path == "" {
		return []byte(otherwise), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct{ Schema json.RawMessage }
	if json.Unmarshal(text, &file) == nil && len(file.Schema) > 0 {
		return file.Schema, nil
	}
	return text, nil
}

// vocabularyOf arranges a tokenizer's tokens for grammars.
func vocabularyOf(tok *tokenizer.Tokenizer) *grammar.Vocabulary {
	pieces := make([][]byte, tok.Vocab())
	for t := range pieces {
		if !tok.IsSpecial(int32(t)) {
			pieces[t] = tok.Piece(int32(t))
		}
	}
	return grammar.NewVocabulary(pieces, tok.EOG())
}

// follow makes the constraint of a request: an answer of the grammar, with forced tokens or without.
func follow(g *grammar.Grammar, v *grammar.Vocabulary, tok *tokenizer.Tokenizer, forced bool) *grammar.Follower {
	if !forced {
		return g.Follow(v, nil)
	}
	return g.Follow(v, func(text []byte) []int32 { return tok.Encode(string(text), false, false) })
}

func (r *Result) lane(name string) *Lane {
	for _, l := range r.Lanes {
		if l.Name == name {
			return l
		}
	}
	return nil
}

func (r *Result) compare() {
	speed := func(name, a, b string) {
		x, y := r.lane(a), r.lane(b)
		value, _ := stats.EstimateRatio(x.Speed, y.Speed)
		cpu, _ := stats.EstimateRatio(y.CPU, x.CPU)
		r.Ratios = append(r.Ratios, Ratio{Name: name, Value: value, CPU: cpu})
	}
	speed("simple to free", "simple", "free, as long as simple")
	speed("simple, nothing forced, to free", "simple, nothing forced", "free, as long as simple")
	speed("hard to free", "hard", "free, as long as hard")
	speed("hard, nothing forced, to free", "hard, nothing forced", "free, as long as hard")
	value, _ := stats.EstimateRatio(r.lane("one hard, the others free").P99, r.lane("all free").P99)
	r.Ratios = append(r.Ratios, Ratio{Name: "ITL p99 of the others beside one hard schema", Value: value, P99: true})
}

func (r *Result) print(out io.Writer) error {
	rows := [][]string{{"load", "tokens/s", "CPU ms a token", "tokens an answer", "tokens a row", "ITL p99 ms of free clients"}}
	for _, l := range r.Lanes {
		p99 := "-"
		if len(l.P99) > 0 {
			p99 = fmt.Sprintf("%.1f", stats.Median(l.P99))
		}
		rows = append(rows, []string{l.Name, fmt.Sprintf("%.1f", stats.Median(l.Speed)), fmt.Sprintf("%.3f", 1000*stats.Median(l.CPU)),
			fmt.Sprintf("%.1f", l.Length), fmt.Sprintf("%.2f", stats.Median(l.Steps)), p99})
	}
	if err := results.Table(out, rows); err != nil {
		return err
	}
	fmt.Fprintln(out)
	rows = [][]string{{"ratio", "of tokens/s", "95 %", "by CPU time", "95 %"}}
	for _, x := range r.Ratios {
		row := []string{x.Name, fmt.Sprintf("%.3f", x.Value.Value), results.Interval(x.Value, "%.3f"), "-", "-"}
		if !x.P99 {
			row[3], row[4] = fmt.Sprintf("%.3f", x.CPU.Value), results.Interval(x.CPU, "%.3f")
		}
		rows = append(rows, row)
	}
	return results.Table(out, rows)
}
