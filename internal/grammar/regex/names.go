package regex

import (
	"slices"
	"sort"
)

// Name is one of the texts of Names. Its tag tells it from the others.
type Name struct {
	Text string
	Tag  int32
}

// Names is any of some different texts, each with its own tag at its end. The
// derivatives keep apart which text it was: Tag tells it once a text is complete.
// A tag matches the empty string.
func (s *Set) Names(names []Name) ID {
	sorted := slices.Clone(names)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Text < sorted[j].Text })
	return s.names(sorted, 0)
}

// names is what follows the first depth bytes, which the texts share.
func (s *Set) names(names []Name, depth int) ID {
	if len(names) == 0 {
		return Empty
	}
	end := Empty
	if len(names[0].Text) == depth {
		end = s.tag(names[0].Tag)
		names = names[1:]
	}
	var arms []arm
	for i := 0; i < len(names); {
		j := i
		b := names[i].Text[depth]
		for j < len(names) && names[j].Text[depth] == b {
			j++
		}
		arms = append(arms, arm{b, b, s.names(names[i:j], depth+1)})
		i = j
	}
	return s.Or(end, s.branch(arms))
}

func (s *Set) tag(t int32) ID {
	return s.intern(node{kind: kindTag, aux: [2]int32{t}, nullable: true, definite: true}, nil, nil)
}

// Without is the names r, which Names or Without made, but for one. Most of r is
// shared.
func (s *Set) Without(r ID, text string) ID {
	switch n := s.nodes[r]; n.kind {
	case kindTag:
		if text == "" {
			return Empty
		}
	case kindOr: // a tag and a switch
		parts := make([]ID, 0, n.n)
		for _, a := range s.args(&n) {
			parts = append(parts, s.Without(a, text))
		}
		return s.Or(parts...)
	case kindSwitch:
		if text == "" {
			return r
		}
		arms := slices.Clone(s.branches(&n))
		for i, a := range arms {
			if a.lo == text[0] {
				arms[i].next = s.Without(a.next, text[1:])
			}
		}
		return s.branch(arms)
	}
	return r
}

// Tag returns the tag of the text of Names that is complete in r, or -1.
func (s *Set) Tag(r ID) int32 {
	switch n := &s.nodes[r]; n.kind {
	case kindTag:
		return n.aux[0]
	case kindOr:
		for _, a := range s.args(n) {
			if t := s.Tag(a); t >= 0 {
				return t
			}
		}
	case kindQuoted:
		if n.nullable {
			return s.Tag(s.arg(n))
		}
	}
	return -1
}

// NameLength returns the least bytes of a text inside of a JSON string.
func NameLength(text string) (n int) {
	for i := range len(text) {
		n += escapedLength(text[i])
	}
	return n
}

func escapedLength(b byte) int {
	switch {
	case b == '"' || b == '\\':
		return 2
	case b < 0x20:
		return 6
	}
	return 1
}

// Over reports whether r has no string but the empty one.
func (s *Set) Over(r ID) bool { return r == Epsilon || s.nodes[r].kind == kindTag }

// Ends calls f with each tag that a text of r can end in, and the least number of
// bytes up to there. r is what is left of Names, or of a JSON string of them.
func (s *Set) Ends(r ID, f func(tag int32, bytes int)) { s.ends(r, 0, f) }

func (s *Set) ends(r ID, bytes int, f func(tag int32, bytes int)) {
	switch n := s.nodes[r]; n.kind {
	case kindTag:
		f(n.aux[0], bytes)
	case kindOr:
		for _, a := range s.args(&n) {
			s.ends(a, bytes, f)
		}
	case kindQuoted:
		if n.aux[0] == plain {
			s.ends(s.arg(&n), bytes, f)
			return
		}
		c := s.Classes(r)
		for b := 0; b < 256; b = c.Next(b) {
			if d := s.Deriv(r, byte(b)); d != Empty {
				s.ends(d, bytes+1, f)
			}
		}
	case kindConcat:
		args := s.args(&n)
		s.ends(args[1], bytes+s.Dist(args[0]), f)
	case kindSwitch:
		for _, a := range s.branches(&n) {
			s.ends(a.next, bytes+escapedLength(a.lo), f)
		}
	}
}
