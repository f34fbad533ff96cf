package regex

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// PatternError says what is wrong with a pattern.
type PatternError struct{ Problem string }

func (e *PatternError) Error() string { return e.Problem }

// maxNesting is how deep the groups of a pattern may be nested.
const maxNesting = 100

// maxCount is the largest number of repetitions that a pattern may ask for.
const maxCount = 1 << 16

// Pattern is the texts in which an ECMA-262 pattern is found, as JSON Schema uses
// them: anywhere in the text unless the pattern has anchors. Its error is a
// *PatternError, which names what can't be had, such as a back reference.
func (s *Set) Pattern(pattern string) (ID, error) {
	s.work = 0
	t, err := parse(s, pattern)
	if err != nil {
		return Empty, err
	}
	l, err := t.before(s, tail{All, All})
	if err != nil {
		return Empty, err
	}
	prefix := All
	if t.asserts() {
		prefix = s.text // a lookahead must not look from the middle of a character
	}
	if l.start == l.inside {
		return s.And(s.text, s.Concat(prefix, l.start)), s.err
	}
	return s.And(s.text, s.Or(l.start, s.Concat(s.rune, prefix, l.inside))), s.err
}

// Whole is the texts that an ECMA-262 pattern matches from beginning to end.
func (s *Set) Whole(pattern string) (ID, error) {
	s.work = 0
	t, err := parse(s, pattern)
	if err != nil {
		return Empty, err
	}
	l, err := t.before(s, tail{Epsilon, Epsilon})
	if err != nil {
		return Empty, err
	}
	return s.And(s.text, l.start), s.err
}

// tail is what may follow from here to the end of the text: at the start of the
// text, and inside of it. The two differ where the pattern has ^.
type tail struct{ start, inside ID }

// term is a part of a parsed pattern.
type term struct {
	kind      byte // one of termLang and the others
	lang      ID   // termLang
	parts     []*term
	low, high int // termRepeat
	negative  bool
}

const (
	termLang   = 'l' // the strings of lang
	termSeq    = 's'
	termAlt    = '|'
	termRepeat = '*'
	termStart  = '^'
	termEnd    = '$'
	termLook   = '=' // a lookahead at parts[0]
)

// asserts reports whether t holds an anchor or a lookahead.
func (t *term) asserts() bool {
	if t.kind == termStart || t.kind == termEnd || t.kind == termLook {
		return true
	}
	return slices.ContainsFunc(t.parts, (*term).asserts)
}

// maxWork is how many parts of a pattern are put together at most, those of
// counted repetitions as often as they are counted out.
const maxWork = 1 << 13

// before puts t before what follows it.
func (t *term) before(s *Set, k tail) (tail, error) {
	if s.work++; s.work > maxWork || s.err != nil {
		return k, &PatternError{"the pattern is too large: use fewer anchors and lookaheads in repetitions"}
	}
	if !t.asserts() {
		l := t.language(s)
		if k.start == k.inside || !s.Nullable(l) {
			r := s.Concat(l, k.inside)
			return tail{r, r}, nil
		}
		some := s.And(l, s.Not(Epsilon))
		return tail{s.Or(k.start, s.Concat(some, k.inside)), s.Concat(l, k.inside)}, nil
	}
	switch t.kind {
	case termStart:
		return tail{k.start, Empty}, nil
	case termEnd:
		return tail{s.And(Epsilon, k.start), s.And(Epsilon, k.inside)}, nil
	case termSeq:
		var err error
		for i := len(t.parts) - 1; i >= 0 && err == nil; i-- {
			k, err = t.parts[i].before(s, k)
		}
		return k, err
	case termAlt:
		sum := tail{Empty, Empty}
		for _, p := range t.parts {
			l, err := p.before(s, k)
			if err != nil {
				return l, err
			}
			sum = tail{s.Or(sum.start, l.start), s.Or(sum.inside, l.inside)}
		}
		return sum, nil
	case termLook:
		l, err := t.parts[0].before(s, tail{All, All})
		if t.negative {
			l = tail{s.Not(l.start), s.Not(l.inside)}
		}
		return tail{s.And(l.start, k.start), s.And(l.inside, k.inside)}, err
	default:
		return t.unrolled(s, k)
	}
}

