package tinymodel

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

func open(t *testing.T, o Options) *gguf.File {
	t.Helper()
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What each architecture has beside the tensors that all share.
func TestTensorsOfEachArchitecture(t *testing.T) {
	common := []string{
		"attn_k.weight", "attn_norm.weight", "attn_output.weight", "attn_q.weight", "attn_v.weight",
		"ffn_down.weight", "ffn_gate.weight", "ffn_norm.weight", "ffn_up.weight",
	}
	for arch, extra := range map[string][]string{
		"llama":  nil,
		"qwen2":  {"attn_k.bias", "attn_q.bias", "attn_v.bias"},
		"qwen3":  {"attn_k_norm.weight", "attn_q_norm.weight"},
		"gemma3": {"attn_k_norm.weight", "attn_q_norm.weight", "post_attention_norm.weight", "post_ffw_norm.weight"},
	} {
		t.Run(arch, func(t *testing.T) {
			f := open(t, Options{Arch: arch})
			layers, _ := f.Uint(arch + ".block_count")
			want, got := map[string]int{}, map[string]int{}
			for _, name := range append(extra, common...) {
				want[name] = int(layers)
			}
			want["token_embd.weight"], want["output_norm.weight"] = 1, 1
			for _, tensor := range f.Tensors() {
				name := tensor.Name
				if strings.HasPrefix(name, "blk.") {
					name = name[len("blk.0."):]
				}
				got[name]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOptionsAreObeyed(t *testing.T) {
	f := open(t, Options{
		Arch: "llama", Dim: 96, Layers: 3, Heads: 6, KVHeads: 2, HeadDim: 16, FF: 160, Context: 99, Vocab: 500,
		Untied: true, RopeFactors: []float32{1, 2, 3, 4, 5, 6, 7, 8}, Template: "hello", Seed: 7,
		Extra: []gguf.KV{{Key: "general.name", Value: "renamed"}, {Key: "llama.rope.scaling.type", Value: "linear"}},
	})
	for name, want := range map[string][]int{
		"token_embd.weight": {96, 500}, "output.weight": {96, 500}, "output_norm.weight": {96}, "rope_freqs.weight": {8},
		"blk.2.attn_q.weight": {96, 96}, "blk.2.attn_k.weight": {96, 32}, "blk.2.attn_output.weight": {96, 96},
		"blk.2.ffn_down.weight": {160, 96}, "blk.2.ffn_up.weight": {96, 160},
	} {
		if got, ok := f.Tensor(name); !ok || !slices.Equal(got.Shape, want) {
			t.Errorf("%s: shape %v, want %v", name, got.Shape, want)
		}
	}
	for key, want := range map[string]any{
		"llama.context_length": uint32(99), "llama.vocab_size": uint32(500), "tokenizer.chat_template": "hello",
		"general.name": "renamed", "llama.rope.scaling.type": "linear", "llama.attention.head_count_kv": uint32(2),
	} {
		if got, _ := f.Value(key); got != want {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for want, o := range map[string]Options{
		`architecture "mamba" is not one of`:              {Arch: "mamba"},
		`vocabulary "klingon" is not`:                     {Vocabulary: "klingon"},
		"smollm has at least 259 tokens, not 100":         {Vocab: 100},
		"gemma has at least 357 tokens, not 300":          {Arch: "gemma3", Vocab: 300},
		"4 heads of 32 elements cannot share 3 key heads": {Heads: 4, KVHeads: 3},
		"a size of -1": {Dim: -1},
		"token_embd.weight: quantising to IQ1_S is not": {Type: quant.IQ1_S, Dim: 256},
	} {
		if _, err := encode(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSameOptionsSameBytes(t *testing.T) {
	for _, o := range []Options{{}, {Arch: "gemma3", Type: quant.Q8_0}} {
		a, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "tiny.gguf")
		if err := Write(path, o); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Error("two builds differ")
		}
		o.Seed++
		if c, _ := encode(o); bytes.Equal(a, c) {
			t.Error("the seed changes nothing")
		}
	}
}

// In another format the weights are the same but for rounding.
func TestTypesShareWeights(t *testing.T) {
	const name = "blk.1.ffn_down.weight"
	o := Options{Dim: 256, FF: 256, HeadDim: 64}
	exact := values(t, open(t, o), name)
	for _, typ := range []quant.Type{quant.F16, quant.Q8_0, quant.Q4_1, quant.Q4_K, quant.Q6_K} {
		o.Type, o.Types = quant.Q4_0, map[string]quant.Type{"ffn_down.weight": typ, "weight": quant.Q5_0}
		f := open(t, o)
		if tensor, _ := f.Tensor(name); tensor.Type != typ {
			t.Errorf("%s is %v, want %v", name, tensor.Type, typ)
		}
		if tensor, _ := f.Tensor("blk.1.ffn_up.weight"); tensor.Type != quant.Q5_0 {
			t.Errorf("ffn_up is %v, want Q5_0", tensor.Type)
		}
		var diff, size float64
		for i, v := range values(t, f, name) {
			diff += math.Pow(float64(v-exact[i]), 2)
			size += math.Pow(float64(exact[i]), 2)
		}
		if ratio := math.Sqrt(diff / size); ratio > 0.1 {
			t.Errorf("%v: differs by %.3f", typ, ratio)
		}
	}
}

func values(t *testing.T, f *gguf.File, name string) []float32 {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	x := make([]float32, tensor.Elements())
	if err := quant.Dequantize(tensor.Type, x, tensor.Data); err != nil {
		t.Fatal(err)
	}
	return x
}

// Rows of 64 are no whole K blocks, rows of 48 none at all.
func TestTypesFallBack(t *testing.T) {
	for typ, want := range map[quant.Type]quant.Type{
		quant.Q2_K: quant.IQ4_NL, quant.Q3_K: quant.IQ4_NL, quant.IQ4_XS: quant.IQ4_NL,
		quant.Q4_K: quant.Q5_0, quant.Q5_K: quant.Q5_1, quant.Q6_K: quant.Q8_0,
	} {
		f := open(t, Options{Type: typ, FF: 48})
		up, _ := f.Tensor("blk.0.ffn_up.weight")
		down, _ := f.Tensor("blk.0.ffn_down.weight")
		if up.Type != want || down.Type != quant.F16 {
			t.Errorf("%v fell back to %v and %v, want %v and F16", typ, up.Type, down.Type, want)
		}
	}
}

func TestVocabularies(t *testing.T) {
	for name, o := range map[string]Options{
		"smollm": {}, "qwen2": {Arch: "qwen3"}, "gemma": {Arch: "gemma3"},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, o)
			tokens, _ := f.Strs("tokenizer.ggml.tokens")
			types, _ := f.Ints("tokenizer.ggml.token_type")
			if embd, _ := f.Tensor("token_embd.weight"); embd.Rows() != len(tokens) || len(types) != len(tokens) {
				t.Errorf("%d tokens, %d types, %d embeddings", len(tokens), len(types), embd.Rows())
			}
			ids := map[string]int{}
			for i, token := range tokens {
				if j, ok := ids[token]; ok {
					t.Errorf("tokens %d and %d are both %q", i, j, token)
				}
				ids[token] = i
			}
			if n := slices.Index(types, int64(unused)); n >= 0 {
				t.Errorf("token %d of %d stands for nothing: the corpus is too short", n, len(tokens))
			}
			for _, key := range []string{"bos", "eos", "padding"} {
				if id, ok := f.Uint("tokenizer.ggml." + key + "_token_id"); !ok || types[id] != int64(control) {
					t.Errorf("%s is token %d, %v, of type %d", key, id, ok, types[id])
				}
			}
			if name == "gemma" {
				if tokens[ids["<0xFF>"]-255] != "<0x00>" {
					t.Error("bytes are not in order")
				}
				return
			}
			merges, _ := f.Strs("tokenizer.ggml.merges")
			if len(merges) < 100 {
				t.Errorf("only %d merges", len(merges))
			}
			for _, merge := range merges {
				left, right, _ := strings.Cut(merge, " ")
				for _, token := range []string{left, right, left + right} {
					if _, ok := ids[token]; !ok {
						t.Errorf("merge %q: no token %q", merge, token)
					}
				}
			}
		})
	}
}

func TestByteRunesAreGPT2s(t *testing.T) {
	seen := map[rune]bool{}
	for b := range 256 {
		seen[byteRune(byte(b))] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d spellings of 256 bytes", len(seen))
	}
	for b, want := range map[byte]rune{'A': 'A', '~': '~', ' ': 'Ġ', '\n': 'Ċ', 0: 'Ā', 0x7f: 'ġ', 0xad: 'Ń', 0xff: 'ÿ', 0xa1: '¡'} {
		if got := byteRune(b); got != want {
			t.Errorf("byte %#x is %q, want %q", b, got, want)
		}
	}
}

func BenchmarkBytes(b *testing.B) {
	for b.Loop() {
		if _, err := encode(Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
