package tokenizer

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/alloctest"
)

// lossless are vocabularies from whose tokens every text can be had back. (That
// of Falcon has no token for some control characters.)
var lossless = []string{
	"aquila", "baichuan", "command-r", "deepseek-coder", "deepseek-llm", "gemma-4", "gpt-2", "gpt-neox",
	"llama-bpe", "llama-spm", "mpt", "phi-3", "qwen2", "qwen35", "refact", "starcoder",
}

func TestRoundTrip(t *testing.T) {
	for _, name := range lossless {
		t.Run(name, func(t *testing.T) {
			tok := open(t, name)
			rapid.Check(t, func(t *rapid.T) {
				text := tricky().Draw(t, "text")
				text = strings.ReplaceAll(text, blankMark, "") // SentencePiece takes it for a space
				ids := tok.Encode(text, true, false)
				if got := tok.Decode(ids, false); got != text {
					t.Fatalf("%q comes back as %q\nids %v", text, got, ids)
				}
			})
		})
	}
}

// TestDecoder feeds tokens one by one. What comes out is whole characters, not
// later than their last byte, and together what all the bytes are.
func TestDecoder(t *testing.T) {
	for _, name := range []string{"gpt-2", "llama-spm", "gemma-4", "qwen2"} {
		t.Run(name, func(t *testing.T) {
			tok := open(t, name)
			tokens := rapid.SliceOfN(rapid.OneOf(
				rapid.Int32Range(0, int32(tok.Vocab())-1),
				rapid.Int32Range(0, 300), // most bytes are among the first tokens
				rapid.Just(tok.EOS()),
				rapid.SampledFrom([]int32{-1, int32(tok.Vocab())}),
			), 0, 30)
			rapid.Check(t, func(t *rapid.T) {
				ids := tokens.Draw(t, "ids")
				special := rapid.Bool().Draw(t, "special")
				d := tok.NewDecoder(special).Resume()
				var text, raw []byte
				for _, id := range ids {
					before := len(text)
					text = d.Append(text, id)
					if !utf8.Valid(text[before:]) {
						t.Fatalf("token %d brings %q", id, text[before:])
					}
					if special || !tok.IsSpecial(id) {
						raw = append(raw, tok.Piece(id)...)
					}
					if utf8.Valid(raw) && string(text) != string(raw) {
						t.Fatalf("%q is held back: only %q has come out", raw, text)
					}
				}
				text = d.Flush(text)
				want, err := unicode.UTF8.NewDecoder().Bytes(raw)
				if err != nil {
					t.Fatal(err)
				}
				if string(text) != string(want) {
					t.Fatalf("%v: got %q, want %q", ids, text, want)
				}
			})
		})
	}
}

func TestLeadingSpace(t *testing.T) {
	tok := open(t, "llama-spm")
	ids := tok.Encode("Hello", true, false)
	if got := tok.Decode(ids, false); got != "Hello" {
		t.Errorf("a whole text decodes to %q", got)
	}
	if got := string(tok.NewDecoder(false).Resume().Append(nil, ids[1])); got != " Hello" {
		t.Errorf("a continuation decodes to %q", got)
	}
	if got := tok.Decode(ids, true); got != "<s>Hello" {
		t.Errorf("with special tokens: %q", got)
	}
}

func TestDecoderDoesNotAllocate(t *testing.T) {
	tok := open(t, "gpt-2")
	ids := tok.Encode(strings.Repeat("Größe 😀 ", 20), false, false)
	d := tok.NewDecoder(false)
	dst := make([]byte, 0, 1024)
	allocs := alloctest.PerRun(100, func() {
		dst = dst[:0]
		for _, id := range ids {
			dst = d.Append(dst, id)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	for _, name := range []string{"gpt-2", "llama-spm", "bert-bge"} {
		tok := open(t, name)
		text := strings.Repeat("Hello wörld, 你好! ", 40)
		want := tok.Encode(text, true, true)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					if got := tok.Encode(text, true, true); !slices.Equal(got, want) {
						t.Errorf("%s: ids differ", name)
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestIslands checks what makes SentencePiece fast: its islands.
func TestIslands(t *testing.T) {
	tok := open(t, "llama-spm")
	s := tok.algorithm.(*spm)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(tricky().Draw(t, "text"), " ", blankMark)
		if text == "" {
			return
		}
		var apart []int32
		for rest := text; rest != ""; {
			n := s.island(rest)
			apart = s.merge(apart, rest[:n], new(merger))
			rest = rest[n:]
		}
		if whole := s.merge(nil, text, new(merger)); !slices.Equal(apart, whole) {
			t.Fatalf("%q: %v apart, %v whole", text, apart, whole)
		}
	})
}
