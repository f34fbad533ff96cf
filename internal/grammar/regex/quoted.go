package regex

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Where in an escape the inside of a JSON string is. The second number of a
// quoted expression holds the hexadecimal digits so far; behind a high surrogate
// its ten bits come first.
const (
	plain      int32 = iota
	escape           // behind a backslash
	digits           // behind \u and 0 to 3 digits: digits+0 ... digits+3
	pair       = digits + 4
	pairU      = pair + 1  // behind a high surrogate and a backslash
	pairDigits = pairU + 1 // behind a high surrogate and \u, and 0 to 3 digits
)

// Quoted turns a language of texts into what a JSON string of such a text has
// between its quotation marks. A character may stand for itself or be escaped in
// any of the ways that JSON has, surrogate pairs included; but \u is left out for
// characters that no encoder writes so, the letters, digits and most marks of
// ASCII. A known word then has one spelling, and its bytes are forced.
func (s *Set) Quoted(r ID) ID { return s.quoted(r, plain, 0) }

func (s *Set) quoted(r ID, mode, acc int32) ID {
	n := s.nodes[r]
	if r == Empty || mode == plain && s.Over(r) {
		return r
	}
	args := [1]ID{r}
	return s.intern(node{kind: kindQuoted, aux: [2]int32{mode, acc}, nullable: n.nullable && mode == plain, definite: n.definite && mode == plain}, args[:], nil)
}

func (s *Set) deriveQuoted(n node, b byte) ID {
	r, mode, acc := s.arg(&n), n.aux[0], n.aux[1]
	switch mode {
	case plain:
		if b == '\\' {
			return s.quoted(r, escape, 0)
		}
		if b < 0x20 || b == '"' {
			return Empty
		}
		return s.quoted(s.deriv(r, b), plain, 0)
	case escape:
		if b == 'u' {
			return s.quoted(r, digits, 0)
		}
		if c := unescape(b); c != 0 {
			return s.quoted(s.deriv(r, c), plain, 0)
		}
		return Empty
	case pair, pairU:
		if b == "\\u"[mode-pair] {
			return s.quoted(r, mode+1, acc)
		}
		return Empty
	}
	h := hex(b)
	if h < 0 {
		return Empty
	}
	acc = acc<<4 | h
	switch {
	case mode != digits+3 && mode != pairDigits+3:
		return s.quoted(r, mode+1, acc)
	case mode == digits+3 && acc >= 0xD800 && acc < 0xDC00:
		return s.quoted(r, pair, acc-0xD800)
	case mode == digits+3:
		return s.quotedRune(r, rune(acc))
	case acc&0xFFFF >= 0xDC00 && acc&0xFFFF < 0xE000:
		return s.quotedRune(r, 0x10000+rune(acc>>16)<<10+rune(acc&0x3FF))
	}
	return Empty
}

// escapedASCII is the printable characters of ASCII that encoders write as \u, some
// of them only where the text may become part of a web page.
const escapedASCII = `"&'+/<=>\` + "`"

// quotedRune is what follows the escaped character c.
func (s *Set) quotedRune(r ID, c rune) ID {
	if !utf8.ValidRune(c) || c >= 0x20 && c < 0x7F && !strings.ContainsRune(escapedASCII, c) {
		return Empty
	}
	var buf [4]byte
	for _, b := range buf[:utf8.EncodeRune(buf[:], c)] {
		r = s.deriv(r, b)
	}
	return s.quoted(r, plain, 0)
}

// Unquoted returns the text of a JSON string that Quoted allows, with its quotation marks.
func Unquoted(quoted []byte) string {
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return ""
	}
	return text
}

func unescape(b byte) byte {
	switch b {
	case '"', '\\', '/':
		return b
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

func hex(b byte) int32 {
	switch {
	case b >= '0' && b <= '9':
		return int32(b - '0')
	case b >= 'a' && b <= 'f':
		return int32(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int32(b-'A') + 10
	}
	return -1
}

// quotedDist is at most the number of bytes of a shortest string: exact if a
// shortest text needs no escapes, and otherwise six bytes for each of its bytes.
func (s *Set) quotedDist(n node) int {
	r, mode, acc := s.arg(&n), n.aux[0], n.aux[1]
	if mode == plain {
		if s.nodes[r].nullable {
			return 0
		}
		if d := s.plainDist(r); d < far {
			return d
		}
		return min(far, 6*s.Dist(r))
	}
	d := s.Dist(s.And(r, s.Concat(s.Runes(escaped(mode, acc)...), All)))
	if d >= far {
		return far
	}
	return min(far-1, 6*d-int(mode)) // mode is the bytes of the escape so far
}

// plainDist is Dist of the texts that need no escapes.
func (s *Set) plainDist(r ID) int {
	if d := s.nodes[r].plain; d >= 0 {
		return int(d)
	}
	n := s.nodes[r]
	d := far
	switch n.kind {
	case kindEps, kindTag, kindAll:
		d = 0
	case kindSwitch:
		for _, a := range s.branches(&n) {
			if firstPlain(int(a.lo), int(a.hi)+1) <= int(a.hi) {
				d = min(d, 1+s.plainDist(a.next))
			}
		}
	case kindConcat:
		args := s.args(&n)
		if d = s.plainDist(args[0]); d < far {
			d = min(far, d+s.plainDist(args[1]))
		}
	case kindOr:
		for _, a := range s.args(&n) {
			d = min(d, s.plainDist(a))
		}
	case kindRepeat:
		if d = 0; n.aux[0] > 0 {
			d = min(far, int(n.aux[0])*s.plainDist(s.arg(&n)))
		}
	case kindAnd, kindNot:
		return s.search(r, true)
	}
	s.nodes[r].plain = int32(d)
	return d
}

// escaped returns the characters that an escape may still become.
func escaped(mode, acc int32) []Range {
	switch {
	case mode < pair:
		shift := 4 * (4 - max(mode-digits, 0))
		lo, hi := acc<<shift, (acc+1)<<shift-1
		out := []Range{{lo, min(hi, 0x1F)}, {max(lo, 0x7F), hi}}
		for _, c := range escapedASCII {
			if c >= lo && c <= hi {
				out = append(out, Range{c, c})
			}
		}
		if lo, hi = max(lo, 0xD800), min(hi, 0xDBFF); lo <= hi {
			out = append(out, Range{0x10000 + (lo-0xD800)<<10, 0x10000 + (hi-0xD800)<<10 + 0x3FF})
		}
		return out
	}
	k := max(mode-pairDigits, 0)
	high, low := acc>>(4*k), acc&(1<<(4*k)-1)
	shift := 4 * (4 - k)
	lo, hi := max(low<<shift, 0xDC00), min((low+1)<<shift-1, 0xDFFF)
	base := 0x10000 + high<<10
	return []Range{{base + lo - 0xDC00, base + hi - 0xDC00}}
}

func (s *Set) quotedEdges(n node) [4]uint64 {
	e := [4]uint64{1}
	one := func(set string) {
		for i := range len(set) {
			mark(&e, int(set[i]))
			mark(&e, int(set[i])+1)
		}
	}
	switch mode := n.aux[0]; mode {
	case plain:
		join(&e, s.Classes(s.arg(&n)).edges)
		mark(&e, 0x20)
		one(`"\`)
	case escape:
		one(`"\/bfnrtu`)
	case pair, pairU:
		one(`\u`)
	default:
		one("0123456789abcdefABCDEF")
	}
	return e
}
