package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	tokData kind = iota
	tokVarBegin
	tokVarEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
	tokEOF
)

type token struct {
	kind kind
	text string // data, name, operator, or the decoded string
	val  Value  // of a number
	line int
}

// lexer splits a template into tokens, with the whitespace control of
// trim_blocks and lstrip_blocks already applied to the data between the tags.
type lexer struct {
	src       string
	pos       int
	line      int
	tokens    []token
	lineStart bool   // the last match ended a line
	open      []byte // closing brackets still expected inside a tag
}

func lex(src string) (tokens []token, err error) {
	src = strings.ReplaceAll(src, "\r\n", "\n")
	src = strings.ReplaceAll(src, "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, line: 1, lineStart: true}
	for l.pos < len(l.src) {
		if err := l.root(); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.line, err)
		}
	}
	l.emit(tokEOF, "")
	return l.tokens, nil
}

func (l *lexer) emit(k kind, text string) {
	l.tokens = append(l.tokens, token{kind: k, text: text, line: l.line})
}

// advance moves to pos, counting lines.
func (l *lexer) advance(pos int) {
	l.line += strings.Count(l.src[l.pos:pos], "\n")
	if pos > l.pos {
		l.lineStart = l.src[pos-1] == '\n'
	}
	l.pos = pos
}

// nextTag returns the position of the next {%, {{ or {#, or -1.
func nextTag(s string, from int) int {
	for {
		i := strings.IndexByte(s[from:], '{')
		if i < 0 || from+i+1 >= len(s) {
			return -1
		}
		from += i
		switch s[from+1] {
		case '%', '{', '#':
			return from
		}
		from++
	}
}

// root lexes one run of data and the tag after it.
func (l *lexer) root() error {
	at := nextTag(l.src, l.pos)
	if at < 0 {
		l.emit(tokData, l.src[l.pos:])
		l.advance(len(l.src))
		return nil
	}
	kind := l.src[at+1]
	body := at + 2
	var sign byte
	if body < len(l.src) && (l.src[body] == '-' || l.src[body] == '+') {
		sign = l.src[body]
		body++
	}
	l.data(l.src[l.pos:at], sign, kind == '{')
	rawEnd := -1
	if kind == '%' {
		rawEnd = l.rawBegin(body)
	}
	l.advance(body)
	switch {
	case kind == '#':
		return l.comment()
	case rawEnd >= 0:
		l.advance(rawEnd)
		return l.raw()
	case kind == '{':
		l.emit(tokVarBegin, "")
		return l.tag(false)
	}
	l.emit(tokBlockBegin, "")
	return l.tag(true)
}

// data emits the text before a tag, stripped as the tag's sign asks.
func (l *lexer) data(text string, sign byte, variable bool) {
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign == 0 && !variable:
		nl := strings.LastIndexByte(text, '\n') + 1
		if (nl > 0 || l.lineStart) && strings.TrimLeftFunc(text[nl:], isSpace) == "" {
			text = text[:nl]
		}
	}
	if text != "" {
		l.emit(tokData, text)
	}
}

func (l *lexer) skipSpace(pos int) int {
	return len(l.src) - len(strings.TrimLeftFunc(l.src[pos:], isSpace))
}

// rawBegin returns the end of a {% raw %} tag whose body starts at pos, or -1.
func (l *lexer) rawBegin(pos int) int {
	pos = l.skipSpace(pos)
	if !strings.HasPrefix(l.src[pos:], "raw") {
		return -1
	}
	pos = l.skipSpace(pos + 3)
	switch rest := l.src[pos:]; {
	case strings.HasPrefix(rest, "-%}"):
		return l.skipSpace(pos + 3)
	case strings.HasPrefix(rest, "%}"):
		return pos + 2
	}
	return -1
}

// raw emits everything up to {% endraw %} as data.
func (l *lexer) raw() error {
	for from := l.pos; ; {
		i := strings.Index(l.src[from:], "{%")
		if i < 0 {
			return fmt.Errorf("missing end of raw directive")
		}
		at := from + i
		pos := at + 2
		var sign byte
		if pos < len(l.src) && (l.src[pos] == '-' || l.src[pos] == '+') {
			sign = l.src[pos]
			pos++
		}
		pos = l.skipSpace(pos)
		from = at + 1
		if !strings.HasPrefix(l.src[pos:], "endraw") {
			continue
		}
		end := l.blockEnd(l.skipSpace(pos + len("endraw")))
		if end < 0 {
			continue
		}
		l.data(l.src[l.pos:at], sign, false)
		l.advance(end)
		return nil
	}
}

func (l *lexer) comment() error {
	i := strings.Index(l.src[l.pos:], "#}")
	if i < 0 {
		return fmt.Errorf("missing end of comment tag")
	}
	end := l.pos + i + 2
	var sign byte
	if i > 0 {
		sign = l.src[l.pos+i-1]
	}
	switch {
	case sign == '-':
		end = l.skipSpace(end)
	case sign != '+' && end < len(l.src) && l.src[end] == '\n':
		end++
	}
	l.advance(end)
	return nil
}

// blockEnd returns the end of a block's closing delimiter at pos, or -1.
func (l *lexer) blockEnd(pos int) int {
	switch rest := l.src[pos:]; {
	case strings.HasPrefix(rest, "+%}"):
		return pos + 3
	case strings.HasPrefix(rest, "-%}"):
		return l.skipSpace(pos + 3)
	case strings.HasPrefix(rest, "%}\n"):
		return pos + 3
	case strings.HasPrefix(rest, "%}"):
		return pos + 2
	}
	return -1
}

