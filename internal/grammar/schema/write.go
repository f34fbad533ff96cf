package schema

import (
	"math/bits"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// maxRules bounds the rules of a grammar.
const maxRules = 1 << 16

// root makes the rule of the whole value.
func (c *compiler) root() grammar.Rule {
	j := conjunction{}.with(literal{node: c.doc.root})
	if c.empty(j) {
		fail(c.doc.root, "", "no value satisfies the schema")
	}
	start := c.b.Rule("root")
	c.b.Define(start, c.value(j))
	return start
}

func (c *compiler) rule(name string) grammar.Rule {
	if c.size++; c.size > maxRules {
		fail(c.doc.root, "", "the schema needs more than %d rules", maxRules)
	}
	return c.b.Rule(name)
}

// value is the values of a conjunction: a lexeme where they are scalars, otherwise a rule, because values can hold themselves.
func (c *compiler) value(j conjunction) grammar.Node {
	c.step(3)
	key := j.key()
	if r, ok := c.rules[key]; ok {
		return c.b.Call(r)
	}
	arrays, objects := c.planFor(j, isArray), c.planFor(j, isObject)
	scalars := c.scalars(j)
	if len(arrays.arrays) == 0 && len(objects.objects) == 0 {
		return c.b.Lexeme(scalars)
	}
	r := c.rule("value")
	c.rules[key] = r
	var choice []grammar.Node
	if scalars != regex.Empty {
		choice = append(choice, c.b.Lexeme(scalars))
	}
	for _, a := range arrays.arrays {
		choice = append(choice, c.array1(a))
	}
	for _, o := range objects.objects {
		choice = append(choice, c.object1(o))
	}
	c.b.Define(r, c.b.Choice(choice...))
	return c.b.Call(r)
}

// scalars is the language of the null, booleans, numbers and strings of a conjunction, as JSON.
func (c *compiler) scalars(j conjunction) regex.ID {
	var out []regex.ID
	for t, text := range c.notation.words() {
		if c.planFor(j, jsonType(t)).ok {
			out = append(out, c.set.Literal(text))
		}
	}
	if !c.emptyFor(j, isNumber) {
		out = append(out, c.planFor(j, isNumber).texts)
	}
	if !c.emptyFor(j, isString) {
		out = append(out, c.written(c.planFor(j, isString).texts))
	}
	return c.set.Or(out...)
}

func (c *compiler) open(bracket string) grammar.Node {
	return c.b.Lexeme(c.set.Concat(c.set.Literal(bracket), c.space))
}

func (c *compiler) shut(bracket string) grammar.Node {
	return c.b.Lexeme(c.set.Concat(c.space, c.set.Literal(bracket)))
}

// comma is what stands between two elements.
func (c *compiler) comma() regex.ID { return c.set.Concat(c.space, c.set.Literal(","), c.space) }

// between is what stands before an element: nothing before the first one.
func (c *compiler) between(first bool) grammar.Node {
	if first {
		return c.b.Nothing()
	}
	return c.b.Lexeme(c.comma())
}

// pair is a member without a name of its own: a name, a colon and a value.
func (c *compiler) pair(f freeKeys) grammar.Node {
	return c.b.Seq(c.b.Lexeme(c.set.Concat(c.name(f.keys), c.space, c.set.Literal(":"), c.space)), c.value(f.value))
}

// object1 writes one alternative of an object.
func (c *compiler) object1(o *object) grammar.Node {
	if c.notation.BareKeys {
		return c.bareObject(o)
	}
	m := grammar.Members{Owed: o.owed, Min: o.min, Max: o.max, Comma: c.comma(), Order: c.order}
	for _, p := range o.members {
		m.Named = append(m.Named, grammar.Member{Name: p.key, Value: c.behindName(p.value), Required: p.required})
	}
	for _, p := range o.floating {
		m.Named = append(m.Named, grammar.Member{Name: p.key, Value: c.behindName(p.value), Required: true, Floating: true})
	}
	for _, f := range o.free {
		m.Others = append(m.Others, c.pair(f))
	}
	for _, d := range o.duties {
		for _, f := range d.classes {
			m.Duties = append(m.Duties, grammar.Duty{Meets: d.meets, Member: c.pair(f)})
		}
	}
	return c.b.Seq(c.open("{"), c.b.Members(m), c.shut("}"))
}

// behindName is what follows the last character of a member's name.
func (c *compiler) behindName(value conjunction) grammar.Node {
	return c.b.Seq(c.b.Lexeme(c.set.Concat(c.set.Literal(`"`), c.space, c.set.Literal(":"), c.space)), c.value(value))
}

// array1 writes one alternative of an array.
func (c *compiler) array1(a *array) grammar.Node {
	w := &arrayWriter{c: c, a: a, states: map[arrayState]grammar.Rule{}}
	var body grammar.Node
	switch {
	case a.strings:
		body = w.distinctStrings()
	case a.unique:
		body = c.b.Call(w.distinct(0))
	case len(a.counts) > 0:
		if len(a.counts) > maxCounts {
			fail(c.doc.root, "contains", "more than six counts of items in one array are not served")
		}
		body = c.b.Call(w.state(arrayState{}))
	default:
		body = w.list(0)
	}
	return c.b.Seq(c.open("["), body, c.shut("]"))
}

// arrayWriter makes the rules of one alternative of an array.
type arrayWriter struct {
	c      *compiler
	a      *array
	states map[arrayState]grammar.Rule
}

// maxCounts bounds the kinds of items that are counted in one array.
const maxCounts = 6

// arrayState is what has been written of an array: items, those that count, and the set of values where each may occur once.
type arrayState struct {
	n      int
	counts [maxCounts]int
	used   int
}

func (w *arrayWriter) item(i int) conjunction {
	if i < len(w.a.prefix) {
		return w.a.prefix[i]
	}
	return w.a.rest
}

// list writes an array of which n items are written.
func (w *arrayWriter) list(n int) grammar.Node {
	b, a := w.c.b, w.a
	if a.max == n {
		return b.Nothing()
	}
	var body grammar.Node
	most := regex.Unbounded
	if n < len(a.prefix) {
		body = b.Seq(w.c.between(n == 0), w.c.value(a.prefix[n]), w.list(n+1))
	} else {
		if a.max >= 0 {
			most = a.max - n
		}
		item := w.c.value(a.rest)
		more := b.Seq(w.c.between(false), item)
		if n > 0 {
			return b.Repeat(more, max(a.min-n, 0), most)
		}
		if most > 0 {
			most--
		}
		body = b.Seq(item, b.Repeat(more, max(a.min-1, 0), most))
	}
	if n < a.min {
		return body
	}
	return b.Optional(body)
}

// state is the rule of what may follow where items are counted.
func (w *arrayWriter) state(s arrayState) grammar.Rule {
	if r, ok := w.states[s]; ok {
		return r
	}
	w.c.step(3)
	r := w.c.rule("items")
	w.states[s] = r
	b, a := w.c.b, w.a
	var choice []grammar.Node
	enough := s.n >= a.min
	for i, x := range a.counts {
		enough = enough && s.counts[i] >= x.min
	}
	if enough {
		choice = append(choice, b.Nothing())
	}
	if a.max < 0 || s.n < a.max {
		for set := range 1 << len(a.counts) {
			if value, next, ok := w.counted(s, set); ok && !w.c.empty(value) {
				choice = append(choice, b.Seq(w.c.between(s.n == 0), w.c.value(value), b.Call(w.state(next))))
			}
		}
	}
	b.Define(r, b.Choice(choice...))
	return r
}

// counted is an item of which the counts in set know that it is of their kind, and the state behind it.
func (w *arrayWriter) counted(s arrayState, set int) (conjunction, arrayState, bool) {
	value, next := w.item(s.n), s
	most := max(1, len(w.a.prefix), w.a.min, w.a.max)
	for i, x := range w.a.counts {
		most = max(most, x.from)
		l := x.value[0]
		switch in := set&(1<<i) != 0; {
		case in && (s.n < x.from || s.counts[i] == x.max || x.max < 0 && s.counts[i] >= x.min):
			return nil, s, false
		case in:
			value = value.with(l)
			next.counts[i]++
		case x.max >= 0 && s.n >= x.from:
			l.not = !l.not
			value = value.with(l)
		}
	}
	next.n = min(s.n+1, most)
	return value, next, true
}

// distinctStrings writes an array of strings that are all different.
func (w *arrayWriter) distinctStrings() grammar.Node {
	c := w.c
	d := grammar.Distinct{Texts: c.set.And(c.set.Text(), c.planFor(w.a.rest, isString).texts), Min: w.a.min, Max: w.a.max, Comma: c.comma()}
	if w.a.max < 0 {
		d.Max = regex.Unbounded
	}
	return c.b.Distinct(d)
}

// distinct is the rule of what may follow the values in used, each of which has been written once.
func (w *arrayWriter) distinct(used int) grammar.Rule {
	s := arrayState{used: used}
	if r, ok := w.states[s]; ok {
		return r
	}
	w.c.step(3)
	r := w.c.rule("distinct items")
	w.states[s] = r
	b, n := w.c.b, bits.OnesCount(uint(used))
	var choice []grammar.Node
	if n >= w.a.min {
		choice = append(choice, b.Nothing())
	}
	for i, v := range w.a.values {
		if used&(1<<i) != 0 || n >= w.a.max {
			continue
		}
		value := w.item(n).with(literal{node: w.c.constant(v, w.c.doc.root)})
		if !w.c.empty(value) {
			choice = append(choice, b.Seq(w.c.between(used == 0), w.c.value(value), b.Call(w.distinct(used|1<<i))))
		}
	}
	b.Define(r, b.Choice(choice...))
	return r
}
