package regex

// First returns bytes among which are all that begin a string of r: a bit for each.
func (s *Set) First(r ID) [4]uint64 {
	if i := s.nodes[r].first; i != 0 {
		return s.firsts.all[i]
	}
	f := s.firstOf(s.nodes[r])
	s.nodes[r].first = s.firsts.number(f)
	return f
}

func (s *Set) firstOf(n node) (f [4]uint64) {
	switch n.kind {
	case kindAll, kindNot:
		return [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	case kindSwitch:
		for _, a := range s.branches(&n) {
			for b := int(a.lo); b <= int(a.hi); b++ {
				mark(&f, b)
			}
		}
	case kindConcat:
		args := s.args(&n)
		f = s.First(args[0])
		if s.nodes[args[0]].nullable {
			join(&f, s.First(args[1]))
		}
	case kindOr, kindRepeat:
		for _, a := range s.args(&n) {
			join(&f, s.First(a))
		}
	case kindAnd:
		args := s.args(&n)
		f = s.First(args[0])
		for _, a := range args[1:] {
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
		f = s.First(s.arg(&n))
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
