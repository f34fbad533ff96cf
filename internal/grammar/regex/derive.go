package regex

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
	switch s.nodes[r].kind {
	case kindEmpty, kindEps, kindTag:
		return Empty
	case kindAll:
		return All
	case kindSwitch:
		for _, a := range s.nodes[r].arms {
			if b <= a.hi {
				if b >= a.lo {
					return a.next
				}
				break
			}
		}
		return Empty
	}
	key := uint64(r)<<8 | uint64(b)
	if d, ok := s.derivs[key]; ok {
		return d
	}
	s.Spend(3 + len(s.nodes[r].args)/2)
	d := s.derive(s.nodes[r], b)
	s.derivs[key] = d
	return d
}

func (s *Set) derive(n node, b byte) ID {
	switch n.kind {
	case kindConcat:
		d := s.concat(s.deriv(n.args[0], b), n.args[1])
		if s.nodes[n.args[0]].nullable {
			d = s.Or(d, s.deriv(n.args[1], b))
		}
		return d
	case kindOr:
		return s.Or(s.derivs1(n.args, b)...)
	case kindAnd:
		return s.And(s.derivs1(n.args, b)...)
	case kindNot:
		return s.Not(s.deriv(n.args[0], b))
	case kindRepeat:
		low, high := int(n.aux[0]), int(n.aux[1])
		if high != Unbounded {
			high--
		}
		return s.concat(s.deriv(n.args[0], b), s.Repeat(n.args[0], max(low-1, 0), high))
	case kindMultiple:
		return s.deriveMultiple(n, b)
	default:
		return s.deriveQuoted(n, b)
	}
}

func (s *Set) derivs1(args []ID, b byte) []ID {
	out := make([]ID, 0, len(args))
	for _, a := range args {
		out = append(out, s.deriv(a, b))
	}
	return out
}

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
		for _, a := range n.arms {
			d = min(d, 1+s.Dist(a.next))
		}
	case kindConcat:
		if d = s.Dist(n.args[0]); d < far {
			d = min(far, d+s.Dist(n.args[1]))
		}
	case kindOr:
		for _, a := range n.args {
			d = min(d, s.Dist(a))
		}
	case kindRepeat:
		if d = 0; n.aux[0] > 0 {
			d = min(far, int(n.aux[0])*s.Dist(n.args[0]))
		}
	case kindTag:
		d = 0
	case kindMultiple:
		d = s.multipleDist(n)
	case kindQuoted:
		d = s.quotedDist(n)
	default:
		return s.search(r)
	}
	if d >= far {
		s.nodes[r].life = void
	}
	s.nodes[r].dist = int32(d)
	return d
}

// searchLimit is how many derivatives a search for a shortest string looks at.
const searchLimit = 1 << 13

// searchMore is how many more it looks at when it has come upon one whose distance
// is known already. A shorter string may be missed then.
const searchMore = 64

// search finds a short string of r, breadth first over its derivatives. Those on
// the way to it learn their distances too. If there is no string, none of the
// derivatives that were looked at has one.
func (s *Set) search(r ID) int {
	type visit struct {
		id    ID
		from  int32
		level int32
	}
	queue := []visit{{r, -1, 0}}
	seen := map[ID]bool{r: true}
	best, at, more := far, -1, searchMore
	for i := 0; i < len(queue) && int(queue[i].level) < best && more > 0; i++ {
		if at >= 0 {
			more--
		}
		v := queue[i]
		if s.nodes[v.id].definite {
			s.Dist(v.id) // needs no search
		}
		n := &s.nodes[v.id]
		if n.nullable || n.dist >= 0 {
			d := int(v.level)
			if !n.nullable {
				d += int(n.dist)
			}
			if d < best {
				best, at = d, i
			}
			continue
		}
		if len(queue) > searchLimit || s.err != nil {
			s.err = ErrBudget
			return 0
		}
		edges := s.Edges(v.id)
		for b := 0; b < 256; b = NextEdge(&edges, b) {
			if d := s.deriv(v.id, byte(b)); d != Empty && !seen[d] {
				seen[d] = true
				queue = append(queue, visit{d, int32(i), v.level + 1})
			}
		}
	}
	if at < 0 {
		for _, v := range queue {
			s.nodes[v.id].dist, s.nodes[v.id].life = far, void
		}
		return far
	}
	for i := int32(at); i >= 0; i = queue[i].from {
		n := &s.nodes[queue[i].id]
		n.dist, n.life = int32(best)-queue[i].level, inhabited
	}
	return best
}
