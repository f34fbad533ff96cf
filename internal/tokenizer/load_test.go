package tokenizer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"pgregory.net/rapid"
)

// TestRoles compares what Encode puts around a text and which tokens end an
// answer with what llama.cpp reports for the same files.
func TestRoles(t *testing.T) {
	tests := []struct {
		name        string
		bos, eos    int32
		first, last int32
		eog         []int32
	}{
		{"aquila", 0, 0, -1, -1, []int32{0, 100007}},
		{"baichuan", 1, 2, 1, -1, []int32{2}},
		{"bert-bge", 101, -1, 101, 102, []int32{0}},
		{"command-r", 5, 255001, 5, -1, []int32{0, 255001}},
		{"deepseek-coder", 32013, 32014, 32013, -1, []int32{32014}},
		{"deepseek-llm", 100000, 100001, 100000, -1, []int32{100001}},
		{"falcon", 11, 11, -1, -1, []int32{11}},
		{"gemma-4", 2, 1, 2, -1, []int32{1, 50, 106}},
		{"gpt-2", 50256, 50256, -1, -1, []int32{50256}},
		{"gpt-neox", 0, 0, -1, -1, []int32{0}},
		{"llama-bpe", 128000, 128001, 128000, -1, []int32{128001, 128009}},
		{"llama-spm", 1, 2, 1, -1, []int32{2}},
		{"mpt", 0, 0, -1, -1, []int32{0}},
		{"nomic-bert-moe", 0, 2, 0, 2, []int32{2}},
		{"phi-3", 1, 32000, 1, -1, []int32{2, 32000, 32007}},
		{"qwen2", 151643, 151643, -1, -1, []int32{128247, 151643, 151645}},
		{"qwen35", 151643, 151643, -1, -1, []int32{128247, 151643, 151645}},
		{"refact", 0, 0, -1, -1, []int32{0, 4, 18}},
		{"starcoder", 0, 0, -1, -1, []int32{0, 4}},
	}
	for _, test := range tests {
		tok := open(t, test.name)
		if tok.BOS() != test.bos || tok.EOS() != test.eos || tok.first != test.first || tok.last != test.last {
			t.Errorf("%s: BOS %d, EOS %d, text between %d and %d", test.name, tok.BOS(), tok.EOS(), tok.first, tok.last)
		}
		if tok.AddsBOS() != (test.first >= 0) {
			t.Errorf("%s: AddsBOS is %v", test.name, tok.AddsBOS())
		}
		if !slices.Equal(tok.EOG(), test.eog) {
			t.Errorf("%s: answers end with %v, want %v", test.name, tok.EOG(), test.eog)
		}
		for _, id := range test.eog {
			if !tok.IsEOG(id) || tok.IsEOG(id+1) && !slices.Contains(test.eog, id+1) {
				t.Errorf("%s: IsEOG is wrong around %d", test.name, id)
			}
		}
	}
}

// build makes a tokenizer of metadata; keys stand without tokenizer.ggml.
func build(meta map[string]any) (*Tokenizer, error) {
	var kv []gguf.KV
	for key, value := range meta {
		kv = append(kv, gguf.KV{Key: "tokenizer.ggml." + key, Value: value})
	}
	var file bytes.Buffer
	if err := gguf.Write(&file, kv, nil); err != nil {
		return nil, err
	}
	f, err := gguf.Parse("test.gguf", file.Bytes())
	if err != nil {
		return nil, err
	}
	return New(f)
}

