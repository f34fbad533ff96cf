package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	machine "github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/hub"
)

type recommendCommand struct {
	MinSpeed    float64  `help:"Tokens per second that one stream should reach." default:"10" placeholder:"N"`
	MemoryLimit byteSize `help:"Memory of the whole process; 0: what the cgroup or the machine has." env:"PENSTOCK_MEMORY_LIMIT" default:"0"`
	Threads     int      `help:"Compute threads; 0: all that the cgroup quota and the affinity mask allow." env:"PENSTOCK_THREADS" default:"0"`
	JSON        bool     `name:"json" help:"Print JSON."`
}

// Help is the text below the usage in `penstock recommend --help`.
func (*recommendCommand) Help() string {
	return "Speeds are predictions: the bytes that a token reads and the operations that it takes, over the bandwidth and the int8 ceiling that " +
		"this machine reached just now. `penstock bench steps --model MODEL` measures them."
}

// advice is what recommend says of this machine and the catalogue.
type advice struct {
	CPU       string         `json:"cpu"`
	Tier      string         `json:"tier"`
	Threads   int            `json:"threads"`
	Memory    uint64         `json:"memory_limit"`
	Free      uint64         `json:"memory_available,omitempty"`
	Limits    machine.Limits `json:"measured"`
	Models    []candidate    `json:"models"`
	Choice    string         `json:"recommended,omitempty"`
	Because   string         `json:"because"`
	Embedding string         `json:"recommended_for_embeddings,omitempty"`
}

// candidate is a model of the catalogue on this machine.
type candidate struct {
	Model    string  `json:"model"`
	Title    string  `json:"title"`
	Kind     string  `json:"kind"` // "chat", "text" or "embeddings"
	Here     bool    `json:"on_this_machine"`
	Download int64   `json:"download"`
	Needs    uint64  `json:"memory"` // with a context of ordinary length
	Fits     bool    `json:"fits"`
	Now      bool    `json:"fits_now"` // beside what else runs
	Context  int     `json:"context"`
	One      float64 `json:"one_stream_tokens_per_second,omitempty"`
	Eight    float64 `json:"eight_clients_tokens_per_second,omitempty"`
	Quality  string  `json:"quality"`
}

// Conversations of the length that speeds are predicted for, and the context that a
// model must have room for.
const (
	usualTokens  = 512
	leastContext = 2048
)

func (c *recommendCommand) Run(cli *commands, term terminal) error {
	tier, err := cli.tier()
	if err != nil {
		return err
	}
	a := advice{CPU: cpu.Name(), Tier: tier.String(), Threads: c.Threads, Memory: uint64(c.MemoryLimit), Free: cpu.Examine().Available}
	if a.Threads == 0 {
		a.Threads = cpu.Threads()
	}
	if a.Memory == 0 {
		a.Memory = cpu.MemoryLimit()
	}
	a.Limits = machine.Probe(tier, a.Threads, 256<<20)
	store := cli.store(nil)
	for _, e := range hub.Catalogue {
		_, here, err := store.Resolve(e.Name)
		a.Models = append(a.Models, a.candidate(&e, here && err == nil))
	}
	a.choose(c.MinSpeed)
	if c.JSON {
		return json.NewEncoder(term.out).Encode(a)
	}
	return a.print(term.out)
}

// candidate judges a model of the catalogue.
func (a *advice) candidate(e *hub.Entry, here bool) candidate {
	f := e.Figures
	c := candidate{Model: e.Name, Title: e.Title, Kind: "chat", Here: here, Download: e.Size, Quality: e.Quality}
	fixed := uint64(f.Weights + f.Buffers)
	c.Needs = fixed + uint64(min(leastContext, f.Context))*uint64(f.PerToken)
	c.Fits = a.Memory == 0 || c.Needs <= a.Memory
	c.Now = c.Fits && (a.Free == 0 || c.Needs <= a.Free)
	if c.Fits {
		c.Context = f.Context
		if a.Memory > 0 {
			c.Context = min(f.Context, max(leastContext, int((a.Memory-fixed)/2/uint64(f.PerToken))))
		}
	}
	switch {
	case e.Encoder:
		c.Kind = "embeddings"
		return c
	case e.Base:
		c.Kind = "text"
	}
	work := machine.Work{Weights: f.Weights, Params: f.Params, PerToken: f.PerToken, Context: usualTokens}
	c.One, c.Eight = a.Limits.Rate(work, 1, a.Threads), a.Limits.Rate(work, 8, a.Threads)
	return c
}

