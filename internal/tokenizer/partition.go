package tokenizer

import (
	"cmp"
	"slices"
	"sort"
)

// specials finds special tokens in a text. They are matched as a whole, before
// the algorithm sees the rest. Longer tokens are matched before shorter ones, and
// tokens of one length from left to right.
type specials struct {
	trie   trie
	attrs  []attr     // [tokens]
	starts [256]uint8 // what a token begins with: plainStart, controlStart
	length int        // of the longest
}

const (
	plainStart   = 1 << iota // user tokens, which are looked for in every text
	controlStart             // control tokens
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

// found is a special token and the part of the text that it replaces, which
// includes the white space that the token swallows.
type found struct {
	start, end int
	id         int32
}

// Range is the part of a text from byte Start to before byte End.
type Range = struct{ Start, End int }

// source is a text in which special tokens are looked for.
type source struct {
	text     string
	controls bool    // look for control tokens too
	client   []Range // what clients wrote, ascending: no reserved token touches it
}

// trusted returns how many bytes from at on no client wrote.
func (s *source) trusted(at int) int {
	i := sort.Search(len(s.client), func(i int) bool { return s.client[i].End > at })
	if i == len(s.client) {
		return len(s.text) - at
	}
	return max(0, s.client[i].Start-at)
}

// split emits the text between special tokens and the tokens, in order, until
// one of the functions returns false.
func (s *specials) split(in *source, raw func(string) bool, token func(int32) bool) {
	at := 0
	for _, f := range s.find(in) {
		if f.start > at && !raw(in.text[at:f.start]) || !token(f.id) {
			return
		}
		at = f.end
	}
	if at < len(in.text) {
		raw(in.text[at:])
	}
}

// find returns the special tokens of a text from left to right. The queue holds
// for each place the longest token that begins there, and gives the longest of all
// first. If a part of its text is taken already, the longest token that ends
// before that part goes back into the queue.
func (s *specials) find(in *source) []found {
	text := in.text
	wanted := uint8(plainStart)
	if in.controls {
		wanted |= controlStart
	}
	var q queue // (longest length - length)<<32 | place
	push := func(at, limit int) bool {
		n := s.longest(in, at, limit)
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

// longest returns the length of the longest token that is wanted at a place of
// the text and ends before limit.
func (s *specials) longest(in *source, at, limit int) int {
	length := 0
	trusted := -1 // found out when a token needs to know
	n := int32(0)
	for i := at; i < limit; i++ {
		if n = s.trie.step(n, in.text[i]); n < 0 {
			break
		}
		id := s.trie.values[n]
		if id < 0 || !in.controls && s.attrs[id]&hidden != 0 {
			continue
		}
		if s.attrs[id]&reserved != 0 && len(in.client) > 0 {
			if trusted < 0 {
				trusted = in.trusted(at)
			}
			if i+1-at > trusted {
				continue
			}
		}
		length = i + 1 - at
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
