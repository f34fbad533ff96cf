package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
)

// engineFlags are the flags of every command that runs a model.
type engineFlags struct {
	Threads     int           `help:"Compute threads; 0: all that the cgroup quota and the affinity mask allow." env:"PENSTOCK_THREADS" default:"0"`
	Ctx         int           `help:"Tokens of a sequence; 0: the model's, capped by memory." env:"PENSTOCK_CTX" default:"0"`
	MaxBatch    int           `help:"Sequences that run at once; 0: 32." env:"PENSTOCK_MAX_BATCH" default:"0"`
	StepBudget  int           `help:"Rows of a step; 0: 256." env:"PENSTOCK_STEP_BUDGET" default:"0"`
	KVMemory    byteSize      `name:"kv-memory" help:"Memory of the KV cache, such as 2GiB; 0: by context and batch." env:"PENSTOCK_KV_MEMORY" default:"0"`
	KVType      model.KVType  `name:"kv-type" help:"Numbers of the KV cache: i16 (as small as f16, nearer to float32), f16, or q8 (half the memory)." env:"PENSTOCK_KV_TYPE" default:"i16" values:"i16,f16,q8"`
	Weights     model.Weights `help:"Matrices that a file has in floats: exact, q8_0 (rounded while loading; about three times as fast), or auto (q8_0 for embedding models of the encoder kind, exact for others)." env:"PENSTOCK_WEIGHTS" default:"auto"`
	MemoryLimit byteSize      `help:"Memory of the whole process; 0: what the cgroup or the machine has." env:"PENSTOCK_MEMORY_LIMIT" default:"0"`
	Speculate   string        `help:"Guess the next tokens from what stands in prompt and answer, where rows of a step are free: auto or off. Answers are the same either way." enum:"auto,off" env:"PENSTOCK_SPECULATE" default:"auto"`
	DraftModel  string        `name:"draft-model" help:"A smaller model with the same vocabulary, which guesses where the text does not repeat itself: a path, a name or a URL." env:"PENSTOCK_DRAFT_MODEL" placeholder:"MODEL"`
	PrefixCache bool          `help:"Share the cache blocks of common prefixes." env:"PENSTOCK_PREFIX_CACHE" default:"true" negatable:""`
}

var errNoGuesses = errors.New("--draft-model guesses tokens, and --speculate=off asks for no guesses: give one of both")

// options are the instance's options that the flags ask for.
func (f *engineFlags) options(cli *commands) (instance.Options, error) {
	tier, err := cli.tier()
	if err != nil {
		return instance.Options{}, err
	}
	if f.DraftModel != "" && f.Speculate == "off" {
		return instance.Options{}, errNoGuesses
	}
	limit := uint64(f.MemoryLimit)
	if limit == 0 {
		limit = cpu.MemoryLimit()
	}
	return instance.Options{
		Tier: tier, Threads: f.Threads, Context: f.Ctx, MaxBatch: f.MaxBatch, StepBudget: f.StepBudget,
		KVMemory: uint64(f.KVMemory), KV: f.KVType, Weights: f.Weights, MemoryLimit: limit, NoPrefix: !f.PrefixCache, NoGuesses: f.Speculate == "off",
	}, nil
}

// draft fetches the model that is to guess for another, if there is one.
func (f *engineFlags) draft(ctx context.Context, cli *commands, term terminal, name string) (path string, err error) {
	switch {
	case name == "":
		return "", nil
	case f.Speculate == "off":
		return "", errNoGuesses
	}
	return cli.fetch(ctx, term, name)
}

// load fetches the model where needed and makes it ready.
func (cli *commands) load(ctx context.Context, term terminal, name string, o instance.Options) (*instance.Instance, error) {
	path, err := cli.fetch(ctx, term, name)
	if err != nil {
		return nil, err
	}
	if o.Context == 0 {
		o.Context = publishedContext(path)
	}
	instance.Tune(o.Threads)
	report, end := loading(term.err, name)
	o.Progress = report
	defer end()
	in, err := unlessDone(ctx, func() (*instance.Instance, error) { return instance.Open(path, o) })
	if err == nil {
		if guesses := instance.Guesses(in.File); guesses != "" {
			fmt.Fprintln(term.err, "penstock:", guesses)
		}
	}
	return in, err
}

// publishedContext is the context that a model's publisher gives it, 0 where nothing is
// said or the model was not made for so many tokens.
func publishedContext(path string) int {
	n := publishedWith(path).Context
	if n == 0 {
		return 0
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	if config, err := model.Describe(file); err != nil || n > config.Context {
		return 0
	}
	return n
}

// unlessDone calls f, and does not wait for it when ctx ends: the program ends, and
// with it what is still loading.
func unlessDone[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
