package model

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// Config describes a model as its file does.
type Config struct {
	Arch         string
	Name         string
	Quantization string // as llama.cpp names the mix: "Q4_K_M"

	Vocab   int
	Dim     int // width of the residual stream
	Layers  int
	Heads   int
	KVHeads int
	HeadDim int
	FF      int // hidden units of the feed-forward layer
	Context int // positions the model was made for

	Experts     int // of a layer; 0: none
	ExpertsUsed int // by a row
	ExpertFF    int // hidden units of an expert
	SharedFF    int // hidden units of the network that every row uses beside its experts; 0: there is none

	RopeBase float64
	RopeDim  int // elements of a head that rotate
	NormEps  float64
	Window   int // positions that a sliding layer sees; 0: none slides
	Windowed int // layers that keep the last positions of a sequence only
	Kept     int // the number of these positions
	Pooling  Pooling
	Encoder  bool // it makes embeddings only: tokens see what comes after them, too
	Labels   int  // > 0: it scores pairs of texts, with so many numbers for each
	Probable bool // these are probabilities already

	Params      int64
	WeightBytes int64 // in memory, in the backend's form
}

// Bounds on what a file may claim. They are far above any model that exists and
// keep sizes from overflowing.
const (
	maxDim     = 1 << 20
	maxLayers  = 1 << 12
	maxHeads   = 1 << 14
	maxContext = 1 << 26
	maxVocab   = 1 << 24
)

// metadata reads an architecture's keys. The first problem is kept; later reads
// return zeros.
type metadata struct {
	file  *gguf.File
	arch  string
	ranks bool // the file's pooling is that of a model that scores pairs of texts
	err   error
}

func (m *metadata) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf("%s: %s", m.file.Path(), fmt.Sprintf(format, args...))
	}
}

func (m *metadata) key(name string) string { return m.arch + "." + name }

// has reports whether the file says something for a key. Some writers write every key,
// and 0 or nothing for what a model does not have: that says nothing.
func (m *metadata) has(name string) bool {
	v, ok := m.file.Value(m.key(name))
	if n, whole := m.integer(name); whole {
		return n != 0
	}
	if f, number := m.file.Float(m.key(name)); number {
		return f != 0
	}
	return ok && v != ""
}

// integer reads an integer. A list with an entry for each layer is an integer where all
// of its entries are the same.
func (m *metadata) integer(name string) (n int64, ok bool) {
	list, ok := m.file.Ints(m.key(name))
	if !ok {
		return m.file.Int(m.key(name))
	}
	if len(list) == 0 || slices.Max(list) != slices.Min(list) {
		return 0, false
	}
	return list[0], true
}

// count reads an integer in [1, limit].
func (m *metadata) count(name string, limit int) int {
	raw, ok := m.file.Value(m.key(name))
	if !ok {
		m.fail("key %q is missing", m.key(name))
		return 0
	}
	n, ok := m.integer(name)
	if !ok || n < 1 || n > int64(limit) {
		m.fail("key %q is %s, want an integer from 1 to %d", m.key(name), brief(raw), limit)
		return 0
	}
	return int(n)
}

// countOr is count with a default.
func (m *metadata) countOr(name string, limit, otherwise int) int {
	if !m.has(name) {
		return otherwise
	}
	return m.count(name, limit)
}

// positive reads a finite number above zero.
func (m *metadata) positive(name string, otherwise float64) float64 {
	raw, ok := m.file.Value(m.key(name))
	if !m.has(name) && (otherwise != 0 || !ok) {
		if otherwise == 0 {
			m.fail("key %q is missing", m.key(name))
		}
		return otherwise
	}
	v, ok := m.file.Float(m.key(name))
	if !ok || !(v > 0) || math.IsInf(v, 0) {
		m.fail("key %q is %s, want a number above 0", m.key(name), brief(raw))
		return 1
	}
	return v
}

// normEps is what is added to a variance, or to a mean square.
func (m *metadata) normEps(a architecture) float64 {
	if a.layerNorm {
		return m.positive("attention.layer_norm_epsilon", 0)
	}
	return m.positive("attention.layer_norm_rms_epsilon", 0)
}

// factor reads a number by which something is multiplied; 0: the file has none.
func (m *metadata) factor(name string) float32 {
	if !m.has(name) {
		return 0
	}
	return float32(m.positive(name, 0))
}

// brief keeps an error to one line, whatever the file holds.
func brief(v any) string {
	s := fmt.Sprintf("%v (%T)", v, v)
	if len(s) > 60 {
		s = s[:57] + "..."
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, s), "?")
}

// readConfig reads what every supported architecture has.
func readConfig(f *gguf.File, a architecture) (Config, *metadata) {
	m := &metadata{file: f, arch: a.name}
	c := Config{
		Arch:    a.name,
		Dim:     m.count("embedding_length", maxDim),
		Layers:  m.count("block_count", maxLayers),
		Heads:   m.headCount(a, "attention.head_count", 0),
		FF:      m.count("feed_forward_length", maxDim),
		Context: m.count("context_length", maxContext),
		NormEps: m.normEps(a),
	}
	c.KVHeads = m.headCount(a, "attention.head_count_kv", c.Heads)
	c.RopeBase = m.positive("rope.freq_base", 10000)
	m.expertConfig(&c)
	if m.err != nil {
		return c, m
	}
	m.heads(&c)
	if c.Name, _ = f.Str("general.name"); c.Name == "" {
		c.Name = f.Label()
	}
	c.Quantization = quantization(f)
	c.Pooling = m.pooling()
	return c, m
}

// heads reads the sizes of a head.
func (m *metadata) heads(c *Config) {
	if c.Heads%c.KVHeads != 0 {
		m.fail("%d query heads cannot share %d key-value heads", c.Heads, c.KVHeads)
	}
	c.HeadDim = m.countOr("attention.key_length", maxDim, c.Dim/c.Heads)
	if v := m.countOr("attention.value_length", maxDim, c.HeadDim); v != c.HeadDim {
		m.fail("keys of %d and values of %d per head are not supported", c.HeadDim, v)
	}
	if c.HeadDim < 2 || c.HeadDim > 256 || c.HeadDim%2 != 0 {
		m.fail("head size %d is not supported: want an even number up to 256", c.HeadDim)
	}
	c.RopeDim = m.countOr("rope.dimension_count", maxDim, c.HeadDim)
	if c.RopeDim > c.HeadDim || c.RopeDim%2 != 0 {
		m.fail("rotation of %d of a head's %d elements is not supported", c.RopeDim, c.HeadDim)
	}
}

// mixes are the names of general.file_type.
var mixes = map[uint64]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
	11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M",
	18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 25: "IQ4_NL", 26: "IQ3_S",
	27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 40: "Q1_0", 41: "Q2_0",
}

// quantization names the file's mix: what it says, or the type of most of its
// bytes.
func quantization(f *gguf.File) string {
	if t, ok := f.Uint("general.file_type"); ok && mixes[t] != "" {
		return mixes[t]
	}
	bytes := map[string]int{}
	best := ""
	for _, t := range f.Tensors() {
		name := t.Type.String()
		bytes[name] += len(t.Data)
		if best == "" || bytes[name] > bytes[best] {
			best = name
		}
	}
	return best
}
