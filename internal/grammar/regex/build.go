package regex

import (
	"slices"
	"sort"
	"unicode/utf8"
)

// Range is the characters from Lo to Hi.
type Range struct{ Lo, Hi rune }

// ByteRange is one byte from lo to hi.
func (s *Set) ByteRange(lo, hi byte) ID { return s.branch([]arm{{lo, hi, Epsilon}}) }

// AnyRune is one character in UTF-8.
func (s *Set) AnyRune() ID { return s.rune }

// Text is every text: any number of characters in UTF-8.
func (s *Set) Text() ID { return s.text }

// Literal is one string.
func (s *Set) Literal(text string) ID {
	r := Epsilon
	for i := len(text) - 1; i >= 0; i-- {
		r = s.branch([]arm{{text[i], text[i], r}})
	}
	return r
}

// Literals is any of some strings.
func (s *Set) Literals(texts []string) ID {
	sorted := slices.Clone(texts)
	sort.Strings(sorted)
	return s.literals(slices.Compact(sorted), 0)
}

// literals is what follows the first depth bytes, which the texts share.
func (s *Set) literals(texts []string, depth int) ID {
	if len(texts) == 0 {
		return Empty
	}
	if len(texts) == 1 {
		return s.Literal(texts[0][depth:])
	}
	ends := len(texts[0]) == depth
	if ends {
		texts = texts[1:]
	}
	var arms []arm
	for i := 0; i < len(texts); {
		j := i
		for b := texts[i][depth]; j < len(texts) && texts[j][depth] == b; {
			j++
		}
		b := texts[i][depth]
		arms = append(arms, arm{b, b, s.literals(texts[i:j], depth+1)})
		i = j
	}
	r := s.branch(arms)
	if ends {
		r = s.Or(Epsilon, r)
	}
	return r
}