// choose names the largest model that chats, fits and is fast enough: of models of a
// kind the larger one answers better. Where none is fast enough it is the fastest.
func (a *advice) choose(least float64) {
	var best, fastest, embedding *candidate
	for i := range a.Models {
		switch c := &a.Models[i]; {
		case !c.Fits:
		case c.Kind == "embeddings":
			if embedding == nil || c.Download > embedding.Download {
				embedding = c
			}
		case c.Kind == "chat":
			if fastest == nil || c.One > fastest.One {
				fastest = c
			}
			if c.One >= least && (best == nil || c.Download > best.Download) {
				best = c
			}
		}
	}
	if embedding != nil {
		a.Embedding = embedding.Model
	}
	switch {
	case best != nil:
		a.Choice, a.Because = best.Model, fmt.Sprintf("the largest that fits and gives one stream %.0f tokens a second or more", least)
	case fastest != nil:
		a.Choice, a.Because = fastest.Model, fmt.Sprintf("none gives one stream %.0f tokens a second here, this one comes nearest", least)
	default:
		a.Because = fmt.Sprintf("no model of the catalogue fits into %s", bytesText(a.Memory))
	}
}

func (a *advice) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %s kernels, %d thread(s); reads %.1f GB/s", a.CPU, a.Tier, a.Threads, a.Limits.Bandwidth/1e9)
	if a.Limits.Ops > 0 {
		fmt.Fprintf(out, ", int8 %.0f GOPS", a.Limits.Ops/1e9)
	}
	fmt.Fprintf(out, "; memory limit %s, %s free now\n\n", bytesText(a.Memory), bytesText(a.Free))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tDOWNLOAD\tMEMORY\tFITS\tCONTEXT\tONE STREAM\t8 CLIENTS")
	for _, c := range a.Models {
		download, mark := bytesText(c.Download), ""
		if c.Here {
			download = "is here"
		}
		if c.Model == a.Choice {
			mark = " *"
		}
		if !c.Fits {
			fmt.Fprintf(table, "%s\t%s\t%s\tno\t\t\t\n", c.Model, download, bytesText(c.Needs))
			continue
		}
		fmt.Fprintf(table, "%s%s\t%s\t%s\t%s\t%d tokens\t%s\t%s\n", c.Model, mark, download, bytesText(c.Needs), fitText(c.Now), c.Context, rateText(c.One), rateText(c.Eight))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, c := range a.Models {
		fmt.Fprintf(table, "%s\t%s\n", c.Model, c.Quality)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nAll of these are small. For work that has to be right take a model of 7 B or more as GGUF from Hugging Face, if the memory allows:\n"+
		"a file in Q4_K_M takes about 0.6 GB for each billion weights, and one stream about %.0f tokens a second of 7 B here.\n", a.billions(7))
	if a.Choice == "" {
		_, err := fmt.Fprintf(out, "\nNothing to recommend: %s.\n", a.Because)
		return err
	}
	_, err := fmt.Fprintf(out, "\n* recommended: %s.\n    penstock run %s\n", a.Because, a.Choice)
	return err
}

// billions predicts the speed of one stream for a dense model of so many billions of
// weights in Q4_K_M.
func (a *advice) billions(n float64) float64 {
	return a.Limits.Rate(machine.Work{Weights: int64(n * 0.6e9), Params: int64(n * 1e9), PerToken: 130 << 10, Context: usualTokens}, 1, a.Threads)
}

func fitText(now bool) string {
	if now {
		return "yes"
	}
	return "not beside what runs now"
}

func rateText(rate float64) string {
	if rate == 0 {
		return ""
	}
	return fmt.Sprintf("about %.0f tokens/s", rate)
}
