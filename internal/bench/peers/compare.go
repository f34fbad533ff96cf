package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/programs"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// Compare sends the same load to several servers in alternated rounds: `penstock bench compare`. Each round starts
// the servers anew, all at once, and runs them one after the other, so that rounds are independent of each other and a change of
// the machine's speed is shared by all servers of a round.
type Compare struct {
	Peer           []string      `help:"Server to compare with: NAME=URL, llama-server=BINARY, penstock=BINARY, or NAME=COMMAND with {model} {port} {threads} {slots} {ctx}." required:"" sep:"none"`
	Self           bool          `help:"Compare this program's own server, first." default:"true" negatable:""`
	Model          string        `help:"Model to start the servers with."`
	Ask            string        `help:"Model to ask for (default: each server's first)."`
	API            string        `help:"What the servers speak." enum:"auto,completions,chat,native,ollama,ollama-chat" default:"completions"`
	Rounds         int           `help:"Rounds; each holds a run of every server." default:"5"`
	Threads        int           `help:"Threads of each server (0: all that this process may use)."`
	Slots          int           `help:"Requests that a server takes at once (0: as many as clients)."`
	Ctx            int           `help:"Context of a request, for servers that are started (0: their default)."`
	Settle         time.Duration `help:"Pause before each run." default:"500ms"`
	loadtest.Work  `embed:""`
	results.Output `embed:""`
	Progress       io.Writer `kong:"-"`

	// Executable is this program, for Self. cmd/penstock sets it.
	Executable string `kong:"-"`

	// probe measures how fast so many threads read memory; nil: limits.Bandwidth.
	probe func(threads int) float64
}

// level is the most that the chance of calling equal servers different may be.
const level = 0.05

// CompareResult is the outcome of Compare, as JSON.
type CompareResult struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Servers  []Compared     `json:"servers"` // the first one is compared with each of the others
	Rounds   []CompareRound `json:"rounds"`
}

// Compared is one server over all rounds.
type Compared struct {
	Name            string         `json:"name"`
	Kept            bool           `json:"kept,omitempty"` // it was running already, so that all rounds had the same process
	TokensPerSecond stats.Estimate `json:"tokens_per_second"`
	// Ratio is the first server's speed over this one's, round by round. P is the chance of such a ratio, or one farther from 1, if
	// both were equal: the paired t test over the rounds, adjusted by Holm's method for the number of servers.
	Ratio     *stats.Estimate `json:"ratio,omitempty"`
	P         float64         `json:"p,omitempty"`
	TTFT      float64         `json:"ttft_p50_ms,omitempty"`
	ITL       float64         `json:"itl_p99_ms,omitempty"`
	E2E       float64         `json:"e2e_p50_ms"`
	ServerCPU float64         `json:"server_cpu_us_per_token,omitempty"` // only of servers that were started here
	samples   []float64
}

// CompareRound is one round: a run of every server, in the order given.
type CompareRound struct {
	Bandwidth float64            `json:"read_bytes_per_second"` // plain reads, just before
	Order     []string           `json:"order"`
	Runs      []loadtest.Summary `json:"runs"` // in the order of Servers
	CPU       []float64          `json:"server_cpu_us_per_token"`
}

// contender is a server under comparison.
type contender struct {
	name   string
	target load.Target
	server *programs.Server // nil: it was running already
}

// Run compares and prints. It fails when a server can't be started or reached, and when the servers did not do the same work.
func (c *Compare) Run(ctx context.Context, out io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	res := &CompareResult{Record: results.NewRecord("compare"), Settings: c.settings()}
	for i := range c.Rounds {
		if err := c.repeat(ctx, i, res); err != nil {
			return err
		}
	}
	res.Conclude()
	return c.Deliver(out, res, res.print)
}

// repeat starts the servers anew and runs a round. With the same processes throughout, what is peculiar to one of them, such as
// the pages of memory that it got, would be in all rounds and look like a difference between the programs.
func (c *Compare) repeat(ctx context.Context, i int, res *CompareResult) error {
	contenders, stop, err := c.contenders(ctx)
	defer stop()
	if err != nil {
		return err
	}
	for _, x := range contenders {
		if i == 0 {
			res.Servers = append(res.Servers, Compared{Name: x.name, Kept: x.server == nil})
		}
		if n := c.WarmupRequests(); n > 0 {
			if err := loadtest.Warm(ctx, &c.Work, x.target, n); err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
		}
	}
	round, err := c.round(ctx, contenders, i)
	if err != nil {
		return fmt.Errorf("round %d: %w", i+1, err)
	}
	res.Rounds = append(res.Rounds, *round)
	return nil
}

func (c *Compare) check() error {
	if err := c.Work.Check(); err != nil {
		return err
	}
	switch {
	case c.Rounds < 1:
		return errors.New("--rounds must be at least 1")
	case c.Requests < 1 || c.Concurrency < 1:
		return errors.New("a comparison needs --requests and --concurrency of at least 1")
	case len(c.Peer) == 0:
		return errors.New("name at least one --peer")
	case !c.Self && len(c.Peer) < 2:
		return errors.New("without this program's own server it takes two --peer")
	}
	return nil
}

