package regex

import "slices"

// Deriv returns what may follow byte b in the strings of r. It is Empty exactly
// if no string of r begins with b.
func (s *Set) Deriv(r ID, b byte) ID {
	d := s.deriv(r, b)
	if !s.Inhabited(d) {
		return Empty
	}
	return d
}

// deriv is Deriv that may return another expression without strings than Empty.
func (s *Set) deriv(r ID, b byte) ID {
	n := &s.nodes[r]
	switch n.kind {
	case kindEmpty, kindEps, kindTag:
		return Empty
	case kindAll:
		return All
	case kindSwitch:
		for _, a := range s.branches(n) {
			if b <= a.hi {
				if b >= a.lo {
					return a.next
				}
				break
			}
		}
		return Empty
	}
	c := s.Classes(r)
	if n.row == 0 {
		n.row = s.rows.add(c.Len())
	}
	at := int(n.row) + c.Of(b)
	if d := s.rows.all[at]; d >= 0 {
		return d
	}
	s.Spend(3 + int(n.n)/2)
	d := s.derive(*n, c.First(b))
	s.rows.all[at] = d
	return d
}

func (s *Set) derive(n node, b byte) ID {
	args := s.args(&n)
	switch n.kind {
	case kindConcat:
		d := s.concat(s.deriv(args[0], b), args[1])
		if s.nodes[args[0]].nullable {
			d = s.Or(d, s.deriv(args[1], b))
		}
		return d
	case kindOr:
		d := s.derivs(args, b)
		r := s.Or(d...)
		s.release(d)
		return r
	case kindAnd:
		d := s.derivs(args, b)
		r := s.And(d...)
		s.release(d)
		return r
	case kindNot:
		return s.Not(s.deriv(args[0], b))
	case kindRepeat:
		low, high := int(n.aux[0]), int(n.aux[1])
		if high != Unbounded {
			high--
		}
		return s.concat(s.deriv(args[0], b), s.Repeat(args[0], max(low-1, 0), high))
	case kindMultiple:
		return s.deriveMultiple(n, b)
	default:
		return s.deriveQuoted(n, b)
	}
}

// derivs returns the derivatives of some expressions, in a list that is to be released.
func (s *Set) derivs(args []ID, b byte) []ID {
	out := s.borrow(len(args))
	for _, a := range args {
		out = append(out, s.deriv(a, b))
	}
	return out
}

// borrow returns an empty list with room for n expressions, for a short time.
func (s *Set) borrow(n int) []ID {
	if k := len(s.idle); k > 0 {
		list := s.idle[k-1]
		s.idle = s.idle[:k-1]
		return slices.Grow(list, n)
	}
	return make([]ID, 0, max(n, 16))
}

func (s *Set) release(list []ID) { s.idle = append(s.idle, list[:0]) }

// Match reports whether text is a string of r.
func (s *Set) Match(r ID, text []byte) bool {
	for _, b := range text {
		if r = s.deriv(r, b); r == Empty {
			return false
		}
	}
	return s.nodes[r].nullable
}

// Inhabited reports whether r has any string.
func (s *Set) Inhabited(r ID) bool {
	n := &s.nodes[r]
	if n.life == unknown {
		life := void
		if s.Dist(r) < far {
			life = inhabited
		}
		s.nodes[r].life = life
		return life == inhabited
	}
	return n.life == inhabited
}

// Contains reports whether a has all strings of b.
func (s *Set) Contains(a, b ID) bool { return !s.Inhabited(s.And(b, s.Not(a))) }

// Dist returns an upper bound of the number of bytes of a shortest string of r,
// which is that number unless r has intersections, complements or JSON strings; at
// least 1 << 28 if r has no string. Wherever it is above zero, there is a byte
// behind which it is lower.
func (s *Set) Dist(r ID) int {
	if d := s.nodes[r].dist; d >= 0 {
		return int(d)
	}
	n := s.nodes[r]
	d := far
	switch n.kind {
	case kindSwitch:
		for _, a := range s.branches(&n) {
			d = min(d, 1+s.Dist(a.next))
		}
	case kindConcat:
		args := s.args(&n)
		if d = s.Dist(args[0]); d < far {
			d = min(far, d+s.Dist(args[1]))
		}
	case kindOr:
		for _, a := range s.args(&n) {
			d = min(d, s.Dist(a))
		}
	case kindRepeat:
		if d = 0; n.aux[0] > 0 {
			d = min(far, int(n.aux[0])*s.Dist(s.arg(&n)))
		}
	case kindTag:
		d = 0
	case kindMultiple:
		d = s.multipleDist(n)
	case kindQuoted:
		d = s.quotedDist(n)
	default:
		return s.search(r, false)
	}
	if d >= far {
		s.nodes[r].life = void
	}
	s.nodes[r].dist = int32(d)
	return d
}
