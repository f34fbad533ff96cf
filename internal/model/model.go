// Package model turns a GGUF file into something that can compute: it knows the
// architectures, ties the file's tensors to them, loads the weights and runs
// steps, Forward(batch, cache) -> logits.
//
// It is not where the arithmetic is (package nn), it does not choose what is in
// a batch (package sched) and it knows no text. The engine and the evaluation
// call it.
//
// Reading order: model.go, registry.go, decoder.go, llama.go, bind.go.
package model

import (
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Options are how a model is to be run.
type Options struct {
	Tier      cpu.Tier // best kernels to use
	Threads   int      // workers; 0: all that the process may use
	Pool      *nn.Pool // the workers, shared with other models; nil: Threads workers of its own
	MaxRows   int      // rows of a step; 0: 512
	MaxLogits int      // rows of a step whose logits may be asked for; 0: 64, at most MaxRows
	Reference bool     // float32 instead of the fast path
	Context   int      // positions of the longest sequence; 0: as many as the model was made for
	KV        KVType   // of the cache; the reference has its own
	Weights   Weights  // what becomes of matrices of floats; the reference has its own

	// Progress is told how many bytes of the file's weights are loaded.
	Progress func(done, total int64)
}

// KVType is the number format of a cache.
type KVType uint8

const (
	KV16  KVType = iota // 16 bits: integers with a scale per position, nearer to float32 than halves
	KVF16               // halves
	KV8                 // 8-bit integers with a scale per position
)

var kvNames = [...]string{KV16: "i16", KVF16: "f16", KV8: "q8"}

func (t KVType) String() string { return kvNames[t] }

// MarshalText implements encoding.TextMarshaler: the names of String.
func (t KVType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: the names of String.
func (t *KVType) UnmarshalText(text []byte) error {
	i := slices.Index(kvNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no type of cache: want i16, f16 or q8", text)
	}
	*t = KVType(i)
	return nil
}

func (t KVType) quant() quant.Type {
	return [...]quant.Type{KV16: quant.I16, KVF16: quant.F16, KV8: quant.Q8_0}[t]
}

func (o Options) withDefaults() Options {
	switch {
	case o.Pool != nil:
		o.Threads = o.Pool.Workers()
	case o.Threads <= 0:
		o.Threads = cpu.Threads()
	}
	if o.MaxRows <= 0 {
		o.MaxRows = 512
	}
	if o.MaxLogits <= 0 {
		o.MaxLogits = 64
	}
	o.MaxLogits = min(o.MaxLogits, o.MaxRows)
	return o
}

// Model is a loaded model. One goroutine at a time may use it.
type Model struct {
	config Config
	kv     [batch.Groups]kvcache.Config // without the number of blocks
	net    network
	names  map[*nn.Matrix]string // of the reference's matrices
	head   *head                 // nil: none
	be     nn.Backend
	pool   *nn.Pool
	opts   Options
}

// Describe says what a file's model is, without loading it.
func Describe(f *gguf.File) (Config, error) {
	b, _, err := bind(f, Options{})
	if err != nil {
		return Config{}, err
	}
	return b.config, nil
}

// Load reads a model. The file must stay open for as long as the model is used:
// the embeddings and single rows of the output are read from it.
func Load(f *gguf.File, o Options) (*Model, error) {
	o = o.withDefaults()
	b, net, err := bind(f, o)
	if err != nil {
		return nil, err
	}
	b.requantize(o)
	weights, err := b.weightBytes(o)
	if err != nil {
		return nil, err
	}
	m := &Model{config: b.config, kv: b.kvConfig(o), net: net, head: b.head, pool: o.Pool, opts: o}
	if m.pool == nil {
		m.pool = nn.NewPool(o.Threads)
	}
	m.config.WeightBytes = int64(weights)
	if o.Reference {
		m.names = b.names()
	}
	if m.be, err = b.backend(m.pool, o); err == nil {
		err = b.load(m, o)
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (b *binder) backend(pool *nn.Pool, o Options) (nn.Backend, error) {
	l := b.stepLimits(o)
	if o.Reference {
		return nn.NewReference(pool, l), nil
	}
	be, err := nn.NewFast(kernel.New(o.Tier), pool, l, b.ropes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.file.Path(), err)
	}
	return be, nil
}

// stepLimits are what the backend sizes its buffers by.
func (b *binder) stepLimits(o Options) nn.Limits {
	l := b.limits
	l.Rows, l.Logits, l.Seqs = o.MaxRows, o.MaxLogits, o.MaxRows
	if b.config.Encoder {
		l.Logits = 1
	}
	return l
}

// load fills the matrices one after the other, each with all workers, and lets
// the file's pages go as soon as they have been read. Between two matrices other
// models may take a step.
func (b *binder) load(m *Model, o Options) error {
	var done, total int64
	for _, l := range b.loads {
		total += int64(len(l.src.Data) + len(l.twinOf.Data))
	}
	for _, l := range b.loads {
		if err := m.loadOne(&l); err != nil {
			return fmt.Errorf("%s: tensor %q: %w", b.file.Path(), l.src.Name, err)
		}
		b.file.Release(l.src)
		if l.twin != nil {
			b.file.Release(l.twinOf)
		}
		done += int64(len(l.src.Data) + len(l.twinOf.Data))
		if o.Progress != nil {
			o.Progress(done, total)
		}
	}
	return nil
}

func (m *Model) loadOne(l *load) error {
	m.pool.Lease()
	defer m.pool.Release()
	if l.twin != nil {
		src, err := m.rounded(l.src, l.m.Type)
		if err != nil {
			return err
		}
		twin, err := m.rounded(l.twinOf, l.twin.Type)
		if err != nil {
			return err
		}
		return m.be.LoadPair(l.m, l.twin, src, twin)
	}
	src, err := m.rounded(l.src, l.m.Type)
	if err != nil {
		return err
	}
	return m.be.Load(l.m, src)
}

// names are the tensors that matrices come from.
func (b *binder) names() map[*nn.Matrix]string {
	names := map[*nn.Matrix]string{}
	for _, l := range b.loads {
		names[l.m] = l.src.Name
		if l.twin != nil {
			names[l.twin] = l.twinOf.Name
		}
	}
	return names
}

// Observe has f told of the inputs of every product with a tensor of the file: the rows
// that met it, or one of its experts. Only the reference can tell.
func (m *Model) Observe(f func(tensor string, expert int, rows [][]float32)) error {
	r, ok := m.be.(*nn.Reference)
	if !ok {
		return errors.New("only the reference path tells what it computes with")
	}
	r.Observe(func(w *nn.Matrix, expert int, rows [][]float32) {
		if name := m.names[w]; name != "" {
			f(name, expert, rows)
		}
	})
	return nil
}

// Config describes the model.
func (m *Model) Config() Config { return m.config }

// MaxRows is the largest number of rows that Forward takes.
func (m *Model) MaxRows() int { return m.opts.MaxRows }

// MaxLogits is the largest number of rows whose logits Forward computes.
func (m *Model) MaxLogits() int { return m.opts.MaxLogits }

// Pool is the model's workers. Forward uses them, so whoever calls it holds their
// lease if others may use them too.
func (m *Model) Pool() *nn.Pool { return m.pool }

// NewStore makes room for the keys and values of blocks of kvcache.BlockTokens
// positions.
func (m *Model) NewStore(room kvcache.Room) (*kvcache.Store, error) {
	return kvcache.NewStore(m.kv, room)
}

// Forward computes one step: it adds the batch's keys and values to s and
// returns the logits of the rows that b wants, [len(b.Logits), vocabulary],
// valid until the next call. It allocates nothing, unless the model is the
// reference.
func (m *Model) Forward(b *batch.Batch, s *kvcache.Store) []float32 {
	m.be.Begin(b, s)
	return m.net.forward(m.be)
}

// Hidden is the final hidden state, after the last norm, of row b.Hidden[i] of the
// last batch: [Config.Dim], valid until the next Forward.
func (m *Model) Hidden(i int) []float32 { return m.be.Hidden(i) }

// Finish turns the pooled hidden states of a text into its embedding: a model's own
// last layers, if it has any. Where Config.Labels is not 0 these give the labels'
// scores instead.
func (m *Model) Finish(pooled []float32) []float32 {
	if m.head == nil {
		return pooled
	}
	return m.head.apply(pooled)
}

// NotFinite lists the rows of the last batch whose numbers are not finite,
// ascending; nil: none.
func (m *Model) NotFinite() []int32 { return m.be.NotFinite() }

// ArenaBytes is what the model takes outside the collector's heap on systems that
// have such memory.
func (m *Model) ArenaBytes() int {
	if f, ok := m.be.(*nn.Fast); ok {
		return f.ArenaBytes()
	}
	return 0
}

// Profile reads where the time of steps went since SetProfile(true).
func (m *Model) Profile() nn.Profile { return m.be.Profile() }

// SetProfile switches the counters of Profile.
func (m *Model) SetProfile(on bool) { m.be.SetProfile(on) }

// Close frees the weights, and stops the workers unless they were shared. The file
// is the caller's.
func (m *Model) Close() error {
	if m.opts.Pool == nil {
		m.pool.Close()
	}
	if m.be == nil {
		return nil
	}
	return m.be.Close()
}

// kvConfig is the shapes of the groups' caches.
func (b *binder) kvConfig(o Options) (groups [batch.Groups]kvcache.Config) {
	c := &b.config
	layers := [batch.Groups]int{batch.Full: c.Layers - c.Windowed, batch.Window: c.Windowed}
	if c.Encoder {
		layers[batch.Full] = 1 // keys and values are needed within a layer only: each takes the place of the one before
	}
	for g := range groups {
		groups[g] = kvcache.Config{Layers: layers[g], KVHeads: c.KVHeads, HeadDim: c.HeadDim, Type: o.KV.quant()}
	}
	if b.limits.Conv > 0 { // a vector for each position, as wide as x
		groups[batch.Window] = kvcache.Config{Layers: c.Windowed, KVHeads: 1, HeadDim: b.limits.Conv, Type: quant.F32}
	}
	return groups
}