func (c *Compare) setup() programs.Setup {
	s := programs.Setup{Model: c.Model, Threads: c.Threads, Slots: c.Slots, Context: c.Ctx}
	if s.Threads == 0 {
		s.Threads = cpu.Threads()
	}
	if s.Slots == 0 {
		s.Slots = c.Concurrency
	}
	return s
}

// contenders starts the servers, or finds those that run already. The caller must call stop, also after an error.
func (c *Compare) contenders(ctx context.Context) (list []contender, stop func(), err error) {
	stop = func() {
		for _, x := range list {
			if x.server != nil {
				x.server.Stop()
			}
		}
	}
	names := c.Peer
	if c.Self {
		names = append([]string{"penstock=" + c.Executable}, names...)
	}
	for _, text := range names {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return list, stop, fmt.Errorf("peer %q: want NAME=URL or NAME=BINARY", text)
		}
		for _, other := range list {
			if other.name == name {
				return list, stop, fmt.Errorf("two peers are called %q", name)
			}
		}
		x, err := c.contender(ctx, name, value)
		if err != nil {
			return list, stop, err
		}
		list = append(list, x)
		if list[len(list)-1].target, err = load.Detect(ctx, x.target); err != nil {
			return list, stop, fmt.Errorf("%s: %w", name, err)
		}
	}
	return list, stop, nil
}

func (c *Compare) contender(ctx context.Context, name, value string) (contender, error) {
	x := contender{name: name, target: c.Target(value, load.Dialect(c.API))}
	x.target.Model = c.Ask
	if strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://") {
		return x, nil
	}
	if c.Model == "" {
		return x, fmt.Errorf("peer %q is a program: --model says what it should serve", name)
	}
	if _, err := os.Stat(c.Model); err != nil {
		return x, fmt.Errorf("--model: %w", err)
	}
	var spec programs.Spec
	var err error
	switch {
	case strings.HasPrefix(name, "llama-server"):
		spec, err = programs.Llama(value, c.setup())
	case strings.HasPrefix(name, "penstock") && !strings.Contains(value, "{"):
		spec, err = programs.Penstock(value, c.setup())
	default:
		spec, err = programs.Custom(name, value, c.setup())
	}
	if err != nil {
		return x, err
	}
	if x.server, err = programs.Start(ctx, spec); err != nil {
		return x, err
	}
	x.target.URL = spec.URL
	return x, nil
}

// round sends the same prompts to every server, one after the other. Each round begins with another server.
func (c *Compare) round(ctx context.Context, contenders []contender, i int) (*CompareRound, error) {
	n, probe := len(contenders), c.probe
	if probe == nil {
		probe = limits.Bandwidth
	}
	r := &CompareRound{Bandwidth: probe(c.setup().Threads), Runs: make([]loadtest.Summary, n), CPU: make([]float64, n)}
	prompts, err := c.PromptSet(c.NextSeed() + uint64(i))
	if err != nil {
		return nil, err
	}
	for k := range n {
		at := (i + k) % n
		x := contenders[at]
		r.Order = append(r.Order, x.name)
		if err := load.Pause(ctx, c.Settle); err != nil {
			return nil, err
		}
		s, cpuPerToken, err := c.measure(ctx, x, prompts, fmt.Sprintf("round %d of %d, %s", i+1, c.Rounds, x.name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.name, err)
		}
		r.Runs[at], r.CPU[at] = *s, cpuPerToken
	}
	return r, sameWork(contenders, r.Runs, c.IgnoreEOS, c.Requests*c.Gen)
}

func (c *Compare) measure(ctx context.Context, x contender, prompts load.Prompts, name string) (*loadtest.Summary, float64, error) {
	bar := loadtest.NewProgress(c.Progress, name, c.Requests)
	before := x.server.UsedCPU()
	r, err := load.Run(ctx, x.target, load.Traffic{Clients: c.Concurrency, Requests: c.Requests}, prompts, func(*load.Sample) { bar.Step() })
	used := x.server.UsedCPU() - before
	bar.End()
	if err != nil {
		return nil, 0, err
	}
	if x.server != nil && !x.server.Alive() {
		return nil, 0, errors.New("the server ended")
	}
	s, err := loadtest.Summarise(r, nil)
	if err != nil {
		return nil, 0, err
	}
	return s, used.Seconds() * 1e6 / float64(s.OutputTokens), s.Failures()
}

