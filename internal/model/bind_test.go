package model_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// rebuild is a tiny model whose tensors edit has changed.
func rebuild(t *testing.T, o tinymodel.Options, edit func([]gguf.Tensor) []gguf.Tensor) *gguf.File {
	t.Helper()
	f, err := tinymodel.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return rewrite(t, f, gguf.KV{}, edit(f.Tensors()))
}

// rewrite is f with other tensors and one entry of the metadata replaced or
// added.
func rewrite(t *testing.T, f *gguf.File, entry gguf.KV, tensors []gguf.Tensor) *gguf.File {
	t.Helper()
	var meta []gguf.KV
	for _, k := range f.Keys() {
		if v, _ := f.Value(k); k != entry.Key {
			meta = append(meta, gguf.KV{Key: k, Value: v})
		}
	}
	if entry.Key != "" {
		meta = append(meta, entry)
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, tensors); err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Parse("edited.gguf", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// wantError checks that loading f fails in one line with all of parts.
func wantError(t *testing.T, f *gguf.File, parts ...string) {
	t.Helper()
	m, err := Load(f, Options{Threads: 1})
	if err == nil {
		m.Close()
		t.Fatalf("no error, want one about %q", parts)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
	for _, p := range append(parts, f.Path()) {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
	if _, err2 := Need(f, Options{Threads: 1}); err2 == nil {
		t.Errorf("Need does not object to what Load refuses: %v", err)
	}
}

func TestTensorsAreChecked(t *testing.T) {
	find := func(ts []gguf.Tensor, name string) int {
		i := slices.IndexFunc(ts, func(t gguf.Tensor) bool { return t.Name == name })
		if i < 0 {
			panic(name)
		}
		return i
	}
	for name, c := range map[string]struct {
		o    tinymodel.Options
		edit func([]gguf.Tensor) []gguf.Tensor
		want []string
	}{
		"missing": {
			edit: func(ts []gguf.Tensor) []gguf.Tensor {
				i := find(ts, "blk.1.ffn_down.weight")
				return slices.Delete(ts, i, i+1)
			},
			want: []string{"blk.1.ffn_down.weight", "missing", "[96 x 64]"},
		},
		"missing embedding": {
			edit: func(ts []gguf.Tensor) []gguf.Tensor {
				i := find(ts, "token_embd.weight")
				return slices.Delete(ts, i, i+1)
			},
			want: []string{"token_embd.weight", "missing"},
		},
		"missing bias": {
			o: tinymodel.Options{Arch: "qwen2"},
			edit: func(ts []gguf.Tensor) []gguf.Tensor {
				i := find(ts, "blk.0.attn_k.bias")
				return slices.Delete(ts, i, i+1)
			},
			want: []string{"blk.0.attn_", "bias", "missing"},
		},
		"shape": {
			edit: func(ts []gguf.Tensor) []gguf.Tensor {
				i := find(ts, "blk.0.attn_q.weight")
				slices.Reverse(ts[i].Shape)
				return ts
			},
			want: []string{"blk.0.attn_q.weight", "expected shape [64 x 128]", "found [128 x 64]"},
		},
		"type": {
			edit: func(ts []gguf.Tensor) []gguf.Tensor {
				t := &ts[find(ts, "blk.0.attn_q.weight")]
				t.Type = quant.I32
				return ts
			},
			want: []string{"blk.0.attn_q.weight", "I32", "not supported"},
		},
		"unknown": {
			edit: func(ts []gguf.Tensor) []gguf.Tensor {
				return append(ts, gguf.Tensor{Name: "blk.0.attn_sinks.weight", Type: quant.F32, Shape: []int{4}, Data: make([]byte, 4*4)})
			},
			want: []string{"blk.0.attn_sinks.weight", "llama"},
		},
		"vocabulary": {
			edit: func(ts []gguf.Tensor) []gguf.Tensor {
				t := &ts[find(ts, "token_embd.weight")]
				t.Shape[1], t.Data = 390, t.Data[:390*64*4]
				return ts
			},
			want: []string{"token_embd.weight", "390", "400"},
		},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, rebuild(t, c.o, c.edit), c.want...) })
	}
}

func TestUnsupportedArchitecture(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{Extra: []gguf.KV{{Key: "general.architecture", Value: "mamba\n2"}}})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, f, "mamba?2", "is not served", "served: bert, ", "llama", "qwen2", "qwen3", "gemma3")
	for name, near := range map[string]string{"qwen3next": "qwen3", "llama4": "llama", "granitehybrid": "granite", "glm4moe": "glm4", "mamba": "", "": ""} {
		f, err := tinymodel.Open(tinymodel.Options{Extra: []gguf.KV{{Key: "general.architecture", Value: name}}})
		if err != nil {
			t.Fatal(err)
		}
		err = Bind(f)
		if got := strings.Contains(err.Error(), "nearest: "+near+";"); got != (near != "") {
			t.Errorf("%q: %v, nearest should be %q", name, err, near)
		}
	}
}

