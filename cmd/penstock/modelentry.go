package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
)

// modelEntry is an element of the configuration file's list of models. Its keys are
// the flags of serve that make sense for one model; what it leaves out is as serve's
// flags say.
type modelEntry struct {
	Name        string        `help:"What clients call the model; left out: its own name."`
	Model       string        `help:"A .gguf file, a catalogue name, hf.co/ORG/REPO[:FILE], or a URL; left out: the name."`
	Aliases     []string      `help:"Further names."`
	Pinned      bool          `help:"Load it at the start, and never unload it."`
	KeepAlive   *stay         `help:"How long it stays loaded without requests."`
	Ctx         int           `help:"Tokens of a sequence."`
	MaxBatch    int           `help:"Sequences that run at once."`
	StepBudget  int           `help:"Rows of a step."`
	KVMemory    byteSize      `name:"kv-memory" help:"Memory of the KV cache."`
	KVType      model.KVType  `name:"kv-type" help:"Numbers of the KV cache."`
	Weights     model.Weights `help:"What becomes of matrices of floats."`
	DraftModel  string        `help:"A smaller model with the same vocabulary, which guesses tokens ahead."`
	PrefixCache bool          `help:"Share the cache blocks of common prefixes." negatable:""`
	Defaults    samplingFlags `embed:""` // the element's own; serve's may change while it runs

	download bool // nobody has named it: the settings of the command line are not made for it
}

// entry is a model with the settings of the command line, but for the sampling
// defaults: the shelf has those.
func (c *serveCommand) entry(name string) modelEntry {
	f := &c.Engine
	return modelEntry{
		Model: name, Ctx: f.Ctx, MaxBatch: f.MaxBatch, StepBudget: f.StepBudget, KVMemory: f.KVMemory, KVType: f.KVType,
		Weights: f.Weights, PrefixCache: f.PrefixCache,
	}
}

// options are those that all models share, with the entry's own.
func (e *modelEntry) options(o instance.Options) instance.Options {
	o.Context, o.MaxBatch, o.StepBudget = e.Ctx, e.MaxBatch, e.StepBudget
	o.Draft = e.DraftModel
	o.KVMemory, o.KV, o.Weights, o.NoPrefix = uint64(e.KVMemory), e.KVType, e.Weights, !e.PrefixCache
	return o
}

func (e *modelEntry) keepAlive() *time.Duration {
	if e.KeepAlive == nil {
		return nil
	}
	d := time.Duration(*e.KeepAlive)
	return &d
}

// stay is how long a model stays loaded without requests: a duration, or a number of
// seconds; negative: for ever.
type stay time.Duration

// UnmarshalText reads 5m, 300 and -1.
func (s *stay) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		seconds, wrong := strconv.ParseInt(string(text), 10, 32)
		if wrong != nil {
			return fmt.Errorf("want a duration such as 5m, a number of seconds, or -1 for ever, not %q", clip(string(text)))
		}
		d = time.Duration(seconds) * time.Second
	}
	*s = stay(max(d, -1))
	return nil
}

// String is the duration as it is written.
func (s stay) String() string {
	if s < 0 {
		return "-1"
	}
	return time.Duration(s).String()
}

// entries reads the list of models for serve. Elements are names, or have the keys
// of modelEntry.
func (c *config) entries(serve *serveCommand) ([]modelEntry, error) {
	var all []modelEntry
	names := map[string]bool{}
	for i, item := range c.models {
		e := serve.entry("")
		if err := readEntry(&e, item); err != nil {
			return nil, c.wrong(c.modelsAt, "models[%d]: %w", i, plain(err))
		}
		for _, name := range append([]string{e.Name}, e.Aliases...) {
			if name != "" && names[name] {
				return nil, c.wrong(c.modelsAt, "models[%d]: there are two models called %q", i, clip(name))
			}
			names[name] = true
		}
		all = append(all, e)
	}
	return all, nil
}

// readEntry fills in what an element of the list says.
func readEntry(e *modelEntry, item any) error {
	keys, ok := item.(map[string]any)
	if !ok {
		name, ok := item.(string)
		if !ok || name == "" {
			return errors.New("want the name of a model, or keys such as name and model")
		}
		keys = map[string]any{"model": name}
	}
	parser, err := kong.New(e, append(numberMappers(), kong.NoDefaultHelp())...)
	if err != nil {
		return err
	}
	flags := map[string]*kong.Value{}
	for _, f := range parser.Model.Flags {
		flags[f.Name] = f.Value
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		flag := flags[key]
		if flag == nil {
			return fmt.Errorf("unknown key %q%s", clip(key), suggest(key, slices.Collect(maps.Keys(flags))))
		}
		value, err := (&config{}).text(key, keys[key])
		if err != nil {
			return fmt.Errorf("%q wants a value, or a list of them", clip(key))
		}
		if _, list := value.([]any); list && !flag.IsSlice() {
			return fmt.Errorf("%q wants one value, not a list", key)
		}
		if err := flag.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), flag.Target); err != nil {
			return err
		}
	}
	if e.Model == "" {
		e.Model = e.Name
	}
	if e.Model == "" {
		return errors.New("want a name or a model")
	}
	return nil
}
