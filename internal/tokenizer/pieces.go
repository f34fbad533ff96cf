package tokenizer

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// pieces is what files have that say "test" or "none" instead of an algorithm: those of
// tests, and models that are given ids. A text is covered from left to right by the
// longest tokens; what none covers is left out.
type pieces struct{ trie trie }

func (p *pieces) encode(dst []int32, text string, most int) []int32 {
	for len(text) > 0 && len(dst) <= most {
		id, n := p.trie.longest(text)
		if n == 0 {
			text = text[1:]
			continue
		}
		dst, text = append(dst, id), text[n:]
	}
	return dst
}

func (t *Tokenizer) loadPieces(v *vocabulary) {
	v.assignRoles(roles{bos: -1, eos: -1, separator: -1, unknown: -1})
	t.surround(v, false, false)
	t.spellings = v.spell(func(dst []byte, text string) []byte { return append(dst, text...) })
	ids := make([]int32, len(v.texts))
	for i := range ids {
		ids[i] = int32(i)
	}
	t.algorithm = &pieces{newTrie(v.texts, ids)}
}

// numbered makes up the texts of a vocabulary without any: <0>, <1>, …
func numbered(f *gguf.File) []string {
	arch, _ := f.Str("general.architecture")
	n, _ := f.Uint(arch + ".vocab_size")
	if t, ok := f.Tensor("token_embd.weight"); ok && n == 0 {
		n = uint64(t.Rows())
	}
	texts := make([]string, min(n, maxTokens))
	for i := range texts {
		texts[i] = fmt.Sprintf("<%d>", i)
	}
	return texts
}
