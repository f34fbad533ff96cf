package regex

import "slices"

// shapeOf returns a hash that is the same for sequences that differ in the numbers
// of their repetitions only.
func (s *Set) shapeOf(id ID, n *node) uint32 {
	switch n.kind {
	case kindConcat:
		args := s.args(n)
		return Hash(n.kind).Mix(uint64(s.nodes[args[0]].shape)).Mix(uint64(s.nodes[args[1]].shape)).Sum()
	case kindRepeat:
		return Hash(n.kind).Mix(uint64(s.arg(n))).Sum()
	}
	return Hash(n.kind).Mix(uint64(id)).Sum()
}

// coverMost is up to how many alternatives are compared with each other.
const coverMost = 64

// dropCovered leaves out alternatives all of whose strings another one has, as far as
// the numbers of repetitions say so. Otherwise a counted pattern that can be read in
// many ways has an alternative for each of them, and a state for each set of these.
func (s *Set) dropCovered(args []ID) []ID {
	if len(args) < 2 || len(args) > coverMost {
		return args
	}
	for i := 0; i < len(args); i++ {
		shape := s.nodes[args[i]].shape
		for j := i + 1; j < len(args); j++ {
			switch {
			case s.nodes[args[j]].shape != shape:
			case s.covers(args[i], args[j]):
				args = slices.Delete(args, j, j+1)
				j--
			case s.covers(args[j], args[i]):
				args[i] = args[j]
				args = slices.Delete(args, j, j+1)
				j = i
			}
		}
	}
	slices.Sort(args)
	return args
}

// covers reports whether a has all strings of b. It looks at the numbers of
// repetitions only: false may also mean that it takes more to know.
func (s *Set) covers(a, b ID) bool {
	if a == b {
		return true
	}
	x, y := &s.nodes[a], &s.nodes[b]
	if x.kind != y.kind {
		return false
	}
	switch x.kind {
	case kindConcat:
		p, q := s.args(x), s.args(y)
		return s.covers(p[0], q[0]) && s.covers(p[1], q[1])
	case kindRepeat:
		return s.arg(x) == s.arg(y) && x.aux[0] <= y.aux[0] && (x.aux[1] == Unbounded || y.aux[1] != Unbounded && y.aux[1] <= x.aux[1])
	}
	return false
}
