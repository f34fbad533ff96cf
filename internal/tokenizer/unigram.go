package tokenizer

import (
	"math"
	"slices"
	"unicode/utf8"
)

// unigram is SentencePiece's other algorithm, that of T5 and XLM-RoBERTa: of
// all ways to cover the text with tokens it takes the one with the greatest sum
// of scores.
type unigram struct {
	trie    trie
	scores  []float64 // [tokens]
	unknown int32
	penalty float64 // score of a character that is in no token
	normalizer
}

// unknownPenalty is how much less likely than the least likely token a
// character is that is in no token.
const unknownPenalty = 10

func newUnigram(v *vocabulary) (*unigram, error) {
	u := &unigram{scores: make([]float64, len(v.texts))}
	u.prefix = v.flag("add_space_prefix", false)
	u.merge = v.flag("remove_extra_whitespaces", false)
	charsmap, _ := v.file.Ints("tokenizer.ggml.precompiled_charsmap")
	if err := u.load(charsmap); err != nil {
		return nil, err
	}
	least := float32(math.MaxFloat32)
	var keys, verbatim []string
	var ids []int32
	for id, a := range v.attrs {
		switch {
		case a&(normalToken|unusedToken) != 0:
			u.scores[id] = float64(v.scores[id])
			if a&normalToken != 0 {
				least = min(least, v.scores[id])
			}
		case a&userToken != 0: // scores 0, better than all others
			verbatim = append(verbatim, v.texts[id])
		default:
			continue
		}
		keys = append(keys, v.texts[id])
		ids = append(ids, int32(id))
	}
	u.penalty = float64(least - unknownPenalty)
	u.trie = newTrie(keys, ids)
	u.verbatim = newTrie(verbatim, make([]int32, len(verbatim)))
	return u, nil
}

// best is the best way to cover the text up to some place.
type best struct {
	score float64
	from  int32 // where its last token begins
	id    int32
}

// encode appends the tokens of text, with runs of unknown characters as one.
// It knows no token before it has seen the whole text, and so cannot stop early.
func (u *unigram) encode(dst []int32, text string, _ int) []int32 {
	s := u.normalize(text)
	if s == "" {
		return dst
	}
	ways := u.forward(s)
	start := len(dst)
	for at := len(s); at > 0; at = int(ways[at].from) {
		id := ways[at].id
		if id == u.unknown && len(dst) > start && dst[len(dst)-1] == u.unknown {
			continue
		}
		if id >= 0 {
			dst = append(dst, id)
		}
	}
	slices.Reverse(dst[start:])
	return dst
}

// forward finds the best way to every place of s that tokens lead to.
func (u *unigram) forward(s string) []best {
	ways := make([]best, len(s)+1)
	for i := range ways[1:] {
		ways[i+1].score = math.Inf(-1)
	}
	reach := func(at int, w best) {
		if w.score > ways[at].score {
			ways[at] = w
		}
	}
	for at := 0; at < len(s); {
		_, char := utf8.DecodeRuneInString(s[at:])
		covered := false
		n := int32(0)
		for i := at; i < len(s); i++ {
			if n = u.trie.step(n, s[i]); n < 0 {
				break
			}
			id := u.trie.values[n]
			if id < 0 {
				continue
			}
			covered = covered || i+1-at == char
			reach(i+1, best{ways[at].score + u.scores[id], int32(at), id})
		}
		if !covered {
			reach(at+char, best{ways[at].score + u.penalty, int32(at), u.unknown})
		}
		at += char
	}
	return ways
}
