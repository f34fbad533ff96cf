package model_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// poison puts a number that is none into a tensor: into the scale of its first
// block, of each expert if it has several, or as the given element of one of floats.
func poison(t *testing.T, f *gguf.File, name string, element int, bad float64) {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %q", name)
	}
	switch tensor.Type {
	case quant.F32:
		width := len(tensor.Data)
		if strings.HasSuffix(name, "_exps.bias") {
			width = 4 * tensor.Shape[0]
		}
		for at := 4 * element; at < len(tensor.Data); at += width {
			binary.LittleEndian.PutUint32(tensor.Data[at:], math.Float32bits(float32(bad)))
		}
	case quant.F16:
		binary.LittleEndian.PutUint16(tensor.Data[2*element:], quant.F32ToF16(float32(bad)))
	case quant.Q8_0:
		experts := 1
		if len(tensor.Shape) > 2 {
			experts = tensor.Shape[2]
		}
		for e := range experts {
			binary.LittleEndian.PutUint16(tensor.Data[len(tensor.Data)/experts*e:], quant.F32ToF16(float32(bad)))
		}
	default:
		t.Fatalf("%q is of type %v", name, tensor.Type)
	}
}

// TestNotFiniteAnywhere: wherever in a model a NaN or an infinity comes up, every
// row that saw it is listed, or has logits that show it. Integer caches and
// integer queries would hide it.
func TestNotFiniteAnywhere(t *testing.T) {
	tiers := kernel.Tiers()
	for a, arch := range Architectures() {
		o := tinymodel.Options{Arch: arch, Type: quant.Q8_0, Layers: 2, Untied: true}
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for i, tensor := range f.Tensors() {
			if tensor.Name == "token_embd.weight" || arch == "mpnet" && tensor.Name == "position_embd.weight" {
				continue // see below; of the other table the first rows are never read
			}
			bad := []float64{math.NaN(), math.Inf(1)}[(a+i)%2] // architectures share operations: each sees both
			if arch == "gpt-oss" && math.IsInf(bad, 0) && (strings.Contains(tensor.Name, "ffn_gate_exps") || strings.Contains(tensor.Name, "ffn_up_exps")) {
				continue // its activation cuts them to 7
			}
			whole := slices.Clone(tensor.Data)
			checkPoisoned(t, f, tensor.Name, bad, Options{Tier: tiers[i/2%len(tiers)], KV: KVType(i % 3)})
			copy(tensor.Data, whole)
		}
	}
}

// checkPoisoned writes to f.
func checkPoisoned(t *testing.T, f *gguf.File, name string, bad float64, with Options) {
	t.Helper()
	poison(t, f, name, 3, bad)
	with.Threads, with.MaxRows = 1, 32
	m, err := Load(f, with)
	if name == "attn_rel_b.weight" {
		if err == nil || !strings.Contains(err.Error(), "not finite") {
			t.Errorf("%s with %v: %v", name, bad, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.NewStore(kvcache.Room{Blocks: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := prefillBatch(20)
	logits := results(m, b, c)
	rows := m.NotFinite()
	last := int32(19)
	if name == "position_embd.weight" {
		last = 0 // the place that is poisoned
	}
	if !slices.Contains(rows, last) && finite(logits) {
		t.Errorf("%s, %v, %v: %s has %v, and nothing is noticed", m.Config().Arch, with.Tier, with.KV, name, bad)
	}
	// Rows that nobody wants logits of see all but the last layer's second half. A
	// convolution's first weights are for rows that the first rows do not have.
	see := 20
	if strings.HasSuffix(name, ".shortconv.conv.weight") {
		see = 18
	}
	if strings.HasPrefix(name, "blk.0.") && len(rows) < see {
		t.Errorf("%s, %v, %v: %s has %v: rows %v of %d", m.Config().Arch, with.Tier, with.KV, name, bad, rows, see)
	}
}

// results are the logits that a batch asks for; of an encoder, the embeddings that are
// made of these rows' states.
func results(m *Model, b *batch.Batch, c *kvcache.Store) (all []float32) {
	if !m.Config().Encoder {
		return m.Forward(b, c)
	}
	b.Hidden, b.Logits = append(b.Hidden[:0], b.Logits...), nil
	m.Forward(b, c)
	for i := range b.Hidden {
		all = append(all, m.Finish(slices.Clone(m.Hidden(i)))...)
	}
	return all
}

func finite(logits []float32) bool {
	return !slices.ContainsFunc(logits, func(l float32) bool { return l-l != 0 })
}

// TestNotFiniteRows: exactly the rows of a sequence that saw it are listed, and
// the others have the same bits as without it.
func TestNotFiniteRows(t *testing.T) {
	const token = 7
	for _, arch := range Architectures() {
		o := tinymodel.Options{Arch: arch, Type: quant.Q8_0, Layers: 2, Untied: true}
		o.Types = map[string]quant.Type{"token_embd.weight": quant.F32}
		for _, bad := range []float64{0, math.NaN(), math.Inf(-1)} {
			f, err := tinymodel.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			if bad != 0 {
				embedding, _ := f.Tensor("token_embd.weight")
				poison(t, f, "token_embd.weight", token*embedding.Shape[0]+5, bad)
			}
			for _, opts := range []Options{{Reference: true}, {Tier: kernel.Tiers()[0]}, {Tier: kernel.Tiers()[len(kernel.Tiers())-1], KV: KV8}} {
				opts.Threads, opts.MaxRows = 1, 32
				checkRows(t, f, opts, token, bad)
			}
		}
	}
}

func checkRows(t *testing.T, f *gguf.File, o Options, token int32, bad float64) {
	t.Helper()
	m, err := Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.NewStore(kvcache.Room{Blocks: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	alone := slices.Clone(results(m, pair(nil, []int32{20, 21, 22, 23}), c))
	b := pair([]int32{30, 31, token, 32, 33}, []int32{20, 21, 22, 23})
	logits := results(m, b, c)
	if !slices.Equal(logits[len(logits)-len(alone):], alone) {
		t.Errorf("%+v with %v: the neighbour's logits differ", o, bad)
	}
	rows := fmt.Sprint(m.NotFinite())
	want := "[]"
	if bad != 0 {
		want = "[2]" // what follows reads keys and values that were made finite
	}
	traits, _ := TraitsOf(m.Config().Arch)
	if bad != 0 && (o.Reference || traits.Convolves) {
		want = "[2 3 4]" // and here, or through a convolution, as they are
		if m.Config().Encoder {
			want = "[0 1 2 3 4]"
		}
	}
	if rows != want {
		t.Errorf("%+v with %v: rows %v, want %v", o, bad, rows, want)
	}
	if results(m, pair(nil, []int32{20, 21, 22, 23}), c); len(m.NotFinite()) != 0 {
		t.Errorf("%+v with %v: the next step lists rows %v", o, bad, m.NotFinite())
	}
}

// pair is a batch of up to two prompts, logits of their last rows.
func pair(prompts ...[]int32) *batch.Batch {
	b := &batch.Batch{Start: []int32{0}}
	for i, p := range prompts {
		if len(p) == 0 {
			continue
		}
		for pos, token := range p {
			b.Tokens = append(b.Tokens, token)
			b.Positions = append(b.Positions, int32(pos))
		}
		b.Start = append(b.Start, int32(len(b.Tokens)))
		b.Blocks = append(b.Blocks, []int32{int32(i)})
		b.Logits = append(b.Logits, int32(len(b.Tokens)-1))
	}
	return b
}
