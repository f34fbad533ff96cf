package regex

// searchLimit is how many derivatives a search for a shortest string looks at.
const searchLimit = 1 << 13

// visit is a derivative that a search has met.
type visit struct {
	id    ID
	from  int32 // the visit that led to it
	level int32 // bytes from the beginning
}

// frontier is the visits that a search has not looked at, as a heap: that one comes
// first which promises the shortest string, and of several the latest.
type frontier []struct{ length, at int32 }

func (f frontier) before(i, j int) bool {
	return f[i].length < f[j].length || f[i].length == f[j].length && f[i].at > f[j].at
}

func (f *frontier) push(length, at int32) {
	*f = append(*f, struct{ length, at int32 }{length, at})
	h := *f
	for i := len(h) - 1; i > 0 && h.before(i, (i-1)/2); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
}

func (f *frontier) pop() int32 {
	h := *f
	at := h[0].at
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c+1 < last && h.before(c+1, c) {
			c++
		}
		if c >= last || !h.before(c, i) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	*f = h
	return at
}

// search finds a short string of r, by its derivatives. It looks first where a guess
// of what is left promises the shortest string. The derivatives on the way to it
// learn their distances too. If there is no string, none of the derivatives that
// were looked at has one. A plain search is for strings of bytes that a JSON string
// holds as they are.
func (s *Set) search(r ID, plain bool) int {
	s.searches++
	stamp := s.searches
	visits, open := s.visits[:0], s.frontier[:0]
	s.visits, s.frontier = nil, nil // a search within this one has its own
	defer func() { s.visits, s.frontier = visits, open }()
	meet := func(id ID, from, level int32) {
		if n := &s.nodes[id]; n.seen != stamp {
			n.seen = stamp
			if d := s.guess(id, plain); d < far {
				visits = append(visits, visit{id, from, level})
				open.push(level+int32(d), int32(len(visits)-1))
			}
		}
	}
	meet(r, -1, 0)
	for len(open) > 0 {
		at := open.pop()
		v := visits[at]
		if d := s.distance(v.id, plain); d >= 0 {
			if d >= far {
				continue
			}
			for i := at; i >= 0; i = visits[i].from {
				s.learn(visits[i].id, plain, v.level-visits[i].level+d)
			}
			return int(v.level + d)
		}
		if len(visits) > searchLimit || s.err != nil {
			s.err = ErrBudget
			return 0
		}
		c := s.Classes(v.id)
		for b := 0; b < 256; b = c.Next(b) {
			with := b
			if plain {
				with = firstPlain(b, c.Next(b))
			}
			if with == c.Next(b) {
				continue
			}
			if d := s.deriv(v.id, byte(with)); d != Empty {
				meet(d, at, v.level+1)
			}
		}
	}
	for _, v := range visits {
		s.learn(v.id, plain, far)
	}
	s.learn(r, plain, far)
	return far
}

// firstPlain returns the first byte before end, but not before b, that a JSON string
// holds as it is, or end.
func firstPlain(b, end int) int {
	for b < end && !isPlain(b) {
		b++
	}
	return b
}

func isPlain(b int) bool { return b >= 0x20 && b != '"' && b != '\\' }

// distance returns the bytes of a short string of r if they are known, or -1.
func (s *Set) distance(r ID, plain bool) int32 {
	n := &s.nodes[r]
	switch {
	case n.nullable:
		return 0
	case plain && n.definite:
		return int32(s.plainDist(r))
	case n.definite:
		return int32(s.Dist(r))
	case plain:
		return n.plain
	}
	return n.dist
}

// learn notes the bytes of a short string of r, far for none.
func (s *Set) learn(r ID, plain bool, d int32) {
	n := &s.nodes[r]
	if plain {
		n.plain = d
		return
	}
	n.dist, n.life = d, inhabited
	if d >= far {
		n.life = void
	}
}

// guess returns about how many bytes a shortest string of r has, without a search. It
// is far only if there is none.
func (s *Set) guess(r ID, plain bool) int {
	if d := s.distance(r, plain); d >= 0 {
		return int(d)
	}
	n := &s.nodes[r]
	d := 1
	switch n.kind {
	case kindAnd:
		for _, a := range s.args(n) {
			d = max(d, s.guess(a, plain))
		}
	case kindOr:
		d = far
		for _, a := range s.args(n) {
			d = min(d, s.guess(a, plain))
		}
	case kindConcat:
		args := s.args(n)
		d = s.guess(args[0], plain)
		d = min(far, d+s.guess(args[1], plain))
	case kindRepeat:
		d = min(far, int(n.aux[0])*s.guess(s.arg(n), plain))
	case kindQuoted:
		if n.aux[0] == 0 && !plain {
			d = s.guess(s.arg(n), true)
		}
		if d >= far {
			d = 1 // with escapes
		}
	}
	return d
}

// Short returns a short string of r, which has one.
func (s *Set) Short(r ID) string {
	var out []byte
	for !s.nodes[r].nullable && s.err == nil {
		next, with := Empty, 0
		c := s.Classes(r)
		for b := 0; b < 256; b = c.Next(b) {
			if d := s.Deriv(r, byte(b)); d != Empty && (next == Empty || s.Dist(d) < s.Dist(next)) {
				next, with = d, b
			}
		}
		if next == Empty {
			break
		}
		out, r = append(out, byte(with)), next
	}
	return string(out)
}
