package grammar

import (
	"bytes"
	"slices"
	"sync"
	"unicode/utf8"
)

// Vocabulary is the tokens of a model, arranged for walking. Nothing of it that can
// be seen is changed after it is made, and it may be shared.
type Vocabulary struct {
	pieces  [][]byte
	ends    []int32
	words   int // 64-bit words of a mask
	deepest int // bytes of the longest token
	slices  []slice
	sliced  []uint64 // the tokens of all slices
	rest    trie
	reach   int        // most bytes before a control character in a token of rest
	twins   [][2]int32 // tokens with the same bytes: the first one, another one
	sorted  []int32    // tokens by their bytes, once each
	all     []uint64   // the tokens that a text may have, and those that end it
	idle    scratches
}

// scratches are those of walks that are over, for the next ones.
type scratches struct {
	mu   sync.Mutex
	idle []*scratch
}

// maxIdle is how many scratches are kept.
const maxIdle = 16

func (s *scratches) take(v *Vocabulary) *scratch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		x := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return x
	}
	n := v.deepest + 2
	return &scratch{make([]uint64, v.words), make([]place, n), make([]lexPlace, n)}
}

func (s *scratches) put(x *scratch) {
	clear(x.way) // so that they keep no grammar in memory
	clear(x.lexWay)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < maxIdle {
		s.idle = append(s.idle, x)
	}
}

// slice is the tokens of one class, which a state may allow as a whole.
type slice struct {
	class
	trie trie
	bits []uint64
}

// class is what tells slices apart: tokens of at most chars characters, which are
// letters and digits of ASCII, or any that a JSON string holds as they are.
type class struct {
	word  bool
	chars int
}

// classes are those of the slices. A token belongs to the first one that has it.
// One that allows more characters than the one before it has its kind.
var classes = []class{{true, 10}, {true, 30}, {false, 10}, {false, 30}, {false, 1 << 16}}

// trie is a tree of tokens, flat, in depth-first order.
type trie []trieNode

type trieNode struct {
	token int32 // -1: none ends here
	size  int32 // nodes of its subtree, itself included
	depth uint16
	b     byte
}

// maxPiece is the length of the longest token that is used.
const maxPiece = 1 << 12

// NewVocabulary arranges tokens. pieces[t] is the bytes of token t; those that are
// control tokens (no text) have none. ends are the tokens that end a text.
func NewVocabulary(pieces [][]byte, ends []int32) *Vocabulary {
	v := &Vocabulary{pieces: slices.Clone(pieces), ends: slices.Clone(ends), words: (len(pieces) + 63) / 64}
	v.ends = slices.DeleteFunc(v.ends, func(t int32) bool { return t < 0 || int(t) >= len(pieces) })
	for _, t := range v.ends {
		v.pieces[t] = nil
	}
	var order []int32
	for t, p := range v.pieces {
		if len(p) > 0 && len(p) <= maxPiece {
			order = append(order, int32(t))
			v.deepest = max(v.deepest, len(p))
		}
	}
	v.all = make([]uint64, v.words)
	for _, t := range slices.Concat(order, v.ends) {
		setBit(v.all, t)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return bytes.Compare(v.pieces[a], v.pieces[b]) })
	parts := make([][]int32, len(classes)+1) // slices, rest
	for i, t := range order {
		if i > 0 && bytes.Equal(v.pieces[t], v.pieces[v.sorted[len(v.sorted)-1]]) {
			v.twins = append(v.twins, [2]int32{v.sorted[len(v.sorted)-1], t})
			continue
		}
		v.sorted = append(v.sorted, t)
		k := sliceOf(v.pieces[t])
		parts[k] = append(parts[k], t)
	}
	for k, c := range classes {
		s := slice{class: c, trie: v.plant(parts[k]), bits: make([]uint64, v.words)}
		for _, t := range parts[k] {
			setBit(s.bits, t)
		}
		v.spread(s.bits)
		v.slices = append(v.slices, s)
	}
	v.sliced = make([]uint64, v.words)
	for _, s := range v.slices {
		for i, b := range s.bits {
			v.sliced[i] |= b
		}
	}
	v.rest = v.plant(parts[len(classes)])
	for _, t := range parts[len(classes)] {
		n := slices.IndexFunc(v.pieces[t], func(b byte) bool { return b < 0x20 })
		if n < 0 {
			n = len(v.pieces[t])
		}
		v.reach = max(v.reach, n)
	}
	return v
}

func setBit(bits []uint64, t int32) { bits[t>>6] |= 1 << (t & 63) }

func hasBit(bits []uint64, t int32) bool { return bits[t>>6]>>(t&63)&1 != 0 }

// spread sets the bits of tokens whose twins are set.
func (v *Vocabulary) spread(bits []uint64) {
	for _, p := range v.twins {
		if hasBit(bits, p[0]) {
			setBit(bits, p[1])
		}
	}
}

// sliceOf returns which slice a token belongs to, or how many there are.
func sliceOf(piece []byte) int {
	word := true
	for _, b := range piece {
		if b < 0x20 || b == '"' || b == '\\' || b == 0x7F {
			return len(classes)
		}
		word = word && (b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z')
	}
	if !utf8.Valid(piece) {
		return len(classes)
	}
	n := utf8.RuneCount(piece)
	return slices.IndexFunc(classes, func(c class) bool { return n <= c.chars && (word || !c.word) })
}

// plant makes a trie of tokens that are sorted by their bytes.
func (v *Vocabulary) plant(tokens []int32) trie {
	var t trie
	var path []int // nodes from the root to the last one
	pop := func(depth int) {
		for len(path) > depth {
			n := path[len(path)-1]
			t[n].size = int32(len(t) - n)
			path = path[:len(path)-1]
		}
	}
	var last []byte
	for _, id := range tokens {
		p := v.pieces[id]
		common := 0
		for common < len(last) && common < len(p) && last[common] == p[common] {
			common++
		}
		pop(common)
		for d := common; d < len(p); d++ {
			path = append(path, len(t))
			t = append(t, trieNode{token: -1, depth: uint16(d), b: p[d]})
		}
		t[path[len(path)-1]].token = id
		last = p
	}
	pop(0)
	return t
}

// crosses reports whether a token is longer than text and begins with it.
func (v *Vocabulary) crosses(text []byte) bool {
	i, found := slices.BinarySearchFunc(v.sorted, text, func(t int32, text []byte) int { return bytes.Compare(v.pieces[t], text) })
	if found {
		i++
	}
	return i < len(v.sorted) && bytes.HasPrefix(v.pieces[v.sorted[i]], text)
}
