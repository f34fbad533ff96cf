package regex

// First returns bytes among which are all that begin a string of r: a bit for each.
func (s *Set) First(r ID) [4]uint64 {
	if n := &s.nodes[r]; n.begun {
		return n.first
	}
	f := s.firstOf(s.nodes[r])
	s.nodes[r].first, s.nodes[r].begun = f, true
	return f
}

func (s *Set) firstOf(n node) (f [4]uint64) {
	switch n.kind {
	case kindAll, kindNot:
		return [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	case kindSwitch:
		for _, a := range n.arms {
			for b := int(a.lo); b <= int(a.hi); b++ {
				mark(&f, b)
			}
		}
	case kindConcat:
		f = s.First(n.args[0])
		if s.nodes[n.args[0]].nullable {
			join(&f, s.First(n.args[1]))
		}
	case kindOr, kindRepeat:
		for _, a := range n.args {
			join(&f, s.First(a))
		}
	case kindAnd:
		f = s.First(n.args[0])
		for _, a := range n.args[1:] {
			o := s.First(a)
			for i := range f {
				f[i] &= o[i]
			}
		}
	case kindMultiple:
		markAll(&f, ".0123456789")
	case kindQuoted:
		f = s.firstQuoted(n)
	}
	return f
}

func (s *Set) firstQuoted(n node) (f [4]uint64) {
	switch mode := n.aux[0]; mode {
	case plain:
		f = s.First(n.args[0])
		f[0] &^= 1<<0x20 - 1 | 1<<'"'
		mark(&f, '\\')
	case escape:
		markAll(&f, `"\/bfnrtu`)
	case pair, pairU:
		markAll(&f, `\u`)
	default:
		markAll(&f, "0123456789abcdefABCDEF")
	}
	return f
}

func markAll(f *[4]uint64, set string) {
	for i := range len(set) {
		mark(f, int(set[i]))
	}
}
