package regex

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The classes that ECMA-262 has escapes for.
var (
	lineEnds = []Range{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}
	digitSet = []Range{{'0', '9'}}
	wordSet  = []Range{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	spaceSet = []Range{{'\t', '\r'}, {' ', ' '}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}}
)

// escapedAtom reads what follows a backslash outside of a class.
func (p *parser) escapedAtom() (*term, error) {
	if p.at == len(p.text) {
		return nil, p.fail("ends with a backslash")
	}
	switch c := p.text[p.at]; {
	case c == 'b' || c == 'B':
		return nil, p.fail(`has a word boundary (\%c), which is not supported,`, c)
	case c >= '1' && c <= '9':
		return nil, p.fail(`has a back reference (\%c), which is not supported,`, c)
	case c == 'k':
		return nil, p.fail(`has a back reference (\k), which is not supported,`)
	}
	r, err := p.escape()
	return p.runes(r), err
}

// escape reads what follows a backslash: one character or a class of them.
func (p *parser) escape() ([]Range, error) {
	if p.at == len(p.text) {
		return nil, p.fail("ends with a backslash")
	}
	c := p.next()
	switch c {
	case 'd':
		return digitSet, nil
	case 'D':
		return Invert(digitSet), nil
	case 'w':
		return wordSet, nil
	case 'W':
		return Invert(wordSet), nil
	case 's':
		return spaceSet, nil
	case 'S':
		return Invert(spaceSet), nil
	case 'p', 'P':
		r, err := p.property()
		if c == 'P' {
			r = Invert(r)
		}
		return r, err
	}
	r, err := p.escapedRune(c)
	return []Range{{r, r}}, err
}

func (p *parser) escapedRune(c rune) (rune, error) {
	switch c {
	case 't':
		return '\t', nil
	case 'n':
		return '\n', nil
	case 'v':
		return '\v', nil
	case 'f':
		return '\f', nil
	case 'r':
		return '\r', nil
	case '0':
		return 0, nil
	case 'c':
		if p.at < len(p.text) && unicode.IsLetter(rune(p.text[p.at])) && p.text[p.at] < utf8.RuneSelf {
			return p.next() & 31, nil
		}
		return 0, p.fail(`has \c without a letter`)
	case 'x':
		if r, ok := p.hexDigits(2); ok {
			return r, nil
		}
		return 'x', nil
	case 'u':
		return p.unicodeEscape()
	}
	return c, nil
}

// unicodeEscape reads the rest of \uHHHH, of a pair of them, or of \u{H...}.
func (p *parser) unicodeEscape() (rune, error) {
	if p.take("{") {
		end := strings.IndexByte(p.text[p.at:], '}')
		if end < 1 || end > 6 {
			return 0, p.fail(`has a malformed \u{...}`)
		}
		r, ok := p.hexDigits(end)
		p.at++
		if !ok || r > unicode.MaxRune {
			return 0, p.fail(`has a malformed \u{...}`)
		}
		return r, nil
	}
	r, ok := p.hexDigits(4)
	if !ok {
		return 'u', nil
	}
	if r >= 0xD800 && r < 0xDC00 && strings.HasPrefix(p.text[p.at:], `\u`) {
		at := p.at
		p.at += 2
		if low, ok := p.hexDigits(4); ok && low >= 0xDC00 && low < 0xE000 {
			return 0x10000 + (r-0xD800)<<10 + low - 0xDC00, nil
		}
		p.at = at
	}
	return r, nil
}

func (p *parser) hexDigits(n int) (rune, bool) {
	if p.at+n > len(p.text) {
		return 0, false
	}
	r := rune(0)
	for i := range n {
		h := hex(p.text[p.at+i])
		if h < 0 {
			return 0, false
		}
		r = r<<4 | h
	}
	p.at += n
	return r, true
}

// class reads a class behind its opening bracket.
func (p *parser) class() ([]Range, error) {
	negative := p.take("^")
	var out []Range
	for !p.take("]") {
		if p.at == len(p.text) {
			return nil, p.fail("has an unmatched [")
		}
		item, single, err := p.classItem()
		if err != nil {
			return nil, err
		}
		if rest := p.text[p.at:]; single && len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			at := p.at
			p.at++
			to, also, err := p.classItem()
			if err != nil {
				return nil, err
			}
			if also {
				if to[0].Lo < item[0].Lo {
					return nil, p.fail("has a class whose range ends before it begins")
				}
				item = []Range{{item[0].Lo, to[0].Lo}}
			} else {
				p.at = at // the hyphen stands for itself
			}
		}
		out = append(out, item...)
	}
	if negative {
		return Invert(out), nil
	}
	return out, nil
}

// classItem reads a character, or a class that has an escape.
func (p *parser) classItem() (r []Range, single bool, err error) {
	if p.at == len(p.text) {
		return nil, false, p.fail("has an unmatched [")
	}
	c := p.next()
	if c != '\\' {
		return []Range{{c, c}}, true, nil
	}
	if p.take("b") {
		return []Range{{'\b', '\b'}}, true, nil
	}
	at := p.at
	if r, err = p.escape(); err != nil {
		return nil, false, err
	}
	return r, strings.IndexByte("dDwWsSpP", p.text[at]) < 0, nil
}

// longCategories are the long names of Unicode's general categories.
var longCategories = map[string]string{
	"Letter": "L", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm", "Other_Letter": "Lo",
	"Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me",
	"Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl", "Other_Number": "No",
	"Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe",
	"Initial_Punctuation": "Pi", "Final_Punctuation": "Pf", "Other_Punctuation": "Po",
	"Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So",
	"Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Other": "C", "Control": "Cc", "Format": "Cf", "Private_Use": "Co",
}

// property reads the braces behind \p.
func (p *parser) property() ([]Range, error) {
	end := strings.IndexByte(p.text[p.at:], '}')
	if !p.take("{") || end < 1 {
		return nil, p.fail(`has \p without a property in braces`)
	}
	name := p.text[p.at : p.at+end-1]
	p.at += end
	key, value, found := strings.Cut(name, "=")
	if !found {
		key, value = "", name
	}
	var table *unicode.RangeTable
	switch key {
	case "", "General_Category", "gc":
		if long := longCategories[value]; long != "" {
			value = long
		}
		if table = unicode.Categories[value]; table == nil && key == "" {
			table = binaryProperty(value)
		}
		if value == "Any" {
			return []Range{{0, unicode.MaxRune}}, nil
		}
		if value == "ASCII" {
			return []Range{{0, unicode.MaxASCII}}, nil
		}
	case "Script", "sc", "Script_Extensions", "scx":
		table = unicode.Scripts[value]
	}
	if table == nil {
		return nil, p.fail("has an unknown character property %.40q", name)
	}
	return rangesOf(table), nil
}

func binaryProperty(name string) *unicode.RangeTable {
	switch name {
	case "Alphabetic", "Alpha":
		return union(unicode.L, unicode.Nl, unicode.Other_Alphabetic)
	case "Uppercase", "Upper":
		return union(unicode.Lu, unicode.Other_Uppercase)
	case "Lowercase", "Lower":
		return union(unicode.Ll, unicode.Other_Lowercase)
	}
	return unicode.Properties[name]
}

func union(tables ...*unicode.RangeTable) *unicode.RangeTable {
	all := &unicode.RangeTable{}
	for _, t := range tables {
		all.R16 = append(all.R16, t.R16...)
		all.R32 = append(all.R32, t.R32...)
	}
	return all
}

// rangesOf returns the characters of a table of package unicode.
func rangesOf(t *unicode.RangeTable) []Range {
	var out []Range
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			out = append(out, Range{lo, hi})
			return
		}
		for c := lo; c <= hi; c += stride {
			out = append(out, Range{c, c})
		}
	}
	for _, r := range t.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return out
}
