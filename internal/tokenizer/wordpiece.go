package tokenizer

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// wordPiece is BERT's algorithm: words are normalised, then covered from left
// to right by the longest tokens; a word that can't be covered is unknown. In
// a GGUF file the tokens that begin a word have ▁ before them.
type wordPiece struct {
	trie         trie
	unknown      int32
	lowercase    bool
	stripAccents bool
}

func newWordPiece(v *vocabulary) *wordPiece {
	ids := make([]int32, len(v.texts))
	for i := range ids {
		ids[i] = int32(i)
	}
	lowercase := v.flag("normalizer.lowercase", true)
	return &wordPiece{
		trie: newTrie(v.texts, ids), unknown: v.unknown,
		lowercase: lowercase, stripAccents: v.flag("normalizer.strip_accents", lowercase),
	}
}

// encode appends the tokens of text.
func (w *wordPiece) encode(dst []int32, text string, most int) []int32 {
	word := []byte(blankMark)
	finish := func() {
		if len(word) > len(blankMark) {
			dst = w.cover(dst, string(word))
			word = word[:len(blankMark)]
		}
	}
	for _, r := range text {
		if len(dst) > most {
			return dst
		}
		if w.stripAccents {
			r = withoutAccent(r)
		}
		c := classes.of(r)
		switch {
		case c == space:
			finish()
			continue
		case c == control, r == utf8.RuneError, c == mark && w.stripAccents:
			continue
		}
		alone := c == punct || c == symbol && r < 0x7f || chinese.has(r)
		if w.lowercase {
			r = unicode.ToLower(r)
		}
		if alone {
			finish()
		}
		word = utf8.AppendRune(word, r)
		if alone {
			finish()
		}
	}
	finish()
	return dst
}

// cover appends the tokens that cover a word.
func (w *wordPiece) cover(dst []int32, word string) []int32 {
	before := len(dst)
	for len(word) > 0 {
		id, n := w.trie.longest(word)
		if n == 0 {
			dst = dst[:before]
			break
		}
		dst = append(dst, id)
		word = word[n:]
	}
	if len(dst) == before && w.unknown >= 0 {
		dst = append(dst, w.unknown)
	}
	return dst
}

// withoutAccent returns the first character of a character's canonical
// decomposition.
func withoutAccent(r rune) rune {
	const hangulBase, hangulLast, leadBase, perLead = 0xac00, 0xd7a3, 0x1100, 21 * 28
	switch {
	case r < utf8.RuneSelf:
		return r
	case r >= hangulBase && r <= hangulLast:
		return leadBase + (r-hangulBase)/perLead
	}
	var buf [utf8.UTFMax]byte
	p := norm.NFD.Properties(buf[:utf8.EncodeRune(buf[:], r)])
	if d := p.Decomposition(); len(d) > 0 {
		r, _ = utf8.DecodeRune(d)
	}
	return r
}

// chinese is BERT's CJK ideographs, which are words of their own. It has the
// gap at U+2B820 that the Hugging Face tokenizers have.
var chinese = runeSet{
	0x3400, 0x4dbf, 0x4e00, 0x9fff, 0xf900, 0xfaff, 0x20000, 0x2a6df,
	0x2a700, 0x2b81f, 0x2b920, 0x2ceaf, 0x2f800, 0x2fa1f,
}
