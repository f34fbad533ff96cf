// Package regex holds regular languages over bytes as hash-consed expressions
// and computes with them by derivatives: intersection, complement, bounded
// repetition, emptiness and containment. It is no search engine: it knows no
// captures and no leftmost match. Package grammar builds its lexemes with it.
package regex

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"math/bits"
)

// ID names an expression of a Set. Equal expressions of one Set have equal IDs.
type ID int32

// The expressions that every Set begins with.
const (
	Empty   ID = 0 // no string at all
	Epsilon ID = 1 // the empty string only
	All     ID = 2 // every string of bytes
)

// Unbounded is the maximum of a repetition that has none.
const Unbounded = -1

// ErrBudget says that expressions or the states that they lead to are too many.
var ErrBudget = errors.New("the regular expressions are too large: use smaller repetitions, shorter alternatives or simpler patterns")

type kind uint8

const (
	kindEmpty    kind = iota
	kindEps           // the empty string
	kindAll           // every string
	kindSwitch        // arms: the first byte decides what follows
	kindConcat        // args[0] then args[1]
	kindOr            // args, ascending
	kindAnd           // args, ascending
	kindNot           // args[0]
	kindRepeat        // args[0], aux[0] to aux[1] times
	kindMultiple      // digits of a multiple: aux is the unit with its places, and the remainder with those that were read
	kindTag           // the empty string, and which of Names it ends: aux
	kindQuoted        // texts of args[0] as the inside of a JSON string; aux is where in an escape
)

// Whether a language has a string.
const (
	unknown uint8 = iota
	inhabited
	void
)

// arm is a branch of a switch: a byte from lo to hi, then a string of next.
type arm struct {
	lo, hi byte
	next   ID
}

// far is the length of a shortest string that is not known to exist.
const far = 1 << 28

type node struct {
	kind     kind
	nullable bool
	definite bool  // built without intersection and complement: it has a string, if it is not Empty
	life     uint8 // unknown, inhabited, void
	bounded  bool  // edges is filled
	text     bool  // known to have texts only
	finite   bool  // known to have a finite number of strings, fewer than there are expressions
	dist     int32 // bytes of a shortest string; -1: not computed
	args     []ID
	arms     []arm
	aux      [2]int32
	edges    [4]uint64 // bit b: bytes b-1 and b may lead to different derivatives
	first    [4]uint64 // filled if begun
	begun    bool
}

// Set holds expressions. It is not safe for concurrent use.
type Set struct {
	nodes     []node
	index     map[string]ID
	base      map[string]ID // of the Set that this is a clone of
	shared    int           // expressions of that Set
	derivs    map[uint64]ID
	limit     int
	spent     int // work so far, see Spend
	budget    int
	err       error
	work      int // of the pattern that is being made
	key       []byte
	rune      ID // one UTF-8 character
	multiples map[multiples][]int32
	text      ID // any number of them
}

// NewSet returns a Set of at most limit expressions, derivatives included.
func NewSet(limit int) *Set {
	s := &Set{index: map[string]ID{}, derivs: map[uint64]ID{}, limit: max(limit, 256), budget: math.MaxInt}
	s.intern(node{kind: kindEmpty, life: void, definite: true, dist: far, text: true})
	s.intern(node{kind: kindEps, nullable: true, definite: true, life: inhabited, text: true})
	s.intern(node{kind: kindAll, nullable: true, definite: true, life: inhabited})
	s.rune = s.Runes(Range{0, 0x10FFFF})
	s.text = s.Repeat(s.rune, 0, Unbounded)
	return s
}

// Clone returns a copy that grows on its own, with the same IDs. s must not be
// changed from then on, and must not be a copy itself.
func (s *Set) Clone(limit int) *Set {
	c := &Set{limit: max(limit, len(s.nodes)), budget: math.MaxInt, err: s.err, rune: s.rune, text: s.text}
	c.nodes = append(make([]node, 0, len(s.nodes)+64), s.nodes...)
	c.index, c.base, c.shared = make(map[string]ID, 64), s.index, len(s.nodes)
	c.derivs = make(map[uint64]ID, 256)
	c.multiples = maps.Clone(s.multiples)
	return c
}

// SetBudget bounds the work from here on.
func (s *Set) SetBudget(n int) { s.spent, s.budget = 0, n }

// Spend counts work, about eight for each microsecond, whatever the machine does
// besides. Work beyond the budget fills the Set.
func (s *Set) Spend(n int) {
	if s.spent += n; s.spent > s.budget && s.err == nil {
		s.err = ErrBudget
	}
}