// sameWork returns an error for runs that can't be compared: the servers must have generated equally many tokens, from prompts of equal
// length.
func sameWork(contenders []contender, runs []loadtest.Summary, ignoreEOS bool, want int) error {
	for i := range runs {
		a, b := runs[0], runs[i]
		if a.OutputTokens != b.OutputTokens {
			return fmt.Errorf("unequal work: %s generated %d tokens, %s %d", contenders[0].name, a.OutputTokens, contenders[i].name, b.OutputTokens)
		}
		if diff := a.PromptTokens - b.PromptTokens; max(diff, -diff) > a.Requests {
			return fmt.Errorf("unequal work: %s counted %d prompt tokens, %s %d, more than one of difference a request",
				contenders[0].name, a.PromptTokens, contenders[i].name, b.PromptTokens)
		}
	}
	if got := runs[0].OutputTokens; ignoreEOS && want > 0 && got != want {
		return fmt.Errorf("%d tokens were asked for with ignore_eos, but every server generated %d", want, got)
	}
	return nil
}

// Conclude computes each server's figures and ratios from the rounds.
func (r *CompareResult) Conclude() {
	var ps []float64
	for i := range r.Servers {
		s := &r.Servers[i]
		var ttft, itl, e2e, cpus []float64
		for _, round := range r.Rounds {
			run := round.Runs[i]
			s.samples = append(s.samples, run.TokensPerSecond)
			e2e = append(e2e, run.E2E.P50)
			if run.TTFT != nil {
				ttft = append(ttft, run.TTFT.P50)
			}
			if run.ITL != nil {
				itl = append(itl, run.ITL.P99)
			}
			if round.CPU[i] > 0 {
				cpus = append(cpus, round.CPU[i])
			}
		}
		s.TokensPerSecond = stats.EstimateSpeed(s.samples)
		s.E2E = stats.Median(e2e)
		if len(ttft) > 0 {
			s.TTFT = stats.Median(ttft)
		}
		if len(itl) > 0 {
			s.ITL = stats.Median(itl)
		}
		if len(cpus) > 0 {
			s.ServerCPU = stats.Median(cpus)
		}
		if i > 0 {
			e, p := stats.EstimateRatio(r.Servers[0].samples, s.samples)
			s.Ratio, s.P = &e, p
			ps = append(ps, p)
		}
	}
	for i, p := range stats.Holm(ps) {
		r.Servers[i+1].P = p
	}
}

func (r *CompareResult) print(out io.Writer) error {
	rows := [][]string{{"server", "tokens/s", "95 % CI", r.Servers[0].Name + " is", "95 % CI", "p (Holm)", "TTFT p50", "ITL p99", "E2E p50", "CPU-µs/token"}}
	dash := func(x float64, form string) string {
		if x == 0 {
			return "-"
		}
		return fmt.Sprintf(form, x)
	}
	for _, s := range r.Servers {
		row := []string{s.Name, fmt.Sprintf("%.1f", s.TokensPerSecond.Value), results.Interval(s.TokensPerSecond, "%.1f"), "-", "-", "-",
			dash(s.TTFT, "%.1f ms"), dash(s.ITL, "%.1f ms"), dash(s.E2E, "%.1f ms"), dash(s.ServerCPU, "%.0f")}
		if s.Ratio != nil {
			row[3], row[4], row[5] = fmt.Sprintf("%.2f x", s.Ratio.Value), results.Interval(*s.Ratio, "%.2f"), fmt.Sprintf("%.3g", s.P)
		}
		rows = append(rows, row)
	}
	if err := results.Table(out, rows); err != nil {
		return err
	}
	first := r.Rounds[0].Runs[0]
	fmt.Fprintf(out, "%d rounds, %d requests and %d output tokens each; plain reads at", len(r.Rounds), first.Requests, first.OutputTokens)
	for _, round := range r.Rounds {
		fmt.Fprintf(out, " %.1f", round.Bandwidth/1e9)
	}
	fmt.Fprintln(out, " GB/s")
	for _, s := range r.Servers[1:] {
		switch {
		case !s.Ratio.Claims():
			fmt.Fprintf(out, "no claim about %s and %s: figures are medians of %d rounds, and intervals take at least %d\n", r.Servers[0].Name, s.Name, s.Ratio.N, stats.MinRepeats)
		case s.P >= level:
			fmt.Fprintf(out, "the noise is larger than the difference between %s and %s\n", r.Servers[0].Name, s.Name)
		}
	}
	for _, s := range r.Servers {
		if s.Kept {
			fmt.Fprintf(out, "%s was not restarted between the rounds: what is peculiar to its process is in all of them\n", s.Name)
		}
	}
	return nil
}

func (c *Compare) settings() map[string]any {
	s := c.setup()
	return map[string]any{"model": filepath.Base(c.Model), "api": c.API, "rounds": c.Rounds, "threads": s.Threads, "slots": s.Slots, "ctx": c.Ctx,
		"requests": c.Requests, "concurrency": c.Concurrency, "gen": c.Gen, "temperature": c.Temperature, "ignore_eos": c.IgnoreEOS,
		"words": c.Words, "prefix_words": c.PrefixWords, "turns": c.Turns, "stream": c.Stream, "fresh": c.Fresh, "http2": c.HTTP2, "prompt": c.Prompt}
}
