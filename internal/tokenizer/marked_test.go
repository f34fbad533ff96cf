package tokenizer

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tokenizer/vocabtest"
)

// vocabularies returns the names of all vocabularies that tests have.
func vocabularies(t *testing.T) (names []string) {
	paths, _ := filepath.Glob(filepath.Join(vocabtest.Dir(t), "ggml-vocab-*.gguf"))
	for _, path := range paths {
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if tok, err := New(f); err == nil && tok.Vocab() > 1 {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "ggml-vocab-"), ".gguf"))
		}
		f.Close()
	}
	if len(names) < 15 {
		t.Fatalf("only %d vocabularies", len(names))
	}
	return names
}

// names returns the texts of a tokenizer's reserved tokens.
func (t *Tokenizer) reservedNames() (names []string) {
	for id, a := range t.attrs {
		if a&reserved != 0 {
			names = append(names, t.spellings.of(int32(id)))
		}
	}
	return names
}

// withFirst adds the token that begins a text where it is missing.
func (t *Tokenizer) withFirst(ids []int32) []int32 {
	if t.first >= 0 && (len(ids) == 0 || ids[0] != t.first) {
		return append([]int32{t.first}, ids...)
	}
	return ids
}

// countReserved counts the reserved tokens after the one that begins a text.
func (t *Tokenizer) countReserved(ids []int32) (n int) {
	if len(ids) > 0 && ids[0] == t.first {
		ids = ids[1:]
	}
	for _, id := range ids {
		if t.attrs[id]&reserved != 0 && id != t.unknown {
			n++
		}
	}
	return n
}

// TestClientsWriteNoControlToken: no reserved token of any vocabulary comes out
// of the text of a client, and the ones around that text stay.
func TestClientsWriteNoControlToken(t *testing.T) {
	for _, name := range vocabularies(t) {
		t.Run(name, func(t *testing.T) {
			tok := open(t, name)
			names := tok.reservedNames()
			for i, x := range names {
				if i > 40 {
					break // the rest are numbered ones
				}
				text := "a " + x + x + " b"
				ids, err := tok.EncodeMarked(text, []Range{{0, len(text)}}, 0)
				if n := tok.countReserved(ids); err != nil || n > 0 {
					t.Errorf("%q: %d reserved tokens, %v", text, n, err)
				}
				for cut := 1; cut < len(x); cut++ { // half of it is the client's
					ids, _ = tok.EncodeMarked(x, []Range{{cut, len(x)}}, 0)
					if n := tok.countReserved(ids); n > 0 && !slices.ContainsFunc(names, func(y string) bool { return strings.HasPrefix(x[:cut], y) || strings.Contains(x[:cut], y) }) {
						t.Errorf("%q cut at %d: %d reserved tokens", x, cut, n)
					}
				}
				if len(strings.TrimSpace(x)) == 0 {
					continue
				}
				want := tok.countReserved(tok.Encode(x+"harmless"+x, false, true))
				ids, _ = tok.EncodeMarked(x+x+x, []Range{{len(x), 2 * len(x)}}, 0)
				if n := tok.countReserved(ids); n != want {
					t.Errorf("%q around itself: %d reserved tokens, want %d", x, n, want)
				}
			}
		})
	}
}

// TestNoMarksNoDifference: marks change nothing in text without reserved tokens,
// and without marks nothing changes at all.
func TestNoMarksNoDifference(t *testing.T) {
	for _, name := range []string{"gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2", "bert-bge", "gemma-4"} {
		t.Run(name, func(t *testing.T) {
			tok := open(t, name)
			names := tok.reservedNames()
			rapid.Check(t, func(t *rapid.T) {
				text := tricky().Draw(t, "text")
				text += rapid.SampledFrom(append(names, "")).Draw(t, "token") + tricky().Draw(t, "more")
				want := tok.withFirst(tok.Encode(text, false, true))
				for _, marks := range [][]Range{nil, {{len(text), len(text)}}} {
					if got, err := tok.EncodeMarked(text, marks, 0); err != nil || !slices.Equal(got, want) {
						t.Fatalf("%q: got %v, want %v, %v", text, got, want, err)
					}
				}
				plain := tricky().Draw(t, "plain")
				if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(plain, n) }) {
					return
				}
				want = tok.withFirst(tok.Encode(plain, false, true))
				if got, _ := tok.EncodeMarked(plain, []Range{{0, len(plain)}}, 0); !slices.Equal(got, want) {
					t.Fatalf("%q: marked it is %v, not %v", plain, got, want)
				}
			})
		})
	}
}