// TestParametersAreCountedOnce: a file may have the token table a second time, in another
// format, as the output.
func TestParametersAreCountedOnce(t *testing.T) {
	tied := tinymodel.Options{Type: quant.Q8_0}
	count := func(o tinymodel.Options, twice bool) int64 {
		f := rebuild(t, o, func(ts []gguf.Tensor) []gguf.Tensor {
			if twice {
				i := slices.IndexFunc(ts, func(t gguf.Tensor) bool { return t.Name == "token_embd.weight" })
				x := make([]float32, ts[i].Elements())
				data := make([]byte, quant.Q4_0.RowBytes(len(x)))
				if err := errors.Join(quant.Dequantize(ts[i].Type, x, ts[i].Data), quant.Quantize(quant.Q4_0, data, x)); err != nil {
					t.Fatal(err)
				}
				ts = append(ts, gguf.Tensor{Name: "output.weight", Type: quant.Q4_0, Shape: ts[i].Shape, Data: data})
			}
			return ts
		})
		c, err := Describe(f)
		if err != nil {
			t.Fatal(err)
		}
		return c.Params
	}
	want := count(tied, false)
	if got := count(tied, true); got != want {
		t.Errorf("with the table twice: %d parameters, want %d", got, want)
	}
	untied := tied
	untied.Untied = true
	if got := count(untied, false); got != want+64*400 {
		t.Errorf("with an output of its own: %d parameters, want %d", got, want+64*400)
	}
}

// TestMetadataIsChecked: whatever a key says, loading is an error or works.
func TestMetadataIsChecked(t *testing.T) {
	keys := []string{
		"block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
		"attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
		"rope.dimension_count", "rope.freq_base", "rope.scaling.type", "rope.scaling.factor", "expert_count",
		"expert_used_count", "expert_feed_forward_length",
		"rope.scaling.original_context_length", "attention.sliding_window", "attention.sliding_window_pattern",
		"rope.freq_base_swa", "final_logit_softcapping", "rope.scaling.attn_factor",
	}
	values := []any{
		uint32(0), uint32(1), uint32(3), uint32(255), uint32(math.MaxUint32), uint64(math.MaxUint64), int32(-1), int64(math.MinInt64),
		float32(0), float32(-1), float32(1e-30), math.NaN(), math.Inf(1), "", "yarn", "longrope", strings.Repeat("x\n", 1000), true,
		[]bool{true}, []uint32{1, 2}, []float32{}, []string{"a"},
	}
	for a, arch := range Architectures() {
		base, err := tinymodel.Open(tinymodel.Options{Arch: arch})
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range keys {
			for j, v := range values {
				if (i+j+a)%8 != 0 {
					continue // architectures share the code that reads keys: each pair is tried with some of them
				}
				err := Bind(rewrite(t, base, gguf.KV{Key: arch + "." + key, Value: v}, base.Tensors()))
				if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 300) {
					t.Errorf("%s = %v: error is not one short line: %q", key, v, err)
				}
			}
		}
	}
}

func TestBadMetadata(t *testing.T) {
	for name, c := range map[string]struct {
		key   string
		value any
		want  string
	}{
		"no heads":        {"attention.head_count", uint32(0), "attention.head_count"},
		"uneven groups":   {"attention.head_count_kv", uint32(3), "share"},
		"odd head":        {"attention.key_length", uint32(31), "values of"},
		"huge head":       {"attention.key_length", uint32(512), "512"},
		"huge context":    {"context_length", uint32(math.MaxUint32), "context_length"},
		"negative layers": {"block_count", int32(-5), "block_count"},
		"more layers":     {"block_count", uint32(3), "blk.2."},
		"text for number": {"embedding_length", "sixty-four", "embedding_length"},
		"no epsilon":      {"attention.layer_norm_rms_epsilon", float32(0), "epsilon"},
		"odd rotation":    {"rope.dimension_count", uint32(15), "rotation"},
		"more rotation":   {"rope.dimension_count", uint32(48), "rotation"},
		"scaling":         {"rope.scaling.type", "dynamic", "dynamic"},
		"no factors":      {"rope.scaling.type", "longrope", "rope_factors_long"},
		"layers differ":   {"feed_forward_length", []uint32{96, 64}, "feed_forward_length"},
		"no layers":       {"attention.head_count", []uint32{}, "head_count"},
		"experts":         {"expert_count", uint32(8), "expert_used_count"},
		"sees all":        {"attention.causal", false, "attention.causal"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := tinymodel.Open(tinymodel.Options{Extra: []gguf.KV{{Key: "llama." + c.key, Value: c.value}}})
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, f, c.want)
		})
	}
}

