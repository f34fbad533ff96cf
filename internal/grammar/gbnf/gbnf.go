// Package gbnf compiles grammars in llama.cpp's notation. It checks and translates
// only: what a text may be is package grammar's business. The server's handlers
// call it for the field "grammar".
package gbnf

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// Error is a fault of a grammar's text.
type Error struct {
	Line    int
	Problem string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// maxText is how long a grammar may be.
const maxText = 1 << 20

// Compile makes the grammar of the rule root.
func Compile(text string, limits grammar.Limits) (*grammar.Grammar, error) {
	b := grammar.NewBuilder(limits)
	root, err := Add(b, text)
	if err != nil {
		return nil, err
	}
	return b.Compile(root)
}

// Add adds the rules of a grammar to those of b, and returns the rule root.
func Add(b *grammar.Builder, text string) (grammar.Rule, error) {
	if len(text) > maxText {
		return 0, fmt.Errorf("the grammar has %d bytes, of at most %d", len(text), maxText)
	}
	p := &parser{text: text, line: 1, rules: map[string]*rule{}}
	if err := p.parse(); err != nil {
		return 0, err
	}
	root := p.rules["root"]
	if root == nil {
		return 0, &Error{p.line, `there is no rule "root"`}
	}
	for _, r := range p.order {
		for _, c := range r.calls {
			if p.rules[c.name] == nil {
				return 0, &Error{c.line, fmt.Sprintf("the rule %.60q is not defined", c.name)}
			}
		}
	}
	t := &translator{b: b, rules: p.rules}
	t.s = t.b.Regex()
	t.recursive(p.order)
	for _, r := range p.order {
		r.id = t.b.Rule(r.name)
	}
	for _, r := range p.order {
		t.b.Define(r.id, t.node(t.rule(r)))
	}
	return root.id, nil
}

// rule is a rule of the text.
type rule struct {
	name    string
	body    *expr
	calls   []call
	id      grammar.Rule
	cyclic  bool // it calls itself, by way of others perhaps
	made    bool
	meaning part
	state   int // of the walk for cycles
	low     int
	index   int
	place   int // on the stack of the walk
}

type call struct {
	name string
	line int
}

// part is a translated expression: a regular expression as long as it calls no
// rule that is recursive, so that what can be one lexeme is one.
type part struct {
	regular bool
	r       regex.ID
	n       grammar.Node
}

type translator struct {
	b     *grammar.Builder
	s     *regex.Set
	rules map[string]*rule
	stack []*rule
	count int
}

// recursive finds the rules that call themselves: those in a component of the
// calls with more than one rule, or with a call of itself (Tarjan).
func (t *translator) recursive(rules []*rule) {
	for _, r := range rules {
		if r.state == 0 {
			t.connect(r)
		}
	}
}

func (t *translator) connect(r *rule) {
	t.count++
	r.index, r.low, r.state, r.place = t.count, t.count, 1, len(t.stack)
	t.stack = append(t.stack, r)
	for _, c := range r.calls {
		o := t.rules[c.name]
		if o.state == 0 {
			t.connect(o)
			r.low = min(r.low, o.low)
		} else if o.state == 1 {
			r.low = min(r.low, o.index)
		}
		r.cyclic = r.cyclic || o == r
	}
	if r.low != r.index {
		return
	}
	at := r.place // not looked for: a chain of thousands of rules is on the stack
	for _, o := range t.stack[at:] {
		o.state = 2
		o.cyclic = o.cyclic || len(t.stack)-at > 1
	}
	t.stack = t.stack[:at]
}

// rule translates a rule's body, once.
func (t *translator) rule(r *rule) part {
	if !r.made {
		r.made = true
		r.meaning = t.expr(r.body)
	}
	return r.meaning
}

func (t *translator) node(p part) grammar.Node {
	if p.regular {
		return t.b.Lexeme(p.r)
	}
	return p.n
}

func (t *translator) expr(e *expr) part {
	switch e.kind {
	case exprText:
		return part{regular: true, r: t.s.Literal(e.text)}
	case exprClass:
		return part{regular: true, r: t.s.Runes(e.ranges...)}
	case exprCall:
		r := t.rules[e.text]
		if !r.cyclic {
			if m := t.rule(r); m.regular {
				return m
			}
		}
		return part{n: t.b.Call(r.id)}
	case exprRepeat:
		p := t.expr(e.parts[0])
		if p.regular {
			return part{regular: true, r: t.s.Repeat(p.r, e.low, e.high)}
		}
		return part{n: t.b.Repeat(p.n, e.low, e.high)}
	}
	parts := make([]part, len(e.parts))
	regular := true
	for i, o := range e.parts {
		parts[i] = t.expr(o)
		regular = regular && parts[i].regular
	}
	if regular {
		ids := make([]regex.ID, len(parts))
		for i, p := range parts {
			ids[i] = p.r
		}
		if e.kind == exprSeq {
			return part{regular: true, r: t.s.Concat(ids...)}
		}
		return part{regular: true, r: t.s.Or(ids...)}
	}
	nodes := make([]grammar.Node, len(parts))
	for i, p := range parts {
		nodes[i] = t.node(p)
	}
	if e.kind == exprSeq {
		return part{n: t.b.Seq(nodes...)}
	}
	return part{n: t.b.Choice(nodes...)}
}
