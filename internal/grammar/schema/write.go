package schema

import (
	"fmt"
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
	c.step()
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
	for t, text := range []string{"null", "false", "true"} {
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

// between is what stands before an element: nothing before the first one.
func (c *compiler) between(first bool) grammar.Node {
	if first {
		return c.b.Nothing()
	}
	return c.b.Lexeme(c.set.Concat(c.space, c.set.Literal(","), c.space))
}

// pair is a member: a name of keys, a colon and a value.
func (c *compiler) pair(keys regex.ID, value conjunction) grammar.Node {
	return c.b.Seq(c.b.Lexeme(c.set.Concat(c.written(keys), c.space, c.set.Literal(":"), c.space)), c.value(value))
}

// objectWriter makes the rules of one alternative of an object.
type objectWriter struct {
	c        *compiler
	o        *object
	members  []grammar.Node
	floating []grammar.Node
	free     grammar.Node
	duties   []grammar.Node
	states   map[objectState]grammar.Rule
}

// objectState is what has been written of an object, as far as it matters for what follows.
type objectState struct {
	next  int  // the member that is next
	first bool // nothing was written yet
	count int  // of members, where they are counted
	met   int  // bits: the floating members and duties that were written
}

func (c *compiler) object1(o *object) grammar.Node {
	w := &objectWriter{c: c, o: o, states: map[objectState]grammar.Rule{}}
	for _, m := range o.members {
		w.members = append(w.members, c.pair(c.set.Literal(m.key), m.value))
	}
	for _, m := range o.floating {
		w.floating = append(w.floating, c.pair(c.set.Literal(m.key), m.value))
	}
	w.free = c.choice(o.free)
	for _, d := range o.duties {
		w.duties = append(w.duties, c.choice(d.classes))
	}
	if len(w.floating)+o.owed > 8 {
		fail(c.doc.root, "required", "more than 8 names of required are not in properties")
	}
	body := w.list()
	if body == nil {
		n := c.b.Call(w.state(objectState{first: true}))
		body = &n
	}
	return c.b.Seq(c.open("{"), *body, c.shut("}"))
}

// choice is a member of any of the classes.
func (c *compiler) choice(classes []freeKeys) grammar.Node {
	var out []grammar.Node
	for _, f := range classes {
		out = append(out, c.pair(f.keys, f.value))
	}
	if len(out) == 1 {
		return out[0]
	}
	return c.b.Choice(out...)
}

// list writes an object in which nothing is counted and some member is required: what is before it brings a comma behind it, and what is
// behind it brings one before it. It returns nil for other objects.
func (w *objectWriter) list() *grammar.Node {
	b, o := w.c.b, w.o
	first := -1
	for i := len(o.members) - 1; i >= 0; i-- {
		if o.members[i].required {
			first = i
		}
	}
	if first < 0 || len(w.floating)+len(w.duties) > 0 || o.min > 0 || o.max >= 0 {
		return nil
	}
	comma := w.c.between(false)
	var seq []grammar.Node
	for i, m := range w.members {
		switch {
		case i < first:
			seq = append(seq, b.Optional(b.Seq(m, comma)))
		case i == first:
			seq = append(seq, m)
		case o.members[i].required:
			seq = append(seq, comma, m)
		default:
			seq = append(seq, b.Optional(b.Seq(comma, m)))
		}
	}
	if len(o.free) > 0 {
		seq = append(seq, b.Repeat(b.Seq(comma, w.free), 0, regex.Unbounded))
	}
	n := b.Seq(seq...)
	return &n
}

// state is the rule of what may follow in a state.
func (w *objectWriter) state(s objectState) grammar.Rule {
	if r, ok := w.states[s]; ok {
		return r
	}
	w.c.step()
	r := w.c.rule(fmt.Sprintf("members %d", s.next))
	w.states[s] = r
	b, o := w.c.b, w.o
	var choice []grammar.Node
	write := func(m grammar.Node, next objectState) {
		if o.max >= 0 && s.count >= o.max {
			return
		}
		next.first = false
		if o.max >= 0 || o.min > 0 {
			next.count = min(s.count+1, max(o.min, o.max))
		}
		choice = append(choice, b.Seq(w.c.between(s.first), m, b.Call(w.state(next))))
	}
	if s.next < len(o.members) {
		after := s
		after.next++
		write(w.members[s.next], after)
		if !o.members[s.next].required {
			choice = append(choice, b.Call(w.state(after)))
		}
	} else {
		meet := func(m grammar.Node, bits int) {
			if s.met&bits == 0 {
				after := s
				after.met |= bits
				write(m, after)
			}
		}
		for i, m := range w.floating {
			meet(m, 1<<i)
		}
		for i, m := range w.duties {
			meet(m, o.duties[i].meets<<len(w.floating))
		}
		if len(o.free) > 0 {
			write(w.free, s)
		}
		if s.met == 1<<(len(w.floating)+o.owed)-1 && s.count >= o.min {
			choice = append(choice, b.Nothing())
		}
	}
	b.Define(r, b.Choice(choice...))
	return r
}

// array1 writes one alternative of an array.
func (c *compiler) array1(a *array) grammar.Node {
	w := &arrayWriter{c: c, a: a, states: map[arrayState]grammar.Rule{}}
	var body grammar.Node
	switch {
	case a.unique:
		body = c.b.Call(w.distinct(0))
	case len(a.counts) > 0:
		if len(a.counts) > maxCounts {
			fail(c.doc.root, "contains", "more than four counts of items in one array are not served")
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
const maxCounts = 4

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
	w.c.step()
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

// distinct is the rule of what may follow the values in used, each of which has been written once.
func (w *arrayWriter) distinct(used int) grammar.Rule {
	s := arrayState{used: used}
	if r, ok := w.states[s]; ok {
		return r
	}
	w.c.step()
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
