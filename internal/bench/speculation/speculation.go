// Package speculation measures what guessing tokens ahead gains and costs: the same requests with guesses and without, in alternated
// rounds, in the engine of this process. It holds the answers of both against each other, which have to be the same.
// `penstock bench speculation` calls it.
package speculation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/sample"
)

// ErrDifferent is returned after the figures have been printed, if an answer with guesses differed from the one without.
var ErrDifferent = errors.New("answers with guesses differ from those without")

// Speculation measures guesses: `penstock bench speculation`.
type Speculation struct {
	Model          string  `help:"Model to measure." required:""`
	DraftModel     string  `name:"draft-model" help:"A smaller model with the same vocabulary, which guesses too." placeholder:"MODEL"`
	Rounds         int     `help:"Rounds, each of which runs every load with guesses and without. Fewer than 5 give no intervals." default:"6"`
	Tokens         int     `help:"Tokens of an answer at most (0: as many as each load is meant to have)."`
	Only           string  `help:"Only loads with this in their names." placeholder:"TEXT"`
	Temperature    float64 `help:"Temperature of all requests, each with a seed of its own." default:"0"`
	Threads        int     `help:"Compute threads (0: all that this process may use)."`
	results.Output `embed:""`
	Tier           cpu.Tier  `kong:"-"`
	Progress       io.Writer `kong:"-"`
}

// Result is the outcome, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Loads    []*Load        `json:"loads"`
}

// Load is one kind of requests, measured once with guesses and once without in each round.
type Load struct {
	Name     string         `json:"name"`
	Clients  int            `json:"clients"`
	Tokens   int            `json:"tokens"` // of all answers of one run
	With     []float64      `json:"tokens_per_second"`
	Without  []float64      `json:"tokens_per_second_without"`
	CPU      []float64      `json:"cpu_seconds"`
	PlainCPU []float64      `json:"cpu_seconds_without"`
	Drafted  int            `json:"draft_n"`          // in all rounds
	Accepted int            `json:"draft_n_accepted"` // in all rounds
	Rows     float64        `json:"tokens_per_step"`  // with guesses
	Same     bool           `json:"same"`             // the answers with guesses and without
	Ratio    stats.Estimate `json:"ratio"`            // of tokens per second with guesses to without
	Work     stats.Estimate `json:"cpu_ratio"`        // of the processor time without guesses to with: noise of other processes is not in it

	work    workload
	prompts [][]int32
	answers [][]int32
	steps   int
}

// bench is what all runs share.
type bench struct {
	*Speculation
	in *instance.Instance
}

// Run measures and prints.
func (s *Speculation) Run(ctx context.Context, out io.Writer) error {
	if s.Rounds < 1 || s.Tokens < 0 || !(s.Temperature >= 0 && s.Temperature <= 100) {
		return errors.New("--rounds must be at least 1, --tokens and --temperature at least 0")
	}
	if s.Threads == 0 {
		s.Threads = cpu.Threads()
	}
	instance.Tune(s.Threads)
	in, err := instance.Open(s.Model, instance.Options{Tier: s.Tier, Threads: s.Threads, MaxBatch: 8, Draft: s.DraftModel})
	if err != nil {
		return err
	}
	defer in.Close()
	b := &bench{Speculation: s, in: in}
	res := &Result{Record: results.NewRecord("speculation"), Settings: map[string]any{"model": filepath.Base(s.Model), "tier": s.Tier.String(),
		"threads": s.Threads, "rounds": s.Rounds, "tokens": s.Tokens, "temperature": s.Temperature}}
	if s.DraftModel != "" {
		res.Settings["draft_model"] = filepath.Base(s.DraftModel)
	}
	if res.Loads, err = b.loads(ctx); err != nil {
		return err
	}
	if err := b.rounds(ctx, res.Loads); err != nil {
		return err
	}
	same := true
	for _, l := range res.Loads {
		l.Ratio, _ = stats.EstimateRatio(l.With, l.Without)
		l.Work, _ = stats.EstimateRatio(l.PlainCPU, l.CPU)
		l.Rows = float64(l.Tokens*s.Rounds) / float64(max(l.steps, 1))
		same = same && l.Same
	}
	if err := s.Deliver(out, res, res.print); err != nil {
		return err
	}
	if !same {
		return ErrDifferent
	}
	return nil
}