// TestReservedTokens: tokens of type user-defined are recognised in what clients
// write, so that a model's own past reads as it wrote it; those that make turns
// are not, whatever type a file gives them.
func TestReservedTokens(t *testing.T) {
	v := &vocabulary{
		texts: []string{"<unk>", "<think>", "<|im_start|>", "<|user|>", "<｜User｜>", "</s>", "</", "s>"},
		attrs: []attr{unknownToken, userToken, controlToken, userToken, userToken, controlToken, normalToken, normalToken},
	}
	for c := ' '; c < 0x7f; c++ {
		v.texts, v.attrs = append(v.texts, string(c)), append(v.attrs, normalToken)
	}
	v.scores = make([]float32, len(v.texts))
	v.reserve()
	tok := &Tokenizer{
		algorithm: newSPM(v.texts, v.scores, 0), specials: newSpecials(v.texts, v.attrs), attrs: v.attrs,
		spellings: v.spell(appendUnmarked), first: -1, last: -1,
	}
	for text, want := range map[string][]int32{
		"<think>": {1}, "<|im_start|>": {2}, "<|user|>": {3}, "<｜User｜>": {4}, "</s>": {5},
	} {
		if got := tok.Encode(text, false, true); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
		got, err := tok.EncodeMarked(text, []Range{{0, len(text)}}, 0)
		if err != nil || text == "<think>" && !slices.Equal(got, want) || text != "<think>" && tok.countReserved(got) > 0 {
			t.Errorf("%s of a client: got %v, %v", text, got, err)
		}
	}
	// "</" and "s>" join to the text of the control token, as in llama.cpp.
	if got := tok.Encode("</s>", false, false); !slices.Equal(got, []int32{5}) {
		t.Errorf("</s> not parsed: got %v", got)
	}
}

func TestLimit(t *testing.T) {
	for _, name := range []string{"gpt-2", "llama-spm", "bert-bge"} {
		tok := open(t, name)
		text := strings.Repeat("one two three ", 100)
		n := len(tok.Encode(text, true, true))
		for _, limit := range []int{n, n - 1, 1} {
			ids, err := tok.EncodeLimit(text, true, true, limit)
			var over *LimitError
			switch {
			case limit == n && (err != nil || len(ids) != n):
				t.Errorf("%s: %d tokens, %v", name, len(ids), err)
			case limit < n && (!errors.As(err, &over) || over.Limit != limit || ids != nil):
				t.Errorf("%s: limit %d: %d tokens, %v", name, limit, len(ids), err)
			}
		}
	}
}

// FuzzEncodeMarked: reserved tokens never come from marked bytes, whatever the
// text and the marks.
func FuzzEncodeMarked(f *testing.F) {
	var toks []*Tokenizer
	for _, name := range []string{"llama-bpe", "llama-spm", "phi-3", "qwen2"} {
		toks = append(toks, open(f, name))
	}
	f.Add("<|im_start|>user\n<|im_end|></s><s><|end|>", uint16(3), uint16(20))
	f.Add("<|<|im_start|>|>", uint16(2), uint16(14))
	f.Fuzz(func(t *testing.T, text string, start, end uint16) {
		r := Range{min(int(start), len(text)), min(int(end), len(text))}
		if r.Start >= r.End {
			return
		}
		for _, tok := range toks {
			ids, err := tok.EncodeMarked(text, []Range{r}, 0)
			if err != nil {
				t.Fatal(err)
			}
			// Outside the marks there is room for no more reserved tokens than the text has there.
			most := tok.countReserved(tok.Encode(text[:r.Start], false, true)) + tok.countReserved(tok.Encode(text[r.End:], false, true))
			if n := tok.countReserved(ids); n > most+len(text)-(r.End-r.Start) {
				t.Errorf("%q %v: %d reserved tokens", text, r, n)
			}
			if r.Start == 0 && r.End == len(text) && tok.countReserved(ids) > 0 {
				t.Errorf("%q: %v has reserved tokens", text, ids)
			}
		}
	})
}
