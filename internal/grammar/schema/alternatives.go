package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// literal is a schema that must hold, or must not.
type literal struct {
	node *node
	not  bool
}

// conjunction is schemas that must all hold for one value, in the order in which they were met, because it is the order of properties.
type conjunction []literal

// key names the conjunction, whatever its order.
func (j conjunction) key() string {
	ids := make([]int, len(j))
	for i, l := range j {
		ids[i] = 2 * l.node.id
		if l.not {
			ids[i]++
		}
	}
	slices.Sort(ids)
	var b strings.Builder
	for i, id := range ids {
		if i == 0 || id != ids[i-1] {
			b.WriteString(strconv.Itoa(id))
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// with adds schemas, each once, and leaves out those that say nothing.
func (j conjunction) with(more ...literal) conjunction {
	out := slices.Clip(j)
	for _, l := range more {
		if l.node.v.kind == kindBool && l.node.v.truth != l.not || slices.Contains(out, l) {
			continue
		}
		out = append(out, l)
	}
	return out
}

// constraint is one thing that an array or an object must satisfy.
type constraint struct {
	what  what
	node  *node       // of shape, propertyNames, contains: the schema that has the keyword
	key   string      // of absentKey, presentKey
	n     int         // a count or an index
	max   int         // of someItems; -1 where there is no bound
	value conjunction // of presentKey, someKey, someItem, itemAt: what the value must be besides
	keys  regex.ID    // of someKey
}

type what uint8

const (
	shape      what = iota // properties, patternProperties, additionalProperties; or prefixItems, items
	absentKey              // the object has no such key
	presentKey             // the object has the key, and its value satisfies value
	someKey                // the object has a key of keys whose value satisfies value
	keyNames               // all keys satisfy value
	minCount               // of properties or items
	maxCount
	itemAt    // the array has an item n, and it satisfies value
	someItem  // the array has an item from n on that satisfies value
	someItems // contains, with its minimum and maximum
	unique    // no two items are equal
)

// maxAlternatives bounds what a union of schemas may be multiplied out to.
const maxAlternatives = 1024

// expansion multiplies out the formulas of a conjunction for one type.
type expansion struct {
	c    *compiler
	t    jsonType
	out  [][]*constraint
	from *node
}

// task is what is left to do on a branch: a list, so that branches share their tails.
type task struct {
	f    *formula
	not  bool
	next *task
}

// trail is a list of what a branch has collected: constraints and the schemas that it went through.
type trail struct {
	made *constraint
	lit  literal
	prev *trail
}

// alternatives returns the ways in which a value of type t, an array or an object, can satisfy all schemas of j.
func (c *compiler) alternatives(j conjunction, t jsonType) [][]*constraint {
	var tasks *task
	for i := len(j) - 1; i >= 0; i-- {
		tasks = &task{f: &formula{op: opSchema, node: j[i].node}, not: j[i].not, next: tasks}
	}
	e := &expansion{c: c, t: t, from: c.doc.root}
	if len(j) > 0 {
		e.from = j[0].node
	}
	e.run(tasks, nil)
	return e.out
}

func (e *expansion) run(tasks *task, done *trail) {
	for tasks != nil {
		e.c.step(3)
		f, no := tasks.f, tasks.not
		tasks = tasks.next
		switch f.op {
		case opNot:
			tasks = &task{f.kids[0], !no, tasks}
			continue
		case opOne:
			tasks = &task{e.one(f, no), false, tasks}
			continue
		case opSchema:
			l := literal{f.node, no}
			if done.has(l) {
				continue
			}
			done = &trail{lit: l, prev: done}
			tasks = &task{e.c.formula(f.node), no, tasks}
			continue
		case opKeyword, opMade:
			g, made := e.c.constrain(f, no, e.t)
			if made != nil {
				done = &trail{made: made, prev: done}
				if e.c.contradicts(done) {
					return
				}
				continue
			}
			f, no = g, false
		}
		if f.op == opAnd && !no || f.op == opOr && no { // all of the kids
			for i := len(f.kids) - 1; i >= 0; i-- {
				tasks = &task{f.kids[i], no, tasks}
			}
			continue
		}
		if f.op != opAnd && f.op != opOr {
			tasks = &task{f, no, tasks}
			continue
		}
		for _, k := range f.kids {
			e.run(&task{k, no, tasks}, done)
		}
		return
	}
	if len(e.out) >= maxAlternatives {
		fail(e.from, "", "the alternatives of the schema multiply to more than %d; use fewer of anyOf, oneOf, dependencies together", maxAlternatives)
	}
	e.out = append(e.out, done.constraints())
}

// contradicts reports whether the last constraint of a branch cannot hold beside the ones before it, as far as that is quickly told. Without it
// the alternatives of a oneOf whose branches differ in an optional constant would multiply without bound.
func (c *compiler) contradicts(done *trail) bool {
	x := done.made
	if x.what != presentKey && x.what != absentKey {
		return false
	}
	for t := done.prev; t != nil; t = t.prev {
		if y := t.made; y != nil && y.key == x.key && (y.what == presentKey || y.what == absentKey) && y.what != x.what {
			return true
		}
	}
	if len(x.value) == 0 {
		return false
	}
	p := c.planObject(done.constraints())
	return c.empty(p.valueOf(x.key).with(p.present[x.key]...))
}

func (t *trail) has(l literal) bool {
	for ; t != nil; t = t.prev {
		if t.made == nil && t.lit == l {
			return true
		}
	}
	return false
}

func (t *trail) constraints() []*constraint {
	var out []*constraint
	for ; t != nil; t = t.prev {
		if t.made != nil {
			out = append(out, t.made)
		}
	}
	slices.Reverse(out)
	return out
}

// one writes oneOf with and, or and not. Branches that cannot both hold need no not.
func (e *expansion) one(f *formula, no bool) *formula {
	out := some()
	if no {
		none := all()
		for i, k := range f.kids {
			none.kids = append(none.kids, not(k))
			for _, other := range f.kids[:i] {
				out.kids = append(out.kids, all(k, other))
			}
		}
		out.kids = append(out.kids, none)
		return out
	}
	for i, k := range f.kids {
		if e.c.emptyFor(conjunction{}.with(literal{node: k.node}), e.t) {
			continue
		}
		branch := all(k)
		for j, other := range f.kids {
			if i != j && !e.c.emptyFor(conjunction{}.with(literal{node: k.node}, literal{node: other.node}), e.t) {
				branch.kids = append(branch.kids, not(other))
			}
		}
		out.kids = append(out.kids, branch)
	}
	return out
}

// constrain reads a keyword, or its negation, for an array or an object: as a constraint, or as a formula of others.
func (c *compiler) constrain(f *formula, no bool, t jsonType) (*formula, *constraint) {
	if f.op == opMade {
		if about := f.made.what; t == isObject && (about == absentKey || about == presentKey || about == someKey || about <= maxCount) ||
			t == isArray && about != absentKey && about != presentKey && about != someKey {
			return c.constrainMade(f.made, no)
		}
		return truth(!no), nil
	}
	n, keyword := f.node, f.keyword
	if about, ok := keywordType[keyword]; ok && about != t {
		return truth(!no), nil
	}
	switch keyword {
	case "type":
		ok, _ := declares(n, t)
		return truth(ok != no), nil
	case "enum", "const":
		any := some()
		for _, v := range listed(n, keyword, t) {
			any.kids = append(any.kids, &formula{op: opSchema, node: c.exactly(v, n)})
		}
		if no {
			return not(any), nil
		}
		return any, nil
	}
	if t == isObject {
		return c.constrainObject(n, keyword, no)
	}
	return c.constrainArray(n, keyword, no)
}

func (c *compiler) constrainMade(made *constraint, no bool) (*formula, *constraint) {
	if !no {
		return nil, made
	}
	switch {
	case made.what == absentKey:
		return nil, &constraint{what: presentKey, key: made.key}
	case made.what == presentKey && len(made.value) == 0:
		return nil, &constraint{what: absentKey, key: made.key}
	}
	return some(), nil // the others are made by negations only, which leaves nothing to negate
}

// exactly is a schema that has one value: an array or an object.
func (c *compiler) exactly(v *value, from *node) *node {
	if n := c.exact[v]; n != nil {
		return n
	}
	out := &value{kind: kindObject}
	if v.kind == kindArray {
		out.with("type", stringValue("array")).with("minItems", intValue(len(v.items))).with("maxItems", intValue(len(v.items)))
		prefix := arrayValue()
		for _, item := range v.items {
			prefix.items = append(prefix.items, (&value{kind: kindObject}).with("const", item))
		}
		out.with("prefixItems", prefix)
	} else {
		properties, required := &value{kind: kindObject}, arrayValue()
		for i, k := range v.keys {
			properties.with(k, (&value{kind: kindObject}).with("const", v.vals[i]))
			required.items = append(required.items, stringValue(k))
		}
		out.with("type", stringValue("object")).with("properties", properties).with("required", required).
			with("additionalProperties", boolValue(false))
	}
	n := c.doc.made(out, from)
	c.exact[v] = n
	return n
}