// loads renders the prompts with the model's template.
func (b *bench) loads(ctx context.Context) ([]*Load, error) {
	template, err := chat.Load(b.in.File)
	if err != nil {
		return nil, err
	}
	var loads []*Load
	for _, w := range workloads() {
		if !strings.Contains(w.name, b.Only) {
			continue
		}
		l := &Load{Name: w.name, Clients: len(w.prompts), Same: true, work: w}
		if b.Tokens > 0 {
			l.work.tokens = b.Tokens
		}
		for _, text := range w.prompts {
			p, err := template.Render(ctx, []chat.Message{chat.NewMessage("user", text)}, chat.Options{GenerationPrompt: true})
			if err != nil {
				return nil, err
			}
			l.prompts = append(l.prompts, b.in.Tokenizer.Encode(p.Text, true, true))
		}
		loads = append(loads, l)
	}
	if len(loads) == 0 {
		return nil, fmt.Errorf("no load has %q in its name", b.Only)
	}
	return loads, nil
}

// rounds runs every load with guesses and without in each round, first the one and then the other in turn. The first round, which
// is not counted, fills the prefix cache: prompts are not part of what is compared.
func (b *bench) rounds(ctx context.Context, loads []*Load) error {
	for round := range b.Rounds + 1 {
		for _, l := range loads {
			results.Say(b.Progress, "round %d of %d, %s", round, b.Rounds, l.Name)
			for i := range 2 {
				guesses := (round+i)%2 == 0
				o, err := b.run(ctx, l, guesses, uint64(round))
				if err != nil {
					return fmt.Errorf("%s: %w", l.Name, err)
				}
				l.note(o, guesses, i == 0, round > 0)
			}
		}
	}
	return nil
}

// outcome is one run of a load.
type outcome struct {
	answers           [][]int32
	took, used        time.Duration
	steps             int
	drafted, accepted int
}

// note takes in a run. The second of a round must have the answers of the first.
func (l *Load) note(o *outcome, guesses, first, counts bool) {
	if !first {
		l.Same = l.Same && slices.EqualFunc(o.answers, l.answers, slices.Equal[[]int32])
	}
	l.answers = o.answers
	if !counts {
		return
	}
	tokens := 0
	for _, a := range o.answers {
		tokens += len(a)
	}
	l.Tokens = tokens
	if speed := float64(tokens) / o.took.Seconds(); guesses {
		l.With, l.CPU = append(l.With, speed), append(l.CPU, o.used.Seconds())
		l.Drafted, l.Accepted, l.steps = l.Drafted+o.drafted, l.Accepted+o.accepted, l.steps+o.steps
	} else {
		l.Without, l.PlainCPU = append(l.Without, speed), append(l.PlainCPU, o.used.Seconds())
	}
}

// run sends the requests of a load at once and reads their answers.
func (b *bench) run(ctx context.Context, l *Load, guesses bool, seed uint64) (*outcome, error) {
	o := &outcome{}
	start, used := time.Now(), cpu.Used()
	var streams []*engine.Stream
	for i, prompt := range l.prompts {
		s, err := b.in.Engine.Submit(ctx, engine.Request{Prompt: prompt, MaxTokens: l.work.tokens, Wake: engine.WakeEnd, NoGuesses: !guesses,
			Params: sample.Params{Temperature: float32(b.Temperature), TopP: 1, Seed: seed + uint64(i)<<32}})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		streams = append(streams, s)
	}
	for _, s := range streams {
		var answer []int32
		for {
			token, more, err := s.Next(ctx)
			if err != nil {
				return nil, err
			}
			if !more {
				break
			}
			answer = append(answer, token.ID)
		}
		t := &s.Finish().Timings
		o.answers = append(o.answers, answer)
		o.steps, o.drafted, o.accepted = o.steps+t.Steps, o.drafted+t.Drafted, o.accepted+t.Accepted
	}
	o.took, o.used = time.Since(start), cpu.Used()-used
	return o, nil
}

func (r *Result) print(out io.Writer) error {
	rows := [][]string{{"load", "tokens", "tokens/s", "without", "ratio", "95 %", "by CPU time", "95 %", "guessed", "right", "tokens a step"}}
	for _, l := range r.Loads {
		rows = append(rows, []string{l.Name, fmt.Sprint(l.Tokens), fmt.Sprintf("%.1f", stats.Median(l.With)), fmt.Sprintf("%.1f", stats.Median(l.Without)),
			fmt.Sprintf("%.2f", l.Ratio.Value), results.Interval(l.Ratio, "%.2f"), fmt.Sprintf("%.2f", l.Work.Value), results.Interval(l.Work, "%.2f"),
			fmt.Sprint(l.Drafted), fmt.Sprint(l.Accepted), fmt.Sprintf("%.2f", l.Rows)})
	}
	return results.Table(out, rows)
}
