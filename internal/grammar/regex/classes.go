package regex

import "math/bits"

// Classes are the byte classes of an expression: all bytes of a class have the same
// derivative. Expressions with the same classes share them.
type Classes struct {
	edges  [4]uint64 // a bit for each byte that begins a class; bit 0 is always set
	before [4]uint8  // classes that begin in the words before
	n      int
	table  *[256]uint8 // made when it is asked for
}

func newClasses(edges [4]uint64) *Classes {
	c := &Classes{edges: edges}
	for i, w := range edges {
		c.before[i] = uint8(c.n)
		c.n += bits.OnesCount64(w)
	}
	return c
}

// Len returns the number of classes.
func (c *Classes) Len() int { return c.n }

// Of returns the class of a byte.
func (c *Classes) Of(b byte) int {
	return int(c.before[b>>6]) + bits.OnesCount64(c.edges[b>>6]<<(63-b&63)) - 1
}

// Table returns the classes of all bytes.
func (c *Classes) Table() *[256]uint8 {
	if c.table == nil {
		c.table = new([256]uint8)
		class := -1
		for b := range c.table {
			class += int(c.edges[b>>6] >> (b & 63) & 1)
			c.table[b] = uint8(class)
		}
	}
	return c.table
}

// First returns the first byte of the class of b.
func (c *Classes) First(b byte) byte {
	for w, m := int(b>>6), c.edges[b>>6]<<(63-b&63)>>(63-b&63); ; m = c.edges[w] {
		if m != 0 {
			return byte(w<<6 + 63 - bits.LeadingZeros64(m))
		}
		w--
	}
}

// Next returns the first byte of the class behind that of b, or 256.
func (c *Classes) Next(b int) int {
	b++
	for w := b >> 6; w < 4; w++ {
		if m := c.edges[w] &^ (1<<(b&63) - 1); m != 0 {
			return w<<6 + bits.TrailingZeros64(m)
		}
		b = (w + 1) << 6
	}
	return 256
}

// classTable numbers classes. Those of the Set that a Set is a clone of are shared.
type classTable struct {
	all  []*Classes // the first one is not used
	ids  map[[4]uint64]int32
	base map[[4]uint64]int32

	shared int32 // how many base had
}

func newClassTable() classTable {
	return classTable{all: make([]*Classes, 1), ids: map[[4]uint64]int32{}}
}

func (t *classTable) clone() classTable {
	c := classTable{all: make([]*Classes, len(t.all), len(t.all)+16), ids: map[[4]uint64]int32{}, base: t.ids, shared: int32(len(t.all))}
	own := make([]Classes, len(t.all)) // not shared, because their tables are made when they are needed
	for i, o := range t.all[1:] {
		own[i+1] = *o
		own[i+1].table = nil
		c.all[i+1] = &own[i+1]
	}
	return c
}

// bytes estimates the memory of the table.
func (t *classTable) bytes() int { return len(t.all) * 400 }

func (t *classTable) number(edges [4]uint64) int32 {
	if id, ok := t.base[edges]; ok && id < t.shared {
		return id
	}
	id, ok := t.ids[edges]
	if !ok {
		id = int32(len(t.all))
		t.all = append(t.all, newClasses(edges))
		t.ids[edges] = id
	}
	return id
}

// Edges is where byte classes begin: a bit for each byte. Those of several
// expressions together are where the classes begin that refine the classes of each.
type Edges [4]uint64

// Join adds the edges of classes.
func (e *Edges) Join(c *Classes) { join((*[4]uint64)(e), c.edges) }

// ClassesOf returns the classes that have some edges.
func (s *Set) ClassesOf(e Edges) *Classes {
	e[0] |= 1
	return s.classes.all[s.classes.number(e)]
}

// Classes returns the byte classes of r.
func (s *Set) Classes(r ID) *Classes {
	if c := s.nodes[r].classes; c != 0 {
		return s.classes.all[c]
	}
	c := s.classes.number(s.edges(s.nodes[r]))
	s.nodes[r].classes = c
	return s.classes.all[c]
}

func (s *Set) edges(n node) [4]uint64 {
	e := [4]uint64{1}
	switch n.kind {
	case kindSwitch:
		for _, a := range s.branches(&n) {
			mark(&e, int(a.lo))
			mark(&e, int(a.hi)+1)
		}
	case kindConcat:
		args := s.args(&n)
		join(&e, s.Classes(args[0]).edges)
		if s.nodes[args[0]].nullable {
			join(&e, s.Classes(args[1]).edges)
		}
	case kindOr, kindAnd, kindNot, kindRepeat:
		for _, a := range s.args(&n) {
			join(&e, s.Classes(a).edges)
		}
	case kindMultiple:
		for b := '.'; b <= '9'+1; b++ {
			mark(&e, int(b))
		}
	case kindQuoted:
		e = s.quotedEdges(n)
	}
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

// firstTable numbers sets of bytes.
type firstTable struct {
	all  [][4]uint64 // the first one is not used
	ids  map[[4]uint64]int32
	base map[[4]uint64]int32

	shared int32
}

func newFirstTable() firstTable {
	return firstTable{all: make([][4]uint64, 1), ids: map[[4]uint64]int32{}}
}

func (t *firstTable) clone() firstTable {
	return firstTable{all: append(make([][4]uint64, 0, len(t.all)+16), t.all...), ids: map[[4]uint64]int32{}, base: t.ids, shared: int32(len(t.all))}
}

func (t *firstTable) bytes() int { return len(t.all) * 80 }

func (t *firstTable) number(set [4]uint64) int32 {
	if id, ok := t.base[set]; ok && id < t.shared {
		return id
	}
	id, ok := t.ids[set]
	if !ok {
		id = int32(len(t.all))
		t.all = append(t.all, set)
		t.ids[set] = id
	}
	return id
}