// unrolled puts a repetition before what follows it, whose part holds anchors or
// lookaheads and must therefore be counted out.
func (t *term) unrolled(s *Set, k tail) (tail, error) {
	times := t.high
	if t.high == Unbounded {
		var err error
		if k, err = t.parts[0].looped(s, k); err != nil {
			return k, err
		}
		times = t.low
	}
	if times > 32 {
		return k, errAnchor
	}
	sum := k
	for i := times; i > 0; i-- {
		l, err := t.parts[0].before(s, sum)
		if err != nil {
			return l, err
		}
		if sum = l; i-1 >= t.low {
			sum = tail{s.Or(l.start, k.start), s.Or(l.inside, k.inside)}
		}
	}
	return sum, nil
}

var errAnchor = &PatternError{"an anchor or lookahead inside of a repetition is not supported, but for $ at its end"}

// looped puts t, any number of times, before what follows it. t has no anchors but $,
// behind which only the end of the text can follow, and no more of t.
func (t *term) looped(s *Set, k tail) (tail, error) {
	open := t.withoutEnd()
	if open.asserts() || k.start != k.inside {
		return k, errAnchor
	}
	loop := s.Star(open.language(s))
	r := s.Concat(loop, k.inside)
	if s.Nullable(k.inside) {
		last, err := t.before(s, tail{Epsilon, Epsilon})
		if err != nil {
			return k, err
		}
		r = s.Or(r, s.Concat(loop, last.inside))
	}
	return tail{r, r}, nil
}

// withoutEnd is t where it does not take a $.
func (t *term) withoutEnd() *term {
	if t.kind == termEnd {
		return &term{kind: termLang, lang: Empty}
	}
	if !t.asserts() {
		return t
	}
	o := *t
	o.parts = nil
	for _, p := range t.parts {
		o.parts = append(o.parts, p.withoutEnd())
	}
	return &o
}

// language is what t matches, if it asserts nothing.
func (t *term) language(s *Set) ID {
	if t.kind != termLang {
		t.lang, t.parts, t.kind = t.combined(s), nil, termLang
	}
	return t.lang
}

func (t *term) combined(s *Set) ID {
	switch t.kind {
	case termSeq:
		r := Epsilon
		for i := len(t.parts) - 1; i >= 0; i-- {
			r = s.concat(t.parts[i].language(s), r)
		}
		return r
	case termAlt:
		ids := make([]ID, len(t.parts))
		for i, p := range t.parts {
			ids[i] = p.language(s)
		}
		return s.Or(ids...)
	default: // termRepeat
		return s.Repeat(t.parts[0].language(s), t.low, t.high)
	}
}

// parser reads a pattern.
type parser struct {
	set   *Set
	text  string
	at    int
	depth int
}

func parse(s *Set, pattern string) (*term, error) {
	if !utf8.ValidString(pattern) {
		return nil, &PatternError{"the pattern is not valid UTF-8"}
	}
	p := &parser{set: s, text: pattern}
	t, err := p.alternation()
	if err == nil && p.at < len(p.text) {
		err = p.fail("has an unmatched )")
	}
	return t, err
}

func (p *parser) fail(format string, args ...any) error {
	return &PatternError{fmt.Sprintf("the pattern "+format+" at character %d", append(args, utf8.RuneCountInString(p.text[:p.at])+1)...)}
}

