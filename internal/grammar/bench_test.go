package grammar

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// qwen is the vocabulary of qwen2.5-coder, 152k tokens, if the model is there.
func qwen(tb testing.TB) (*Vocabulary, *tokenizer.Tokenizer) {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Skip(err)
	}
	f, err := gguf.Open(filepath.Join(cache, "penstock", "models", "catalogue", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"))
	if err != nil {
		tb.Skip("the model qwen2.5-coder:0.5b is not in the cache: ", err)
	}
	defer f.Close()
	tok, err := tokenizer.New(f)
	if err != nil {
		tb.Fatal(err)
	}
	pieces := make([][]byte, tok.Vocab())
	for t := range pieces {
		if !tok.IsSpecial(int32(t)) {
			pieces[t] = tok.Piece(int32(t))
		}
	}
	return NewVocabulary(pieces, tok.EOG()), tok
}

// BenchmarkMasks walks a text of all kinds of JSON, token by token, with a new
// arena each time, and reports the percentiles of the times of the masks.
func BenchmarkMasks(b *testing.B) {
	v, tok := qwen(b)
	text := `{"name": "Ada Lovelace", "age": 36, "tags": ["mathematics", "engines \"analytical\"", "po\u00e9sie"], "address": {"street": "12 St James's Square", "zip": null, "geo": [51.5, -0.134e0]}, "notes": "Born in London; 日本語 and emoji 😀 pass as well."}`
	tokens := tok.Encode(text, false, false)
	var first, all []time.Duration
	for b.Loop() {
		g := jsonGrammar(b)
		start := time.Now()
		m := g.Matcher(v)
		for i, t := range tokens {
			if _, err := m.Allowed(-1); err != nil {
				b.Fatal(err)
			}
			d := time.Since(start)
			if i == 0 {
				first = append(first, d)
			}
			all = append(all, d)
			if err := m.Accept(t); err != nil {
				b.Fatal(err)
			}
			start = time.Now()
		}
	}
	report := func(name string, d []time.Duration, q float64) {
		slices.Sort(d)
		b.ReportMetric(float64(d[int(q*float64(len(d)-1))].Nanoseconds())/1e3, name)
	}
	report("first-p50-µs", first, 0.5)
	report("p50-µs", all, 0.5)
	report("p99-µs", all, 0.99)
	report("max-µs", all, 1)
}

// BenchmarkVocabulary is the time to arrange 152k tokens.
func BenchmarkVocabulary(b *testing.B) {
	v, _ := qwen(b)
	for b.Loop() {
		NewVocabulary(v.pieces, v.ends)
	}
}
