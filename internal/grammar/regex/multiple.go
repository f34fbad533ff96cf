package regex

// multiples is what tells the multiples of a decimal number: the number times ten to
// the power of places is unit, which is whole.
type multiples struct{ unit, places int32 }

// MaxMultiple bounds unit times (places+2), the states that tell a multiple.
const MaxMultiple = 1 << 16

// Multiple is the decimal numbers without sign that unit, divided by ten to the
// power of places, divides. They may have any zeros in front, and behind the last
// place; their digits may be missing. unit times (places+2) is at most MaxMultiple.
func (s *Set) Multiple(unit, places int) ID {
	return s.multiple(multiples{int32(unit), int32(places)}, 0, 0)
}

// multiple is what follows digits that left a remainder. read is 0 before the point,
// and behind it one more than the digits that were read of the places.
func (s *Set) multiple(m multiples, remainder, read int32) ID {
	dists := s.multipleDists(m)
	d := dists[read*m.unit+remainder]
	if d >= far {
		return Empty
	}
	return s.intern(node{kind: kindMultiple, aux: [2]int32{m.unit | m.places<<20, remainder | read<<20}, nullable: d == 0, definite: true}, nil, nil)
}

func (n *node) multiple() (m multiples, remainder, read int32) {
	const low = 1<<20 - 1
	return multiples{n.aux[0] & low, n.aux[0] >> 20}, n.aux[1] & low, n.aux[1] >> 20
}

// next returns the state behind a byte, if there is one.
func (m multiples) next(remainder, read int32, b byte) (r, k int32, ok bool) {
	switch {
	case b == '.':
		return remainder, 1, read == 0
	case b < '0' || b > '9':
		return 0, 0, false
	case read == m.places+1: // only zeros do not change the value
		return remainder, read, b == '0'
	}
	if read > 0 {
		read++
	}
	return (remainder*10 + int32(b-'0')) % m.unit, read, true
}

// whole reports whether a number that ends in a state is a multiple.
func (m multiples) whole(remainder, read int32) bool {
	left := m.places - max(read-1, 0)
	for ; left > 0; left-- {
		remainder = remainder * 10 % m.unit
	}
	return remainder == 0
}

func (s *Set) deriveMultiple(n node, b byte) ID {
	m, remainder, read := n.multiple()
	r, k, ok := m.next(remainder, read, b)
	if !ok {
		return Empty
	}
	return s.multiple(m, r, k)
}

// multipleDists returns the bytes that each state lacks of a multiple, found from
// the ends backwards.
func (s *Set) multipleDists(m multiples) []int32 {
	if d, ok := s.multiples[m]; ok {
		return d
	}
	n := m.unit * (m.places + 2)
	dists := make([]int32, n)
	before := make([][]int32, n)
	var queue []int32
	for i := range n {
		r, k := i%m.unit, i/m.unit
		dists[i] = far
		if m.whole(r, k) {
			dists[i] = 0
			queue = append(queue, i)
		}
		for _, b := range []byte(".0123456789") {
			if r2, k2, ok := m.next(r, k, b); ok {
				to := k2*m.unit + r2
				before[to] = append(before[to], i)
			}
		}
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, j := range before[i] {
			if dists[j] == far {
				dists[j] = dists[i] + 1
				queue = append(queue, j)
			}
		}
	}
	if s.multiples == nil {
		s.multiples = map[multiples][]int32{}
	}
	s.multiples[m] = dists
	return dists
}

func (s *Set) multipleDist(n node) int {
	m, remainder, read := n.multiple()
	return int(s.multipleDists(m)[read*m.unit+remainder])
}
