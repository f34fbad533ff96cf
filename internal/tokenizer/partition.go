package tokenizer

import (
	"cmp"
	"slices"
)

// specials finds the tokens in a text that are matched as a whole, before
// anything else: longer ones first, of the same length from left to right.
type specials struct {
	trie   trie
	attrs  []attr     // [tokens]
	starts [256]uint8 // what a token begins with: plainStart, controlStart
	length int        // of the longest
}

const (
	plainStart   = 1 << iota // tokens that every text may have
	controlStart             // tokens that only trusted text may have
)

// maxSpecial is the longest special token that a file may have, in bytes.
const maxSpecial = 1 << 10

func newSpecials(texts []string, attrs []attr) *specials {
	s := &specials{attrs: attrs}
	var keys []string
	var ids []int32
	for id, a := range attrs {
		if a&(controlToken|userToken|unknownToken) == 0 {
			continue
		}
		text := texts[id]
		keys = append(keys, text)
		ids = append(ids, int32(id))
		s.length = max(s.length, len(text))
		if a&(controlToken|unknownToken) != 0 {
			s.starts[text[0]] |= controlStart
		} else {
			s.starts[text[0]] |= plainStart
		}
	}
	s.trie = newTrie(keys, ids)
	return s
}

// found is a special token in a text, and the text it replaces: stripped white
// space too.
type found struct {
	start, end int
	id         int32
}

// split emits the text between special tokens and the tokens, in order.
// Control tokens are only looked for with all.
func (s *specials) split(text string, all bool, raw func(string), token func(int32)) {
	at := 0
	for _, f := range s.find(text, all) {
		if f.start > at {
			raw(text[at:f.start])
		}
		token(f.id)
		at = f.end
	}
	if at < len(text) {
		raw(text[at:])
	}
}

// find returns the special tokens of a text from left to right. At every place
// it tries the longest token first; where that is in the way of one chosen
// before, it tries the next shorter one when the turn comes to that length.
func (s *specials) find(text string, all bool) []found {
	wanted := uint8(plainStart)
	if all {
		wanted |= controlStart
	}
	var q queue // (longest length - length)<<32 | place
	push := func(at, limit int) bool {
		n := s.longest(text[at:limit], all)
		if n > 0 {
			q = append(q, uint64(s.length-n)<<32|uint64(at))
		}
		return n > 0
	}
	for i := range len(text) {
		if s.starts[text[i]]&wanted != 0 {
			push(i, min(len(text), i+s.length))
		}
	}
	if len(q) == 0 {
		return nil
	}
	q.order()
	taken := make([]bool, len(text))
	var out []found
	for len(q) > 0 {
		key := q.pop()
		start := int(uint32(key))
		end := start + s.length - int(key>>32)
		if taken[start] {
			continue
		}
		if i := slices.Index(taken[start:end], true); i >= 0 {
			if push(start, start+i) {
				q.sift()
			}
			continue
		}
		out = append(out, s.take(text, start, end, taken))
	}
	slices.SortFunc(out, func(a, b found) int { return cmp.Compare(a.start, b.start) })
	return out
}

// longest returns the length of the longest wanted token that text begins with.
func (s *specials) longest(text string, all bool) int {
	length := 0
	n := int32(0)
	for i := range len(text) {
		if n = s.trie.step(n, text[i]); n < 0 {
			break
		}
		if id := s.trie.values[n]; id >= 0 && (all || s.attrs[id]&(controlToken|unknownToken) == 0) {
			length = i + 1
		}
	}
	return length
}

// take marks the text of a token as taken, with the white space that the token
// swallows on either side.
func (s *specials) take(text string, start, end int, taken []bool) found {
	id, _ := s.trie.longest(text[start:end])
	if s.attrs[id]&lstrip != 0 {
		for start > 0 && !taken[start-1] && asciiBlank(text[start-1]) {
			start--
		}
	}
	if s.attrs[id]&rstrip != 0 {
		for end < len(text) && !taken[end] && asciiBlank(text[end]) {
			end++
		}
	}
	for i := start; i < end; i++ {
		taken[i] = true
	}
	return found{start, end, id}
}

func asciiBlank(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }
