// Package schema turns JSON Schemas (draft 2020-12, and 7 and older ones as far as they differ) into grammars of package grammar. A grammar has
// exactly the values that the schema has, with properties in any order, or (Limits.Order) in the schema's order and further ones behind them, and
// with white space as JSON writers put it. What it cannot have exactly is an error that names the keyword. It validates nothing and fetches
// nothing: references stay inside the schema. The server compiles the schemas of requests with it.
//
// The way to read it: value.go and resolve.go read the text; formula.go makes each schema a formula of and, or, not; number.go and string.go read
// formulas as regular languages; alternatives.go multiplies them out for arrays and objects; object.go and array.go say what an alternative has;
// write.go makes the rules.
package schema

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// Limits bound a compilation and the texts of its grammar. Zero means the default.
type Limits struct {
	Bytes   int           // of the schema's text: 1 MB
	Time    time.Duration // by the clock, besides Grammar.Work, which does not depend on what else the machine does: no bound
	Grammar grammar.Limits
	Order   grammar.MemberOrder // of properties: any; or that of the schema, others behind them
}

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 1 << 20
	}
	return l
}

func (l Limits) deadline() time.Time {
	if l.Time <= 0 {
		return time.Time{}
	}
	return time.Now().Add(l.Time)
}

// compiler is one compilation.
type compiler struct {
	doc      *document
	b        *grammar.Builder
	set      *regex.Set
	num      *numbers
	order    grammar.MemberOrder
	deadline time.Time
	steps    int

	formulas map[*node]*formula
	patterns map[string]regex.ID
	exact    map[*value]*node
	consts   map[*value]*node
	single   [isNumber]*algebra[bool]
	numbers  *algebra[regex.ID]
	strings  *algebra[regex.ID]
	depth    int // of plans that are being made
	plans    map[string]*plan
	rules    map[string]grammar.Rule
	space    regex.ID
	notation Notation
	size     int // rules
}

// Compile makes the grammar of a schema.
func Compile(text []byte, limits Limits) (g *grammar.Grammar, err error) {
	b := grammar.NewBuilder(limits.Grammar)
	var start grammar.Rule
	err = with(b, text, limits, func(c *compiler) { start = c.root() })
	if err != nil {
		return nil, err
	}
	if g, err = b.Compile(start); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return g, nil
}

// with reads a schema and has its compiler make something of it in b.
func with(b *grammar.Builder, text []byte, limits Limits, do func(c *compiler)) (err error) {
	limits = limits.withDefaults()
	if len(text) > limits.Bytes {
		return fmt.Errorf("schema: %d bytes, more than %d", len(text), limits.Bytes)
	}
	root, err := parseValue(text)
	if err != nil {
		return fmt.Errorf("schema: not JSON: %w", err)
	}
	if !isSchema(root) {
		return errors.New("schema: must be an object or a boolean")
	}
	defer func() {
		if r := recover(); r != nil {
			refusal, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			err = refusal
		}
	}()
	c := newCompiler(root, limits, b)
	do(c)
	if err := c.set.Err(); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	return nil
}

func newCompiler(root *value, limits Limits, b *grammar.Builder) *compiler {
	c := &compiler{b: b, order: limits.Order, deadline: limits.deadline(), formulas: map[*node]*formula{},
		patterns: map[string]regex.ID{}, exact: map[*value]*node{}, consts: map[*value]*node{},
		plans: map[string]*plan{}, rules: map[string]grammar.Rule{}}
	c.doc = newDocument(root)
	c.set = c.b.Regex()
	c.num = newNumbers(c.set)
	for t := range isNumber {
		c.single[t] = c.constants(t)
	}
	c.strings = &algebra[regex.ID]{and: c.set.And, or: c.set.Or, not: c.set.Not, keyword: c.text, done: map[*node]regex.ID{}, active: map[*node]bool{}}
	c.numbers = &algebra[regex.ID]{and: c.set.And, or: c.set.Or, not: c.num.complement, keyword: c.number, done: map[*node]regex.ID{}, active: map[*node]bool{}}
	blank := c.set.Or(c.set.Literal(" "), c.set.Literal("\t"))
	c.space = c.set.Or(c.set.Opt(c.set.Literal(" ")), c.set.Concat(c.set.Opt(c.set.Literal("\r")), c.set.Literal("\n"), c.set.Repeat(blank, 0, maxIndent)))
	return c
}

// maxIndent bounds the blanks at the beginning of a line, so that a model cannot write white space without end.
const maxIndent = 64

// step counts work, and ends the compilation when it has been too much.
func (c *compiler) step(work int) {
	c.set.Spend(work)
	c.steps++
	late := c.steps%64 == 0 && !c.deadline.IsZero() && time.Now().After(c.deadline)
	if late || c.set.Err() != nil {
		fail(c.doc.root, "", "the schema is too large: its grammar does not fit into the time or memory of a compilation")
	}
}
