package schema

import (
	"cmp"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// Notation is how values are written where they are not JSON. The zero value is JSON.
type Notation struct {
	Null, False, True string // the constants; empty: JSON's
	Quote             string // stands before and behind strings, in which nothing is escaped; empty: strings are JSON's
	BareKeys          bool   // the names of members are letters, digits and _ . - without quotes
}

// words are the texts of null, false and true.
func (n Notation) words() []string {
	return []string{cmp.Or(n.Null, "null"), cmp.Or(n.False, "false"), cmp.Or(n.True, "true")}
}

// fenced is a string between two marks.
func (c *compiler) fenced(texts regex.ID) regex.ID {
	quote := c.set.Literal(c.notation.Quote)
	return c.set.Concat(quote, c.set.And(c.set.Text(), texts, c.set.Not(c.set.Containing(quote))), quote)
}

// name is the name of a member.
func (c *compiler) name(keys regex.ID) regex.ID {
	if c.notation.BareKeys {
		return c.set.And(keys, c.bare())
	}
	return c.written(keys)
}

func (c *compiler) bare() regex.ID {
	return c.patternText(c.doc.root, "properties", `^[A-Za-z0-9_.-]+$`)
}

// Add adds the values of a schema to the grammar that b builds. With an error, b is of no use any more.
func Add(b *grammar.Builder, text []byte, limits Limits) (n grammar.Node, err error) {
	err = with(b, text, limits, func(c *compiler) { n = b.Call(c.root()) })
	return n, err
}

// AddObjects is Add for those values of a schema that are objects, in any notation.
func AddObjects(b *grammar.Builder, text []byte, notation Notation, limits Limits) (n grammar.Node, err error) {
	err = with(b, text, limits, func(c *compiler) {
		c.notation = notation
		var choice []grammar.Node
		for _, o := range c.rootObjects() {
			choice = append(choice, c.object1(o))
		}
		n = b.Choice(choice...)
	})
	return n, err
}

func (c *compiler) rootObjects() []*object {
	all := c.planFor(conjunction{}.with(literal{node: c.doc.root}), isObject).objects
	if len(all) == 0 {
		fail(c.doc.root, "", "no object satisfies the schema")
	}
	return all
}

// bareObject writes one alternative of an object whose names have no quotes, in the schema's order.
func (c *compiler) bareObject(o *object) grammar.Node {
	c.independent(o)
	var rest grammar.Node
	if len(o.free) > 0 {
		var others []grammar.Node
		for _, f := range o.free {
			others = append(others, c.pair(f))
		}
		rest = c.b.Choice(others...)
	}
	made := map[[2]int]grammar.Rule{}
	var from func(i int, first bool) grammar.Node
	from = func(i int, first bool) grammar.Node {
		if i == len(o.members) {
			if len(o.free) == 0 {
				return c.b.Nothing()
			}
			more := c.b.Repeat(c.b.Seq(c.between(false), rest), 0, regex.Unbounded)
			if !first {
				return more
			}
			return c.b.Optional(c.b.Seq(rest, more))
		}
		key := [2]int{i, 0}
		if first {
			key[1] = 1
		}
		r, ok := made[key]
		if !ok {
			m := &o.members[i]
			r = c.rule("members")
			made[key] = r
			ways := []grammar.Node{c.b.Seq(c.between(first), c.pair(freeKeys{c.set.Literal(m.key), m.value}), from(i+1, false))}
			if !m.required {
				ways = append(ways, from(i+1, first))
			}
			c.b.Define(r, c.b.Choice(ways...))
		}
		return c.b.Call(r)
	}
	return c.b.Seq(c.open("{"), from(0, true), c.shut("}"))
}

// independent refuses objects whose members depend on each other, for notations that write them one by one.
func (c *compiler) independent(o *object) {
	if len(o.floating)+len(o.duties)+o.min > 0 || o.max >= 0 {
		fail(c.doc.root, "", "in this model's notation, properties cannot depend on each other or be counted")
	}
}

// Member is a property of an object, for formats that write each in its own way.
type Member struct {
	Key      string
	Required bool
	Value    grammar.Node // its values
	Texts    regex.ID     // the characters of those that are strings; Empty if none is
}

// AddMembers adds the properties of a schema's objects to the grammar that b builds, in the schema's order. any is a value of a property that
// has no name in the schema, if the schema allows those. Schemas whose properties depend on each other are an error.
func AddMembers(b *grammar.Builder, text []byte, notation Notation, limits Limits) (members []Member, any *grammar.Node, err error) {
	err = with(b, text, limits, func(c *compiler) {
		c.notation = notation
		all := c.rootObjects()
		o := all[0]
		if c.independent(o); len(all) > 1 {
			fail(c.doc.root, "", "in this model's notation, there is one set of properties")
		}
		for _, m := range o.members {
			members = append(members, Member{m.key, m.required, c.value(m.value), c.texts1(m.value)})
		}
		if len(o.free) > 0 {
			n := c.value(o.free[0].value)
			any = &n
		}
	})
	return members, any, err
}

// texts1 is the characters of the strings of a conjunction.
func (c *compiler) texts1(j conjunction) regex.ID {
	if c.emptyFor(j, isString) {
		return regex.Empty
	}
	return c.set.And(c.set.Text(), c.planFor(j, isString).texts)
}
