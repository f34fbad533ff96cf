package gbnf

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

type exprKind uint8

const (
	exprText  exprKind = iota // text
	exprClass                 // one character of ranges
	exprCall                  // the rule named text
	exprSeq
	exprChoice
	exprRepeat // parts[0], low to high times
)

type expr struct {
	kind      exprKind
	text      string
	ranges    []regex.Range
	parts     []*expr
	low, high int
}

// Bounds of what a text may ask for.
const (
	maxDepth = 100
	maxCount = 10000
)

// parser reads the rules of a text.
type parser struct {
	text  string
	at    int
	line  int
	depth int
	rules map[string]*rule
	order []*rule
	rule  *rule
}

func (p *parser) fail(format string, args ...any) error {
	return &Error{p.line, fmt.Sprintf(format, args...)}
}

func (p *parser) parse() error {
	if !utf8.ValidString(p.text) {
		return p.fail("the grammar is not valid UTF-8")
	}
	for p.space(true); p.at < len(p.text); p.space(true) {
		name := p.name()
		if name == "" {
			return p.fail("a rule must begin with its name, not %s", p.here())
		}
		p.space(false)
		if !p.take("::=") {
			return p.fail(`"::=" must follow the name %.60q`, name)
		}
		if p.rules[name] != nil {
			return p.fail("the rule %.60q is defined twice", name)
		}
		p.rule = &rule{name: name}
		p.rules[name], p.order = p.rule, append(p.order, p.rule)
		p.space(true)
		var err error
		if p.rule.body, err = p.choice(false); err != nil {
			return err
		}
		if c := p.peek(); c != 0 && c != '\n' && c != '\r' {
			return p.fail("the rule %.60q has %s behind it", name, p.here())
		}
	}
	return nil
}

// here shows what comes next.
func (p *parser) here() string {
	rest := []rune(p.text[p.at:min(len(p.text), p.at+80)])
	if len(rest) == 0 {
		return "the end"
	}
	return fmt.Sprintf("%q", string(rest[:min(len(rest), 12)]))
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) take(s string) bool {
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

// space skips white space and comments, and the ends of lines if newlines.
func (p *parser) space(newlines bool) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' && p.text[p.at] != '\r' {
				p.at++
			}
		case c == ' ' || c == '\t':
			p.at++
		case newlines && (c == '\n' || c == '\r'):
			if c == '\n' {
				p.line++
			}
			p.at++
		default:
			return
		}
	}
}

func (p *parser) name() string {
	from := p.at
	for c := p.peek(); c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'; c = p.peek() {
		p.at++
	}
	return p.text[from:p.at]
}

