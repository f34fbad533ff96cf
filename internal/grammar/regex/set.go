// Package regex holds regular languages over bytes as hash-consed expressions
// and computes with them by derivatives: intersection, complement, bounded
// repetition, emptiness and containment. It is no search engine: it knows no
// captures and no leftmost match. Package grammar builds its lexemes with it.
package regex

import (
	"errors"
	"maps"
	"math"
	"slices"
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

// node is an expression. It holds no pointers: grammars have many, which the
// garbage collector need not look at.
type node struct {
	kind     kind
	nullable bool
	definite bool   // built without intersection and complement: it has a string, if it is not Empty
	life     uint8  // unknown, inhabited, void
	text     bool   // known to have texts only
	finite   bool   // known to have a finite number of strings, fewer than there are expressions
	dist     int32  // bytes of a shortest string; -1: not computed
	plain    int32  // of one that a JSON string holds as it is; -1: not computed
	shape    uint32 // equal for expressions that differ in the numbers of repetitions only
	from, n  int32  // where its parts are in the list of parts, or of arms, and how many
	aux      [2]int32
	classes  int32  // number of its Classes; 0: not computed
	first    int32  // number of First; 0: not computed
	seen     uint32 // the last search that met it
	row      int32  // where its derivatives are, by class; 0: none is computed
}

// Set holds expressions. It is not safe for concurrent use.
type Set struct {
	nodes     []node
	parts     list[ID]
	arms      list[arm]
	index     Index
	base      *Index // of the Set that this is a clone of
	shared    int    // expressions of that Set
	rows      rows   // of derivatives
	classes   classTable
	firsts    firstTable
	limit     int
	spent     int // work so far, see Spend
	budget    int
	err       error
	work      int     // of the pattern that is being made
	visits    []visit // of a search that is over
	frontier  frontier
	searches  uint32
	idle      [][]ID // lists that are not in use, see borrow
	rune      ID     // one UTF-8 character
	multiples map[multiples][]int32
	text      ID // any number of them
}

// NewSet returns a Set of at most limit expressions, derivatives included.
func NewSet(limit int) *Set {
	s := &Set{limit: max(limit, 256), budget: math.MaxInt, classes: newClassTable(), firsts: newFirstTable()}
	s.intern(node{kind: kindEmpty, life: void, definite: true, dist: far, text: true}, nil, nil)
	s.intern(node{kind: kindEps, nullable: true, definite: true, life: inhabited, text: true}, nil, nil)
	s.intern(node{kind: kindAll, nullable: true, definite: true, life: inhabited}, nil, nil)
	s.rune = s.Runes(Range{0, 0x10FFFF})
	s.text = s.Repeat(s.rune, 0, Unbounded)
	return s
}

// Clone returns a copy that grows on its own, with the same IDs. s must not be
// changed from then on, and must not be a copy itself.
func (s *Set) Clone(limit int) *Set {
	c := &Set{limit: max(limit, len(s.nodes)), budget: math.MaxInt, err: s.err, rune: s.rune, text: s.text, searches: s.searches}
	c.nodes = append(make([]node, 0, len(s.nodes)+len(s.nodes)/4+64), s.nodes...)
	for i := range c.nodes {
		c.nodes[i].row = 0
	}
	c.parts, c.arms = s.parts.clone(), s.arms.clone()
	c.base, c.shared = &s.index, len(s.nodes)
	c.classes, c.firsts = s.classes.clone(), s.firsts.clone()
	c.multiples = maps.Clone(s.multiples)
	return c
}

// SetBudget bounds the work from here on.
func (s *Set) SetBudget(n int) { s.spent, s.budget = 0, n }

// Spend counts work, whatever the machine does besides: 15 to 50 for each microsecond
// of a fast processor, a third of that where memory is slow. Work beyond the budget
// fills the Set.
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

// nodeBytes is the size of a node.
const nodeBytes = 60

// Bytes estimates the memory that the Set takes.
func (s *Set) Bytes() int {
	return len(s.nodes)*nodeBytes + s.parts.bytes() + s.arms.bytes() + s.index.Bytes() + s.rows.bytes() + s.classes.bytes() + s.firsts.bytes()
}

// args returns the parts of an expression. They must not be changed.
func (s *Set) args(n *node) []ID {
	if n.kind == kindSwitch {
		return nil
	}
	return s.parts.at(n.from, n.n)
}

// arg returns the first part of an expression.
func (s *Set) arg(n *node) ID { return s.parts.at(n.from, 1)[0] }

// branches returns the arms of a switch. They must not be changed.
func (s *Set) branches(n *node) []arm { return s.arms.at(n.from, n.n) }

// intern returns the number of an expression, which it makes if there is none yet.
// It keeps a copy of the parts or arms.
func (s *Set) intern(n node, args []ID, arms []arm) ID {
	hash := hashOf(&n, args, arms)
	s.Spend(1)
	same := func(id int32) bool {
		o := &s.nodes[id]
		return o.kind == n.kind && o.aux == n.aux && int(o.n) == len(args)+len(arms) &&
			(o.kind == kindSwitch && slices.Equal(s.branches(o), arms) || o.kind != kindSwitch && slices.Equal(s.args(o), args))
	}
	if s.base != nil {
		if id, ok := s.base.Find(hash, func(id int32) bool { return int(id) < s.shared && same(id) }); ok {
			return ID(id)
		}
	}
	if id, ok := s.index.Find(hash, same); ok {
		return ID(id)
	}
	s.Spend(3)
	if len(s.nodes) >= s.limit {
		s.err = ErrBudget
		return Empty
	}
	if n.kind == kindSwitch {
		n.from, n.n = s.arms.add(arms), int32(len(arms))
	} else {
		n.from, n.n = s.parts.add(args), int32(len(args))
	}
	n.finite, n.plain = s.isFinite(&n), -1
	if n.kind > kindAll {
		n.text = s.onlyTexts(&n)
		n.dist = -1
		if n.definite {
			n.life = inhabited
		}
	}
	id := ID(len(s.nodes))
	n.shape = s.shapeOf(id, &n)
	s.nodes = append(room(s.nodes, 1), n)
	if id != Empty { // which is not looked for
		s.index.Add(hash, int32(id))
	}
	return id
}

// onlyTexts reports whether the form of n says that it has texts only.
func (s *Set) onlyTexts(n *node) bool {
	for _, a := range s.args(n) {
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
		for _, a := range s.branches(n) {
			if a.lo != a.hi || !s.nodes[a.next].finite {
				return false
			}
		}
		return true
	case kindOr:
		for _, a := range s.args(n) {
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