func (l *lexer) variableEnd(pos int) int {
	switch rest := l.src[pos:]; {
	case strings.HasPrefix(rest, "-}}"):
		return l.skipSpace(pos + 3)
	case strings.HasPrefix(rest, "}}"):
		return pos + 2
	}
	return -1
}

// tag lexes the expression tokens of a block or variable, and its end.
func (l *lexer) tag(block bool) error {
	l.open = l.open[:0]
	for l.pos < len(l.src) {
		if len(l.open) == 0 {
			end, k := -1, tokVarEnd
			if block {
				end, k = l.blockEnd(l.pos), tokBlockEnd
			} else {
				end = l.variableEnd(l.pos)
			}
			if end >= 0 {
				l.emit(k, "")
				l.advance(end)
				return nil
			}
		}
		if err := l.expression(); err != nil {
			return err
		}
	}
	return nil // the parser reports the missing end
}

// expression lexes one token inside a tag.
func (l *lexer) expression() error {
	rest := l.src[l.pos:]
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case isSpace(r):
		l.advance(l.skipSpace(l.pos))
		return nil
	case r >= '0' && r <= '9':
		return l.number()
	case r == '_' || unicode.IsLetter(r):
		end := l.pos + size
		for end < len(l.src) {
			r, n := utf8.DecodeRuneInString(l.src[end:])
			if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				break
			}
			end += n
		}
		l.emit(tokName, l.src[l.pos:end])
		l.advance(end)
		return nil
	case r == '\'' || r == '"':
		return l.str(byte(r))
	}
	return l.operator(rest)
}

func (l *lexer) operator(rest string) error {
	op := ""
	for _, two := range []string{"**", "//", "==", "!=", ">=", "<="} {
		if strings.HasPrefix(rest, two) {
			op = two
		}
	}
	if op == "" {
		if !strings.ContainsRune("+-/*%~[](){}><=.:|,;", rune(rest[0])) {
			return fmt.Errorf("unexpected character %q", rest[:1])
		}
		op = rest[:1]
	}
	switch op {
	case "(":
		l.open = append(l.open, ')')
	case "[":
		l.open = append(l.open, ']')
	case "{":
		l.open = append(l.open, '}')
	case ")", "]", "}":
		if len(l.open) == 0 || l.open[len(l.open)-1] != op[0] {
			return fmt.Errorf("unexpected '%s'", op)
		}
		l.open = l.open[:len(l.open)-1]
	}
	l.emit(tokOp, op)
	l.advance(l.pos + len(op))
	return nil
}

// digits returns the end of a run of digits with single underscores between.
func (l *lexer) digits(pos int) int {
	for pos < len(l.src) {
		c := l.src[pos]
		if c == '_' && pos+1 < len(l.src) && isDigit(l.src[pos+1]) {
			pos++
			continue
		}
		if !isDigit(c) {
			break
		}
		pos++
	}
	return pos
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) number() error {
	at := func(i int) byte {
		if i < len(l.src) {
			return l.src[i]
		}
		return 0
	}
	end, k := l.digits(l.pos), tokInt
	if l.pos == 0 || l.src[l.pos-1] != '.' { // a.0.1 is two subscripts
		if at(end) == '.' && isDigit(at(end+1)) {
			end, k = l.digits(end+1), tokFloat
		}
		if c := at(end); c == 'e' || c == 'E' {
			exp := end + 1
			if at(exp) == '+' || at(exp) == '-' {
				exp++
			}
			if isDigit(at(exp)) {
				end, k = l.digits(exp), tokFloat
			}
		}
	}
	if c := at(l.pos + 1); k == tokInt && l.src[l.pos] == '0' && strings.IndexByte("xXoObB", c) >= 0 && c != 0 {
		end = l.pos + 2
		for strings.IndexByte("0123456789abcdefABCDEF_", at(end)) >= 0 && at(end) != 0 {
			end++
		}
	}
	text := strings.ReplaceAll(l.src[l.pos:end], "_", "")
	var v Value
	if k == tokFloat {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil && f == 0 {
			return fmt.Errorf("bad number %s", text)
		}
		v = f
	} else if i, err := strconv.ParseInt(text, 0, 64); err == nil {
		v = i
	} else {
		return fmt.Errorf("bad or too large number %s", text)
	}
	l.tokens = append(l.tokens, token{kind: k, val: v, line: l.line})
	l.advance(end)
	return nil
}

// str lexes a quoted string and decodes its escapes as Python does.
func (l *lexer) str(quote byte) error {
	end := l.pos + 1
	for end < len(l.src) && l.src[end] != quote {
		if l.src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(l.src) {
		return fmt.Errorf("unterminated string")
	}
	text, err := unescape(l.src[l.pos+1 : end])
	if err != nil {
		return err
	}
	l.emit(tokString, text)
	l.advance(end + 1)
	return nil
}

var simpleEscapes = map[byte]string{
	'\n': "", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b",
	'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		c := s[i]
		if rep, ok := simpleEscapes[c]; ok {
			b.WriteString(rep)
			continue
		}
		width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		switch {
		case width > 0:
			if i+width >= len(s) {
				return "", fmt.Errorf("truncated \\%c escape", c)
			}
			n, err := strconv.ParseUint(s[i+1:i+1+width], 16, 32)
			if err != nil || n > unicode.MaxRune {
				return "", fmt.Errorf("bad \\%c escape", c)
			}
			b.WriteRune(rune(n))
			i += width
		case c >= '0' && c <= '7':
			n, j := 0, i
			for ; j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7'; j++ {
				n = n*8 + int(s[j]-'0')
			}
			b.WriteRune(rune(n))
			i = j - 1
		case c == 'N':
			return "", fmt.Errorf("\\N escapes are not supported")
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// isSpace is str.isspace of one character.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}