// take reads prefix if it comes next.
func (p *parser) take(prefix string) bool {
	if strings.HasPrefix(p.text[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

func (p *parser) next() rune {
	r, n := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += n
	return r
}

func (p *parser) alternation() (*term, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.fail("is nested more than %d groups deep", maxNesting)
	}
	defer func() { p.depth-- }()
	alt := &term{kind: termAlt}
	for {
		t, err := p.sequence()
		if err != nil {
			return nil, err
		}
		if alt.parts = append(alt.parts, t); !p.take("|") {
			break
		}
	}
	if len(alt.parts) == 1 {
		return alt.parts[0], nil
	}
	return alt, nil
}

func (p *parser) sequence() (*term, error) {
	seq := &term{kind: termSeq}
	for p.at < len(p.text) && p.text[p.at] != '|' && p.text[p.at] != ')' {
		t, err := p.atom()
		if err == nil {
			t, err = p.quantified(t)
		}
		if err != nil {
			return nil, err
		}
		seq.parts = append(seq.parts, t)
	}
	return seq, nil
}

func (p *parser) atom() (*term, error) {
	switch {
	case p.take("^"):
		return &term{kind: termStart}, nil
	case p.take("$"):
		return &term{kind: termEnd}, nil
	case p.take("("):
		return p.group()
	case p.take("."):
		return p.runes(Invert(lineEnds)), nil
	case p.take("["):
		r, err := p.class()
		return p.runes(r), err
	case p.take(`\`):
		return p.escapedAtom()
	}
	if c := p.text[p.at]; c == '*' || c == '+' || c == '?' {
		return nil, p.fail("repeats nothing (%c)", c)
	}
	c := p.next()
	return p.runes([]Range{{c, c}}), nil
}

func (p *parser) runes(r []Range) *term { return &term{kind: termLang, lang: p.set.Runes(r...)} }

func (p *parser) group() (*term, error) {
	look, negative := false, false
	switch {
	case p.take("?:"):
	case p.take("?="):
		look = true
	case p.take("?!"):
		look, negative = true, true
	case p.take("?<="), p.take("?<!"):
		return nil, p.fail("has a lookbehind, which is not supported,")
	case p.take("?<"):
		end := strings.IndexByte(p.text[p.at:], '>')
		if end <= 0 {
			return nil, p.fail("has a group without a name")
		}
		p.at += end + 1
	case p.take("?"):
		return nil, p.fail("has an unknown kind of group")
	}
	t, err := p.alternation()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.fail("has an unmatched (")
	}
	if look {
		t = &term{kind: termLook, parts: []*term{t}, negative: negative}
	}
	return t, nil
}

// quantified reads the quantifier behind a term, if there is one.
func (p *parser) quantified(t *term) (*term, error) {
	low, high := 0, Unbounded
	switch {
	case p.take("*"):
	case p.take("+"):
		low = 1
	case p.take("?"):
		high = 1
	case strings.HasPrefix(p.text[p.at:], "{"):
		var ok bool
		if low, high, ok = p.counts(); !ok {
			return t, nil
		}
	default:
		return t, nil
	}
	if low > maxCount || high > maxCount {
		return nil, p.fail("repeats more than %d times", maxCount)
	}
	if high != Unbounded && high < low {
		return nil, p.fail("has a repetition whose maximum is below its minimum")
	}
	p.take("?") // lazy: the language is the same
	if c := p.text[p.at:]; c != "" && strings.IndexByte("*+?", c[0]) >= 0 {
		return nil, p.fail("repeats a repetition")
	}
	return &term{kind: termRepeat, parts: []*term{t}, low: low, high: high}, nil
}

// counts reads {n}, {n,} or {n,m}; what else a brace begins is text.
func (p *parser) counts() (low, high int, ok bool) {
	at := p.at
	p.at++
	low, ok = p.number()
	if high = low; ok && p.take(",") {
		if high, ok = p.number(); !ok {
			high, ok = Unbounded, true
		}
	}
	if !ok || !p.take("}") {
		p.at = at
		return 0, 0, false
	}
	return low, high, true
}

func (p *parser) number() (n int, ok bool) {
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		n, ok = min(n*10+int(p.text[p.at]-'0'), maxCount+1), true
		p.at++
	}
	return n, ok
}