// Err returns ErrBudget once the Set is full. From then on what its methods
// return means nothing.
func (s *Set) Err() error { return s.err }

// Len returns the number of expressions.
func (s *Set) Len() int { return len(s.nodes) }

// Bytes estimates the memory that the Set takes.
func (s *Set) Bytes() int { return len(s.nodes)*220 + len(s.derivs)*24 }

func (s *Set) intern(n node) ID {
	k := append(s.key[:0], byte(n.kind))
	for _, a := range n.args {
		k = binary.LittleEndian.AppendUint32(k, uint32(a))
	}
	for _, a := range n.arms {
		k = append(k, a.lo, a.hi)
		k = binary.LittleEndian.AppendUint32(k, uint32(a.next))
	}
	if n.kind >= kindRepeat {
		k = binary.LittleEndian.AppendUint32(k, uint32(n.aux[0]))
		k = binary.LittleEndian.AppendUint32(k, uint32(n.aux[1]))
	}
	s.key = k
	s.Spend(1)
	if id, ok := s.index[string(k)]; ok {
		return id
	}
	if id, ok := s.base[string(k)]; ok && int(id) < s.shared {
		return id
	}
	s.Spend(3)
	if len(s.nodes) >= s.limit {
		s.err = ErrBudget
		return Empty
	}
	n.finite = s.isFinite(&n)
	if n.kind > kindAll {
		n.text = s.onlyTexts(&n)
		n.dist = -1
		if n.definite {
			n.life = inhabited
		}
	}
	id := ID(len(s.nodes))
	s.nodes = append(s.nodes, n)
	s.index[string(k)] = id
	return id
}

// onlyTexts reports whether the form of n says that it has texts only.
func (s *Set) onlyTexts(n *node) bool {
	for _, a := range n.args {
		if text := s.nodes[a].text; text == (n.kind == kindAnd) {
			return text
		}
	}
	return n.kind == kindConcat || n.kind == kindOr || n.kind == kindRepeat || n.kind == kindTag
}

// isFinite reports whether n has as many strings as its form has ends, or none. It
// looks at tries only.
func (s *Set) isFinite(n *node) bool {
	switch n.kind {
	case kindEmpty, kindEps, kindTag:
		return true
	case kindSwitch:
		for _, a := range n.arms {
			if a.lo != a.hi || !s.nodes[a.next].finite {
				return false
			}
		}
		return true
	case kindOr:
		for _, a := range n.args {
			if !s.nodes[a].finite {
				return false
			}
		}
		return true
	}
	return false
}

// Nullable reports whether the empty string belongs to r.
func (s *Set) Nullable(r ID) bool { return s.nodes[r].nullable }

func (s *Set) allDefinite(args []ID) bool {
	for _, a := range args {
		if !s.nodes[a].definite {
			return false
		}
	}
	return true
}

// Edges returns where the byte classes of r begin: between two set bits all bytes
// have the same derivative. Bit 0 is always set.
func (s *Set) Edges(r ID) [4]uint64 {
	if n := &s.nodes[r]; n.bounded {
		return n.edges
	}
	n := s.nodes[r]
	e := [4]uint64{1}
	switch n.kind {
	case kindSwitch:
		for _, a := range n.arms {
			mark(&e, int(a.lo))
			mark(&e, int(a.hi)+1)
		}
	case kindConcat:
		join(&e, s.Edges(n.args[0]))
		if s.nodes[n.args[0]].nullable {
			join(&e, s.Edges(n.args[1]))
		}
	case kindOr, kindAnd, kindNot, kindRepeat:
		for _, a := range n.args {
			join(&e, s.Edges(a))
		}
	case kindMultiple:
		for b := '.'; b <= '9'+1; b++ {
			mark(&e, int(b))
		}
	case kindQuoted:
		e = s.quotedEdges(n)
	}
	s.nodes[r].edges, s.nodes[r].bounded = e, true
	return e
}

func mark(e *[4]uint64, b int) {
	if b < 256 {
		e[b>>6] |= 1 << (b & 63)
	}
}

func join(e *[4]uint64, o [4]uint64) {
	for i := range e {
		e[i] |= o[i]
	}
}

// NextEdge returns the first byte class that begins after byte b, or 256.
func NextEdge(e *[4]uint64, b int) int {
	b++
	for w := b >> 6; w < 4; w++ {
		if m := e[w] &^ (1<<(b&63) - 1); m != 0 {
			return w<<6 + bits.TrailingZeros64(m)
		}
		b = (w + 1) << 6
	}
	return 256
}
