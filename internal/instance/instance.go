// Package instance makes a model ready to serve: it opens the file, decides how
// the memory is shared out, loads tokenizer and weights, and starts an engine
// over them. It serves no requests itself and knows no protocol. The commands
// and the benchmark's layers call it, so that all of them run the same thing.
package instance

import (
	"errors"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/prefixstore"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Options are how a model is to be served. Zero fields mean the defaults.
type Options struct {
	Tier        cpu.Tier
	Threads     int           // all that the process may use
	Pool        *nn.Pool      // the workers, shared with other instances; nil: Threads workers of its own
	Context     int           // tokens of a sequence; the model's, capped by memory
	MaxBatch    int           // sequences that run at once: 32
	MaxQueue    int           // requests that wait beyond those: 256
	MaxWait     time.Duration // requests that would begin later are refused; 0: none is
	StepBudget  int           // rows of a step: 256
	ChunkTokens int           // prompt rows of a step while streams decode
	KVMemory    uint64        // bytes of the KV cache
	KV          model.KVType
	Weights     model.Weights // what becomes of matrices of floats
	MemoryLimit uint64        // bytes of the process; 0: no limit
	NoPrefix    bool          // do not share the blocks of common prefixes
	Draft       string        // file of a smaller model with the same vocabulary, which guesses tokens ahead; "": none
	NoGuesses   bool          // do not guess tokens ahead where rows of a step are free
	Untuned     bool          // the caller has a Heap for several instances, and tunes it
	OnPanic     func(value any, stack []byte)
	StepLimit   time.Duration // see engine.Config
	OnStuck     func(engine.Stuck)
	Progress    func(done, total int64) // bytes of weights loaded

	Prefixes      *prefixstore.Store // keeps the beginnings of prompts in a folder; nil: nothing does
	Build         string             // of the program: another may compute other bits, and has blocks of its own there
	OnPrefixError func(error)        // is told why one could not be written
}

func (o Options) withDefaults() Options {
	switch {
	case o.Pool != nil:
		o.Threads = o.Pool.Workers()
	case o.Threads <= 0:
		o.Threads = cpu.Threads()
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 32
	}
	if o.StepBudget <= 0 {
		o.StepBudget = 256
	}
	o.StepBudget = max(o.StepBudget, o.MaxBatch)
	return o
}

// encoding are the options for an encoder, whose texts are whole in a step: a step
// has room for a text as long as the context, and for many that are short.
func (o Options) encoding(c model.Config) Options {
	context := c.Context
	if o.Context > 0 {
		context = min(context, o.Context)
	}
	o.MaxBatch = max(o.MaxBatch, encoderBatch)
	o.StepBudget = max(o.StepBudget, encoderRows, context)
	return o
}

const (
	encoderBatch = 64  // texts of a step
	encoderRows  = 512 // tokens of a step
)

// model is the part of the options that the model is loaded with.
func (o Options) model() model.Options {
	return model.Options{
		Tier: o.Tier, Threads: o.Threads, Pool: o.Pool, MaxRows: o.StepBudget, MaxLogits: max(o.MaxBatch, 64), KV: o.KV, Weights: o.Weights, Progress: o.Progress,
	}
}

// Instance is a loaded model with its engine running.
type Instance struct {
	File      *gguf.File
	Tokenizer *tokenizer.Tokenizer
	Model     *model.Model
	Store     *kvcache.Store
	Draft     *Draft // nil: there is none
	Engine    *engine.Engine
	Memory    Memory        // the plan that it keeps to
	Loaded    time.Duration // what loading took
}

// Open loads the model in a GGUF file, or in a folder as Hugging Face keeps models.
func Open(path string, o Options) (*Instance, error) {
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	return Load(file, o)
}

// Load loads the model in a file, which belongs to the instance then. After an
// error it is closed. A file that is cut while it is read is an error like others.
func Load(file *gguf.File, o Options) (*Instance, error) {
	start := time.Now()
	in := &Instance{File: file}
	err := file.Guard(func() error { return in.load(o.withDefaults()) })
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	in.Loaded = time.Since(start)
	return in, nil
}

// explain names the file if a panic came of reading it.
func (in *Instance) explain(value any) any {
	if fault := in.File.Fault(value); fault != nil {
		return fault
	}
	if in.Draft != nil {
		if fault := in.Draft.file.Fault(value); fault != nil {
			return fault
		}
	}
	return value
}

// load fills in everything but the file.
func (in *Instance) load(o Options) error {
	config, err := model.Describe(in.File)
	if err != nil {
		return err
	}
	if config.Encoder {
		o = o.encoding(config)
	}
	options := o.model()
	n, p, err := estimate(in.File, o)
	if err != nil {
		return err
	}
	options.Context = p.context
	if err := in.read(options); err != nil {
		return err
	}
	if in.Store, err = in.Model.NewStore(kvcache.Room{Blocks: p.blocks, Windows: p.windows}); err != nil {
		return err
	}
	cfg := engine.Config{
		Blocks:      p.blocks,
		BlockTokens: kvcache.BlockTokens,
		Context:     p.context,

		Window:       n.Window,
		WindowBlocks: p.windows,

		MaxBatch:    o.MaxBatch,
		MaxQueue:    o.MaxQueue,
		MaxWait:     o.MaxWait,
		StepBudget:  o.StepBudget,
		ChunkTokens: o.ChunkTokens,
		PrefixCache: !o.NoPrefix,
		Speculate:   !o.NoGuesses && !config.Encoder,
		EOG:         in.Tokenizer.EOG(),
		Encoder:     config.Encoder,
		Kernels:     kernel.New(o.Tier),
		OnPanic:     o.OnPanic,
		StepLimit:   o.StepLimit,
		OnStuck:     o.OnStuck,
		Explain:     in.explain,
	}
	if o.Prefixes != nil && !o.NoPrefix && !config.Encoder {
		if cfg.Prefixes, err = prefixes(in.File, o); err != nil {
			return err
		}
		cfg.OnPrefixError = o.OnPrefixError
	}
	if o.Draft != "" {
		if in.Draft, err = openDraft(o.Draft, in, options, p.blocks); err != nil {
			return err
		}
		cfg.Draft, cfg.DraftContext = engine.ForModel(in.Draft.model, in.Draft.store), in.Draft.model.Config().Context
	}
	in.Engine, err = engine.New(engine.ForModel(in.Model, in.Store), in.Model.Pool(), cfg)
	if err != nil {
		return err
	}
	in.Memory = memory(n, p)
	switch {
	case o.Untuned:
	case o.MemoryLimit > 0:
		NewHeap().Tune(left(o.MemoryLimit, in.Memory.outside()))
	default:
		NewHeap().Tune(0)
	}
	return nil
}

// read loads vocabulary and weights side by side: neither needs the other.
func (in *Instance) read(o model.Options) (err error) {
	type vocabulary struct {
		tok *tokenizer.Tokenizer
		err error
	}
	vocab := make(chan vocabulary, 1)
	go func() {
		tok, err := tokenizer.New(in.File)
		vocab <- vocabulary{tok, err}
	}()
	in.Model, err = model.Load(in.File, o)
	v := <-vocab
	in.File.ReleaseHeader()
	in.Tokenizer = v.tok
	return errors.Join(err, v.err)
}

// Context is the number of tokens that a sequence may have.
func (in *Instance) Context() int { return in.Engine.Config().Context }

// Close ends all requests and frees everything.
func (in *Instance) Close() error {
	if in.Engine != nil {
		in.Engine.Close()
	}
	var errs []error
	if in.Draft != nil {
		errs = append(errs, in.Draft.close())
	}
	if in.Store != nil {
		errs = append(errs, in.Store.Close())
	}
	if in.Model != nil {
		errs = append(errs, in.Model.Close())
	}
	return errors.Join(append(errs, in.File.Close())...)
}