// branch makes a switch of disjoint ascending arms.
func (s *Set) branch(arms []arm) ID {
	out := arms[:0]
	definite := true
	for _, a := range arms {
		if a.next == Empty {
			continue
		}
		definite = definite && s.nodes[a.next].definite
		if n := len(out); n > 0 && out[n-1].next == a.next && int(out[n-1].hi)+1 == int(a.lo) {
			out[n-1].hi = a.hi
			continue
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return Empty
	}
	return s.intern(node{kind: kindSwitch, definite: definite}, nil, out)
}

// Runes is one character of some ranges, in UTF-8. Surrogates are left out: they
// have no encoding.
func (s *Set) Runes(ranges ...Range) ID {
	list := normalize(ranges)
	var parts [][]arm // sequences of byte ranges; next is unused
	for _, r := range list {
		parts = appendUTF8(parts, r.Lo, r.Hi)
	}
	id := s.sequences(parts)
	s.nodes[id].text = true
	return id
}

// normalize sorts ranges, joins those that touch and leaves out surrogates and
// what is beyond Unicode.
func normalize(ranges []Range) []Range {
	var cut []Range
	for _, r := range ranges {
		lo, hi := max(r.Lo, 0), min(r.Hi, utf8.MaxRune)
		if lo <= 0xD7FF && lo <= hi {
			cut = append(cut, Range{lo, min(hi, 0xD7FF)})
		}
		if lo = max(lo, 0xE000); lo <= hi {
			cut = append(cut, Range{lo, hi})
		}
	}
	sort.Slice(cut, func(i, j int) bool { return cut[i].Lo < cut[j].Lo })
	var out []Range
	for _, r := range cut {
		if n := len(out); n > 0 && r.Lo <= out[n-1].Hi+1 {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Invert returns the characters outside of some ranges.
func Invert(ranges []Range) []Range {
	var out []Range
	next := rune(0)
	for _, r := range normalize(ranges) {
		if r.Lo > next {
			out = append(out, Range{next, r.Lo - 1})
		}
		next = r.Hi + 1
	}
	if next <= utf8.MaxRune {
		out = append(out, Range{next, utf8.MaxRune})
	}
	return normalize(out)
}

// appendUTF8 cuts a range of characters into sequences of byte ranges.
func appendUTF8(parts [][]arm, lo, hi rune) [][]arm {
	for _, top := range []rune{0x7F, 0x7FF, 0xFFFF} {
		if lo <= top && top < hi {
			return appendUTF8(appendUTF8(parts, lo, top), top+1, hi)
		}
	}
	if hi < utf8.RuneSelf {
		return append(parts, []arm{{lo: byte(lo), hi: byte(hi)}})
	}
	for shift := 6; shift <= 18; shift += 6 {
		m := rune(1)<<shift - 1
		if lo&^m == hi&^m {
			continue
		}
		if lo&m != 0 {
			return appendUTF8(appendUTF8(parts, lo, lo|m), (lo|m)+1, hi)
		}
		if hi&m != m {
			return appendUTF8(appendUTF8(parts, lo, hi&^m-1), hi&^m, hi)
		}
	}
	var a, b [4]byte
	n := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	seq := make([]arm, n)
	for i := range seq {
		seq[i] = arm{lo: a[i], hi: b[i]}
	}
	return append(parts, seq)
}

// sequences is any of some sequences of byte ranges whose first ranges are equal
// or disjoint, in ascending order.
func (s *Set) sequences(parts [][]arm) ID {
	var arms []arm
	for i := 0; i < len(parts); {
		j := i + 1
		first := parts[i][0]
		for j < len(parts) && parts[j][0].lo == first.lo && parts[j][0].hi == first.hi {
			j++
		}
		next := Epsilon
		if len(parts[i]) > 1 {
			rest := make([][]arm, 0, j-i)
			for _, p := range parts[i:j] {
				rest = append(rest, p[1:])
			}
			next = s.sequences(rest)
		}
		arms = append(arms, arm{first.lo, first.hi, next})
		i = j
	}
	return s.branch(arms)
}

// Concat is its parts one after the other.
func (s *Set) Concat(parts ...ID) ID {
	r := Epsilon
	for i := len(parts) - 1; i >= 0; i-- {
		r = s.concat(parts[i], r)
	}
	return r
}

func (s *Set) concat(a, b ID) ID {
	switch {
	case a == Empty || b == Empty:
		return Empty
	case a == Epsilon:
		return b
	case b == Epsilon:
		return a
	case b == All && s.nodes[a].nullable:
		return All
	}
	if n := &s.nodes[a]; n.kind == kindConcat {
		args := s.args(n)
		return s.concat(args[0], s.concat(args[1], b))
	}
	if n := &s.nodes[b]; a == All && n.kind == kindConcat && s.arg(n) == All {
		return b
	}
	args := [2]ID{a, b}
	return s.intern(node{kind: kindConcat, nullable: s.nodes[a].nullable && s.nodes[b].nullable, definite: s.allDefinite(args[:])}, args[:], nil)
}

// Or is the strings of any of its parts.
func (s *Set) Or(parts ...ID) ID {
	args := s.flatten(kindOr, parts)
	r := s.or(args)
	s.release(args)
	return r
}

// or is Or of a list that it may change.
func (s *Set) or(args []ID) ID {
	if len(args) == 0 {
		return Empty
	}
	if slices.Contains(args, All) {
		return All
	}
	args = s.dropCovered(s.mergeClasses(args))
	nullable := false
	for _, a := range args {
		nullable = nullable || s.nodes[a].nullable
	}
	if nullable && len(args) > 1 { // the empty string is among the others' already
		if i := slices.Index(args, Epsilon); i >= 0 && slices.ContainsFunc(args, func(a ID) bool { return a != Epsilon && s.nodes[a].nullable }) {
			args = slices.Delete(args, i, i+1)
		}
	}
	if len(args) == 1 {
		return args[0]
	}
	for _, a := range args { // r | not r
		if n := &s.nodes[a]; n.kind == kindNot && slices.Contains(args, s.arg(n)) {
			return All
		}
	}
	return s.intern(node{kind: kindOr, nullable: nullable, definite: s.allDefinite(args)}, args, nil)
}

// And is the strings that all of its parts have.
func (s *Set) And(parts ...ID) ID {
	args := s.flatten(kindAnd, parts)
	r := s.and(args)
	s.release(args)
	return r
}

// and is And of a list that it may change.
func (s *Set) and(args []ID) ID {
	if slices.Contains(args, Empty) {
		return Empty
	}
	args = slices.DeleteFunc(args, func(a ID) bool { return a == All })
	if slices.ContainsFunc(args, func(a ID) bool { return a != s.text && s.nodes[a].text }) {
		args = slices.DeleteFunc(args, func(a ID) bool { return a == s.text })
	}
	if len(args) == 0 {
		return All
	}
	if len(args) == 1 {
		return args[0]
	}
	nullable := true
	for _, a := range args {
		nullable = nullable && s.nodes[a].nullable
		if n := &s.nodes[a]; n.kind == kindNot && slices.Contains(args, s.arg(n)) {
			return Empty
		}
	}
	if slices.Contains(args, Epsilon) {
		if nullable {
			return Epsilon
		}
		return Empty
	}
	return s.intern(node{kind: kindAnd, nullable: nullable}, args, nil)
}

// flatten returns the parts in ascending order, once each, with nested ones of
// the same kind taken apart. The list is to be released.
func (s *Set) flatten(k kind, parts []ID) []ID {
	args := s.borrow(len(parts))
	for _, p := range parts {
		if n := &s.nodes[p]; n.kind == k {
			args = append(args, s.args(n)...)
		} else if k != kindOr || p != Empty {
			args = append(args, p)
		}
	}
	slices.Sort(args)
	return slices.Compact(args)
}

// mergeClasses joins the alternatives that are a single byte to one switch.
func (s *Set) mergeClasses(args []ID) []ID {
	var in [256]bool
	classes := 0
	for _, a := range args {
		if s.isClass(a) {
			classes++
		}
	}
	if classes < 2 {
		return args
	}
	rest := make([]ID, 0, len(args))
	for _, a := range args {
		if !s.isClass(a) {
			rest = append(rest, a)
			continue
		}
		for _, m := range s.branches(&s.nodes[a]) {
			for b := int(m.lo); b <= int(m.hi); b++ {
				in[b] = true
			}
		}
	}
	var arms []arm
	for b := range 256 {
		if in[b] {
			arms = append(arms, arm{byte(b), byte(b), Epsilon})
		}
	}
	rest = append(rest, s.branch(arms))
	slices.Sort(rest)
	return slices.Compact(rest)
}

func (s *Set) isClass(r ID) bool {
	n := &s.nodes[r]
	if n.kind != kindSwitch {
		return false
	}
	for _, a := range s.branches(n) {
		if a.next != Epsilon {
			return false
		}
	}
	return true
}

// Not is every string of bytes that r does not have, whether text or not.
func (s *Set) Not(r ID) ID {
	switch n := &s.nodes[r]; {
	case r == Empty:
		return All
	case r == All:
		return Empty
	case n.kind == kindNot:
		return s.arg(n)
	}
	args := [1]ID{r}
	return s.intern(node{kind: kindNot, nullable: !s.nodes[r].nullable}, args[:], nil)
}

// NotText is every text that r does not have.
func (s *Set) NotText(r ID) ID { return s.And(s.text, s.Not(r)) }

// Opt is r or nothing.
func (s *Set) Opt(r ID) ID { return s.Or(Epsilon, r) }

// Star is r any number of times.
func (s *Set) Star(r ID) ID { return s.Repeat(r, 0, Unbounded) }

// Plus is r at least once.
func (s *Set) Plus(r ID) ID { return s.Repeat(r, 1, Unbounded) }

// Repeat is r at least low and at most high times; high may be Unbounded.
func (s *Set) Repeat(r ID, low, high int) ID {
	n := s.nodes[r]
	if n.nullable {
		low = 0
	}
	switch {
	case high == 0 || r == Epsilon:
		return Epsilon
	case r == Empty && low == 0:
		return Epsilon
	case r == Empty || high != Unbounded && high < low:
		return Empty
	case r == All:
		return All
	case high == 1 && low == 1 || high == 1 && n.nullable:
		return r
	case high == 1:
		return s.Or(Epsilon, r)
	case n.kind == kindRepeat && low == 0 && high == Unbounded && n.aux[0] <= 1 && n.aux[1] == Unbounded:
		return s.Repeat(s.arg(&n), 0, Unbounded)
	case n.kind == kindOr && high == Unbounded && low == 0 && s.arg(&n) == Epsilon:
		return s.Repeat(s.Or(s.args(&n)[1:]...), 0, Unbounded)
	}
	args := [1]ID{r}
	return s.intern(node{kind: kindRepeat, aux: [2]int32{int32(low), int32(high)}, nullable: low == 0, definite: n.definite}, args[:], nil)
}

// Containing is the byte strings that have a string of r in them.
func (s *Set) Containing(r ID) ID { return s.Concat(All, r, All) }
