package regex

import "math"

// Free returns how many characters may come next in r whatever they are, control
// characters, quotation marks and backslashes aside, and the distance to the end
// that is left behind any number of them. It looks at the form of r only: 0 may
// also mean that it takes a search to know.
func (s *Set) Free(r ID) (chars, dist int) {
	n := &s.nodes[r]
	switch n.kind {
	case kindAll:
		return math.MaxInt, 0
	case kindConcat:
		args := s.args(n)
		if chars, dist = s.Free(args[0]); chars > 0 {
			dist += s.Dist(args[1])
		}
		return chars, min(dist, far)
	case kindRepeat:
		if s.arg(n) != s.rune {
			return 0, 0
		}
		if chars = int(n.aux[1]); chars == Unbounded {
			chars = math.MaxInt
		}
		return chars, int(n.aux[0])
	case kindQuoted:
		if n.aux[0] == plain {
			return s.Free(s.arg(n))
		}
	case kindAnd: // texts but for some
		for _, a := range s.args(n) {
			if o := &s.nodes[a]; a != s.text && (o.kind != kindNot || !s.nodes[s.arg(o)].finite) {
				return 0, 0
			}
		}
		return math.MaxInt, 4 // more texts of four plain characters than a Set has expressions
	case kindOr:
		for _, a := range s.args(n) {
			if c, d := s.Free(a); c > chars {
				chars, dist = c, d
			}
		}
	}
	return chars, dist
}

// Clamp returns an expression that allows the same strings of up to n bytes next
// as r does, as long as these have no control characters, and that has smaller
// numbers of repetitions inside of JSON strings.
func (s *Set) Clamp(r ID, n int) ID {
	e := s.nodes[r]
	switch e.kind {
	case kindConcat:
		args := s.args(&e)
		if c := s.Clamp(args[0], n); c != args[0] {
			return s.concat(c, args[1])
		}
	case kindQuoted:
		inner := s.nodes[s.arg(&e)]
		if e.aux[0] != plain || inner.kind != kindRepeat || s.arg(&inner) != s.rune {
			return r
		}
		low, high := int(inner.aux[0]), int(inner.aux[1])
		if high > n {
			high = Unbounded
		}
		if low > n && high == Unbounded {
			low = n + 1
		}
		return s.quoted(s.Repeat(s.rune, low, high), plain, 0)
	}
	return r
}
