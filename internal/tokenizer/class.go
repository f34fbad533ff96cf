package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// class is a set of the character classes that pre-tokenizers distinguish.
// Every character has exactly one: white space comes first (it would otherwise
// be a separator or a control character), the general category decides the rest.
type class uint8

const (
	letter     class = 1 << iota // \p{L}
	mark                         // \p{M}
	number                       // \p{N}
	punct                        // \p{P}
	symbol                       // \p{S}
	control                      // \p{Cc} \p{Cf} \p{Co} \p{Cs}
	unassigned                   // \p{Cn}
	space                        // \s, the Unicode property White_Space
)

// classTable maps every code point to its class in two steps; most of Unicode's
// 4352 pages of 256 code points are alike.
type classTable struct {
	page [(unicode.MaxRune + 1) >> 8]uint8
	rows [][256]class
}

// classes is read-only. It follows Unicode 15.1, as llama.cpp's tables do.
var classes = newClassTable()

// added151 are the ideographs and symbols that Unicode 15.1 added to the 15.0
// of package unicode.
var added151 = map[class]*unicode.RangeTable{
	letter: {R32: []unicode.Range32{{Lo: 0x2ebf0, Hi: 0x2ee5d, Stride: 1}}},
	symbol: {R16: []unicode.Range16{{Lo: 0x2ffc, Hi: 0x2fff, Stride: 1}, {Lo: 0x31ef, Hi: 0x31ef, Stride: 1}}},
}

func newClassTable() *classTable {
	flat := make([][256]class, len(classTable{}.page))
	paint := func(c class, tables ...*unicode.RangeTable) {
		for _, t := range tables {
			for _, r := range t.R16 {
				for x := int(r.Lo); x <= int(r.Hi); x += int(r.Stride) {
					flat[x>>8][x&255] = c
				}
			}
			for _, r := range t.R32 {
				for x := int(r.Lo); x <= int(r.Hi); x += int(r.Stride) {
					flat[x>>8][x&255] = c
				}
			}
		}
	}
	paint(letter, unicode.L, added151[letter])
	paint(mark, unicode.M)
	paint(number, unicode.N)
	paint(punct, unicode.P)
	paint(symbol, unicode.S, added151[symbol])
	paint(control, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs)
	paint(space, unicode.White_Space)

	t := &classTable{}
	seen := map[[256]class]uint8{}
	for i, row := range flat {
		n, ok := seen[row]
		if !ok {
			n = uint8(len(t.rows))
			seen[row] = n
			t.rows = append(t.rows, row)
		}
		t.page[i] = n
	}
	for i := range t.rows {
		for j, c := range t.rows[i] {
			if c == 0 {
				t.rows[i][j] = unassigned
			}
		}
	}
	return t
}

// of returns the class of a character.
func (t *classTable) of(r rune) class {
	if uint32(r) > unicode.MaxRune {
		return unassigned
	}
	return t.rows[t.page[r>>8]][r&255]
}

// at returns the class and the width of the character at s[i:]; both are 0 at
// the end of s.
func (t *classTable) at(s string, i int) (class, int) {
	if i >= len(s) {
		return 0, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		return t.rows[0][c], 1
	}
	r, width := utf8.DecodeRuneInString(s[i:])
	return t.of(r), width
}

// span returns the end of the run of characters of set that begins at s[i].
func span(s string, i int, set class) int {
	ascii := &classes.rows[0]
	for i < len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			if ascii[c]&set == 0 {
				break
			}
			i++
			continue
		}
		r, width := utf8.DecodeRuneInString(s[i:])
		if classes.of(r)&set == 0 {
			break
		}
		i += width
	}
	return i
}

// one is span for at most one character.
func one(s string, i int, set class) int {
	if c, width := classes.at(s, i); c&set != 0 {
		return i + width
	}
	return i
}