func TestErrors(t *testing.T) {
	tokens := []string{"a", "b", "ab"}
	tests := []struct {
		meta map[string]any
		want string
	}{
		{map[string]any{"model": "gpt2"}, "tokenizer.ggml.tokens has 0 entries"},
		{map[string]any{"tokens": tokens}, `tokenizer.ggml.model "" is not supported`},
		{map[string]any{"model": "rwkv", "tokens": tokens}, `tokenizer.ggml.model "rwkv" is not supported`},
		{map[string]any{"model": "gpt2", "tokens": tokens}, "tokenizer.ggml.merges is missing"},
		{map[string]any{"model": "gpt2", "tokens": tokens, "pre": "new"}, `unknown pre-tokenizer "new"`},
		{map[string]any{"model": "llama", "tokens": tokens, "scores": []float32{1}}, "tokenizer.ggml.scores has 1 entries for 3 tokens"},
		{map[string]any{"model": "llama", "tokens": tokens, "token_type": []int32{1}}, "tokenizer.ggml.token_type has 1 entries for 3 tokens"},
		{map[string]any{"model": "llama", "tokens": []string{strings.Repeat("x", 2000)}, "token_type": []int32{3}}, "token 0 is special and 2000 bytes long"},
		{map[string]any{"model": "t5", "tokens": tokens, "precompiled_charsmap": []uint8{9, 0, 0, 0, 0}}, "tokenizer.ggml.precompiled_charsmap is damaged"},
	}
	for _, test := range tests {
		_, err := build(test.meta)
		if err == nil || err.Error() != "test.gguf: tokenizer: "+test.want {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

// TestPieces: a file without an algorithm takes its tokens' texts, or numbers where it
// has none.
func TestPieces(t *testing.T) {
	tok, err := build(map[string]any{"model": "test", "tokens": []string{"tok_0", "tok_1", "tok_12"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("tok_1tok_12, tok_0", true, true), []int32{1, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := tok.Decode([]int32{2, 0}, false); got != "tok_12tok_0" {
		t.Errorf("decoded %q", got)
	}
	var b bytes.Buffer
	meta := []gguf.KV{{Key: "general.architecture", Value: "llama"}, {Key: "llama.vocab_size", Value: uint32(12)}, {Key: "tokenizer.ggml.model", Value: "none"}}
	if err := gguf.Write(&b, meta, nil); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse("none.gguf", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = New(f); err != nil {
		t.Fatal(err)
	}
	if got := tok.Decode(tok.Encode("<11><3>", true, true), false); got != "<11><3>" {
		t.Errorf("decoded %q", got)
	}
}

// TestOddVocabularies: symbols that no merge makes a token are spelled, and what
// can't be spelled is lost.
func TestOddVocabularies(t *testing.T) {
	tok, err := build(map[string]any{
		"model": "gpt2", "pre": "gpt-2", "tokens": []string{"a", "b", "c", "", "a"},
		"merges": []string{"a b", "ab c", "", "x", " ", "Ω b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("abcdab", true, true), []int32{4, 1, 2, 4, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	tok, err = build(map[string]any{
		"model": "llama", "tokens": []string{"<unk>", "<s>", "</s>", "▁", "a"}, "token_type": []int32{2, 3, 3, 1, 1},
		"scores": []float32{0, 0, 0, 0, 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("aé", true, true), []int32{1, 3, 4, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestHostileFiles builds tokenizers of nonsense and uses them.
func TestHostileFiles(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab ▁<0x1>Ġ\n\x00é")), 0, 12, -1)
	texts := rapid.SliceOfN(text, 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		meta := map[string]any{
			"model":  rapid.SampledFrom([]string{"gpt2", "gemma4", "llama", "bert", "t5"}).Draw(t, "model"),
			"tokens": texts.Draw(t, "tokens"),
			"merges": texts.Draw(t, "merges"),
		}
		if rapid.Bool().Draw(t, "typed") {
			meta["token_type"] = rapid.SliceOfN(rapid.Int32Range(-1, 8), 12, 12).Draw(t, "types")
			meta["scores"] = rapid.SliceOfN(rapid.Float32(), 12, 12).Draw(t, "scores")
			meta["precompiled_charsmap"] = rapid.SliceOf(rapid.Byte()).Draw(t, "charsmap")
		}
		for _, key := range []string{"bos_token_id", "eos_token_id", "unknown_token_id", "fim_pad_token_id"} {
			meta[key] = rapid.Uint32Range(0, 20).Draw(t, key)
		}
		tok, err := build(meta)
		if err != nil {
			return
		}
		for range 3 {
			ids := tok.Encode(text.Draw(t, "text"), true, true)
			for _, id := range ids {
				if id < 0 || int(id) >= tok.Vocab() {
					t.Fatalf("token %d of %d", id, tok.Vocab())
				}
			}
			_ = fmt.Sprint(tok.Decode(ids, true), tok.Piece(-1), tok.Piece(99), tok.IsSpecial(99))
		}
	})
}