// choice reads alternatives. A bar may stand at the beginning of the next line.
func (p *parser) choice(nested bool) (*expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("groups are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	e := &expr{kind: exprChoice}
	for {
		s, err := p.sequence(nested)
		if err != nil {
			return nil, err
		}
		e.parts = append(e.parts, s)
		at, line := p.at, p.line
		p.space(true)
		if !p.take("|") {
			p.at, p.line = at, line
			break
		}
		p.space(true)
	}
	if len(e.parts) == 1 {
		return e.parts[0], nil
	}
	return e, nil
}

func (p *parser) sequence(nested bool) (*expr, error) {
	e := &expr{kind: exprSeq}
	for p.space(nested); p.at < len(p.text); p.space(nested) {
		if c := p.peek(); c == '|' || c == ')' || c == '\n' || c == '\r' {
			break
		}
		o, err := p.item()
		if err != nil {
			return nil, err
		}
		if o, err = p.repeated(o); err != nil {
			return nil, err
		}
		e.parts = append(e.parts, o)
	}
	return e, nil
}

func (p *parser) item() (*expr, error) {
	switch {
	case p.take(`"`):
		return p.quoted()
	case p.take("["):
		return p.class()
	case p.take("."):
		return &expr{kind: exprClass, ranges: []regex.Range{{Lo: 0, Hi: utf8.MaxRune}}}, nil
	case p.take("("):
		line := p.line
		e, err := p.choice(true)
		if err != nil {
			return nil, err
		}
		if p.space(true); !p.take(")") {
			return nil, &Error{line, "a ( is not closed"}
		}
		return e, nil
	case p.peek() == '<' || p.peek() == '!':
		return nil, p.fail("tokens (%s) are not supported: write their text", p.here())
	}
	name := p.name()
	if name == "" {
		return nil, p.fail("%s is no literal, class, group or name", p.here())
	}
	p.rule.calls = append(p.rule.calls, call{name, p.line})
	return &expr{kind: exprCall, text: name}, nil
}

// repeated reads the quantifiers behind an item.
func (p *parser) repeated(e *expr) (*expr, error) {
	low, high := 0, regex.Unbounded
	p.space(false)
	switch {
	case p.take("*"):
	case p.take("+"):
		low = 1
	case p.take("?"):
		high = 1
	case p.take("{"):
		var err error
		if low, high, err = p.counts(); err != nil {
			return nil, err
		}
	default:
		return e, nil
	}
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("repetitions are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	return p.repeated(&expr{kind: exprRepeat, parts: []*expr{e}, low: low, high: high})
}

func (p *parser) counts() (low, high int, err error) {
	p.space(false)
	low, ok := p.number()
	if !ok {
		return 0, 0, p.fail("a number must follow {, not %s", p.here())
	}
	high = low
	if p.space(false); p.take(",") {
		p.space(false)
		if high, ok = p.number(); !ok {
			high = regex.Unbounded
		}
	}
	if p.space(false); !p.take("}") {
		return 0, 0, p.fail("a } must follow the repetitions, not %s", p.here())
	}
	if low > maxCount || high > maxCount {
		return 0, 0, p.fail("more than %d repetitions", maxCount)
	}
	if high != regex.Unbounded && high < low {
		return 0, 0, p.fail("at least %d but at most %d repetitions", low, high)
	}
	return low, high, nil
}

func (p *parser) number() (n int, ok bool) {
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		n, ok = min(n*10+int(c-'0'), maxCount+1), true
		p.at++
	}
	return n, ok
}

func (p *parser) quoted() (*expr, error) {
	var text []byte
	for !p.take(`"`) {
		c, err := p.char(`a " is not closed`)
		if err != nil {
			return nil, err
		}
		text = utf8.AppendRune(text, c)
	}
	return &expr{kind: exprText, text: string(text)}, nil
}

func (p *parser) class() (*expr, error) {
	const open = "a [ is not closed"
	negative := p.take("^")
	var ranges []regex.Range
	for !p.take("]") {
		lo, err := p.char(open)
		if err != nil {
			return nil, err
		}
		hi := lo
		if rest := p.text[p.at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.at++
			if hi, err = p.char(open); err != nil {
				return nil, err
			}
			if hi < lo {
				return nil, p.fail("a range of characters ends before it begins")
			}
		}
		ranges = append(ranges, regex.Range{Lo: lo, Hi: hi})
	}
	if negative {
		ranges = regex.Invert(ranges)
	}
	return &expr{kind: exprClass, ranges: ranges}, nil
}

// char reads a character of a literal or a class, escaped perhaps.
func (p *parser) char(open string) (rune, error) {
	if p.at == len(p.text) || p.text[p.at] == '\n' {
		return 0, &Error{p.line, open}
	}
	c, n := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += n
	if c != '\\' {
		return c, nil
	}
	if p.at == len(p.text) {
		return 0, &Error{p.line, open}
	}
	c, n = utf8.DecodeRuneInString(p.text[p.at:])
	p.at += n
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'x':
		return p.hex(2)
	case 'u':
		return p.hex(4)
	case 'U':
		return p.hex(8)
	case '"', '\\', '[', ']', '-', '^', '/', '.':
		return c, nil
	}
	return 0, p.fail(`\%c is no escape: \n \r \t \\ \" \[ \] \xHH \uHHHH and \UHHHHHHHH are`, c)
}

func (p *parser) hex(digits int) (rune, error) {
	r := rune(0)
	for range digits {
		h := strings.IndexByte("0123456789abcdefABCDEF", p.peek())
		if h > 15 {
			h -= 6
		}
		if h < 0 || r > utf8.MaxRune {
			return 0, p.fail("an escape must have %d hexadecimal digits of a character", digits)
		}
		r = r<<4 | rune(h)
		p.at++
	}
	if !utf8.ValidRune(r) {
		return 0, p.fail("an escape is no character: surrogates have no text")
	}
	return r, nil
}