// TestExpertsAreChosenOneByOne: a model whose experts are chosen by groups would answer wrongly.
func TestExpertsAreChosenOneByOne(t *testing.T) {
	o := tinymodel.Options{Arch: "qwen3moe", Extra: []gguf.KV{{Key: "qwen3moe.expert_group_count", Value: uint32(4)}}}
	f, err := tinymodel.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, f, "expert_group_count", "groups")
}

// TestExpertsShareTheWidth: where a file of qwen3moe or qwen2moe gives experts no width, those
// that a row uses are as wide as the feed-forward layer together.
func TestExpertsShareTheWidth(t *testing.T) {
	for _, arch := range []string{"qwen2moe", "qwen3moe"} {
		o := tinymodel.Options{Arch: arch, FF: 192, ExpertsUsed: 3, ExpertFF: 64}
		base, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		f := rewrite(t, base, gguf.KV{Key: arch + ".expert_feed_forward_length", Value: uint32(0)}, base.Tensors())
		if c, err := Describe(f); err != nil || c.ExpertFF != 64 {
			t.Errorf("%s: experts of %d, want 64: %v", arch, c.ExpertFF, err)
		}
	}
}

// TestNeutralKeys: writers that write every key write 0, or nothing, for what a model
// does not have, and lists where layers could differ.
func TestNeutralKeys(t *testing.T) {
	open := func(o tinymodel.Options) Config {
		t.Helper()
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Describe(f)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, arch := range Architectures() {
		traits, _ := TraitsOf(arch)
		var extra []gguf.KV
		for key, v := range map[string]any{
			"expert_count": uint32(0), "rope.scaling.factor": float32(0), "rope.scaling.attn_factor": float32(0), "rope.scaling.type": "none",
			"rope.scaling.yarn_log_multiplier": float32(0), "rope.scaling.original_context_length": uint32(0), "attention.scale": float32(0),
			"final_logit_softcapping": float32(0), "pooling_type": uint32(0), "rope.freq_base_swa": float32(0),
			"attention.head_count_kv": []uint32{4, 4}, "feed_forward_length": []int32{96, 96}, "attention.head_count": []uint64{4, 4},
		} {
			if key == "expert_count" && traits.Experts || key == "attention.head_count_kv" && traits.Convolves {
				continue // here they say something
			}
			extra = append(extra, gguf.KV{Key: arch + "." + key, Value: v})
		}
		o := tinymodel.Options{Arch: arch, Heads: 4, KVHeads: 4}
		if traits.Square {
			o.HeadDim = 16
		}
		want := open(o)
		o.Extra = extra
		if got := open(o); got != want {
			t.Errorf("%s: got %+v, want %+v", arch, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{
		Arch: "qwen3", Dim: 96, Layers: 3, Heads: 6, KVHeads: 2, HeadDim: 64, FF: 160, Context: 300, Vocab: 411, Type: quant.Q8_0,
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(f, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c := m.Config()
	weights := c.WeightBytes
	c.WeightBytes, c.NormEps = 0, 0
	layer := 96*384 + 2*96*128 + 384*96 + 3*96*160
	vectors := 3*(2*96+2*64) + 96
	want := Config{
		Arch: "qwen3", Name: "Tiny qwen3", Quantization: "Q8_0", Vocab: 411, Dim: 96, Layers: 3, Heads: 6, KVHeads: 2,
		HeadDim: 64, FF: 160, Context: 300, RopeBase: 10000, RopeDim: 64, Params: int64(3*layer + 411*96 + vectors),
	}
	if c != want {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	if packed := int64(3*layer+416*96) * 34 / 32; weights != packed {
		t.Errorf("%d bytes of weights, want %d", weights, packed)
	}
	need, err := Need(f, Options{Threads: 1})
	if err != nil || need.Weights != uint64(weights) || need.PerBlock != 2*3*2*(2*16*64+4*16) || need.Buffers == 0 {
		t.Errorf("Need: %+v, %v", need, err)
	}
	// The embeddings are the output, too: they are read for both, and counted once.
	if rows := uint64(411 * 96 * 34 / 32); need.File != rows {
		t.Errorf("Need: %d bytes of the file, want %d", need.File, rows)
	}
}

func TestProgress(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{Untied: true})
	if err != nil {
		t.Fatal(err)
	}
	var last, total int64
	m, err := Load(f, Options{Threads: 1, Progress: func(done, of int64) {
		if done < last || done > of {
			t.Errorf("%d after %d of %d", done, last, of)
		}
		last, total = done, of
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if last != total || total == 0 {
		t.Errorf("ended at %d of %d", last, total)
	}
}
