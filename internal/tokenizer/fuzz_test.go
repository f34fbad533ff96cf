package tokenizer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/tokenizer/vocabtest"
)

// FuzzEncode: every text has tokens, in range, and from those of valid text it
// can be had back.
func FuzzEncode(f *testing.F) {
	var tokenizers []*Tokenizer
	for _, name := range []string{"gpt-2", "deepseek-coder", "llama-spm", "bert-bge"} {
		tokenizers = append(tokenizers, open(f, name))
	}
	exact := 3 // of these; BERT's loses what it normalises
	for text := range strings.SplitSeq(read(f, vocabtest.Vocabulary(f, "gpt-2")+".inp"), separator) {
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, special bool) {
		for i, tok := range tokenizers {
			ids := tok.Encode(text, true, special)
			if len(ids) > 2*len(text)+8 {
				t.Errorf("%d tokens for %d bytes", len(ids), len(text))
			}
			for _, id := range ids {
				if uint32(id) >= uint32(tok.Vocab()) {
					t.Fatalf("token %d of %d", id, tok.Vocab())
				}
			}
			got := tok.Decode(ids, false)
			if i < exact && !special && utf8.ValidString(text) && !strings.Contains(text, blankMark) && got != text {
				t.Errorf("%q comes back as %q", text, got)
			}
		}
		for name, s := range schemeTable {
			var pieces strings.Builder
			s.stages.split(text, func(piece string) bool {
				if piece == "" {
					t.Errorf("%s: an empty piece", name)
				}
				pieces.WriteString(piece)
				return true
			})
			if pieces.String() != text {
				t.Errorf("%s: the pieces are %q", name, pieces.String())
			}
		}
	})
}

// FuzzDecoder: whatever a model says, what comes out is valid UTF-8, and it is
// the same however it is asked for.
func FuzzDecoder(f *testing.F) {
	tok := open(f, "llama-spm")
	f.Add([]byte{3, 0, 200, 0, 230, 0, 160, 0, 130, 0, 1, 0}, true)
	f.Fuzz(func(t *testing.T, data []byte, special bool) {
		var ids []int32
		for i := 0; i+1 < len(data); i += 2 {
			ids = append(ids, int32(data[i])|int32(int8(data[i+1]))<<8)
		}
		d := tok.NewDecoder(special)
		var text []byte
		for _, id := range ids {
			text = append(text, d.Append(nil, id)...)
			if !utf8.Valid(text) {
				t.Fatalf("%q", text)
			}
		}
		text = d.Flush(text)
		if whole := tok.Decode(ids, special); whole != string(text) {
			t.Errorf("%q, in one go %q", text, whole)
		}
	})
}
