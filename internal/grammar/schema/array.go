package schema

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// constrainArray reads a keyword about arrays, or its negation.
func (c *compiler) constrainArray(n *node, keyword string, no bool) (*formula, *constraint) {
	switch keyword {
	case "minItems", "maxItems":
		return countConstraint(count(n, keyword), keyword == "maxItems", no)
	case "uniqueItems":
		v := n.v.get(keyword)
		if v.kind != kindBool {
			fail(n, keyword, "must be true or false")
		}
		if !v.truth {
			return truth(!no), nil
		}
		if no {
			fail(n, keyword, "cannot be negated")
		}
		return nil, &constraint{what: unique, node: n}
	case "contains":
		return c.contains(n, no)
	}
	if !no {
		return nil, &constraint{what: shape, node: n}
	}
	prefix, rest := c.itemsOf(n)
	f := some()
	for i, l := range prefix {
		f.kids = append(f.kids, &formula{op: opMade, made: &constraint{what: itemAt, n: i, value: conjunction{{l.node, true}}}})
	}
	if rest != nil {
		f.kids = append(f.kids, &formula{op: opMade, made: &constraint{what: someItem, n: len(prefix), value: conjunction{{rest.node, true}}}})
	}
	return f, nil
}

// contains reads contains with minContains and maxContains. Its negation is: fewer than the minimum, or more than the maximum.
func (c *compiler) contains(n *node, no bool) (*formula, *constraint) {
	low, high := 1, -1
	if n.v.get("minContains") != nil && !n.old() {
		low = count(n, "minContains")
	}
	if n.v.get("maxContains") != nil && !n.old() {
		high = count(n, "maxContains")
	}
	l := literal{node: c.subnode(n, "contains", n.v.get("contains"))}
	limits := func(from, to int) *formula {
		return &formula{op: opMade, made: &constraint{what: someItems, node: n, n: from, max: to, value: conjunction{l}}}
	}
	if !no {
		return limits(low, high), nil
	}
	f := some()
	if low > 0 {
		f.kids = append(f.kids, limits(0, low-1))
	}
	if high >= 0 {
		f.kids = append(f.kids, limits(high+1, -1))
	}
	return f, nil
}

// itemsOf returns the schemas of the first items and that of the rest, or nil.
func (c *compiler) itemsOf(n *node) (prefix []literal, rest *literal) {
	list, after := n.v.get("prefixItems"), n.v.get("items")
	if n.old() {
		list = nil
	}
	keyword, afterKeyword := "prefixItems", "items"
	if after != nil && after.kind == kindArray {
		list, after = after, n.v.get("additionalItems")
		keyword, afterKeyword = "items", "additionalItems"
	}
	if list != nil {
		if list.kind != kindArray {
			fail(n, keyword, "must be an array of schemas")
		}
		for _, v := range list.items {
			prefix = append(prefix, literal{node: c.subnode(n, keyword, v)})
		}
	}
	if after != nil {
		rest = &literal{node: c.subnode(n, afterKeyword, after)}
	}
	return prefix, rest
}

// array is one alternative of an array.
type array struct {
	prefix   []conjunction // what the first items must be
	rest     conjunction   // what the others must be
	min, max int           // max is -1 where there is no bound
	counts   []itemCount
	values   []*value // with unique: the values that items can have
	unique   bool
	strings  bool // with unique: the items are strings
}

// itemCount asks for a number of items of a kind.
type itemCount struct {
	from     int // items before do not count
	value    conjunction
	min, max int
}

// array returns the alternative that constraints describe, or nil if no array fits.
func (c *compiler) array(constraints []*constraint) *array {
	a := &array{max: -1}
	length := 0
	var shapes []*node
	var uniqueAt *node
	for _, x := range constraints {
		switch x.what {
		case shape:
			shapes = append(shapes, x.node)
			prefix, _ := c.itemsOf(x.node)
			length = max(length, len(prefix))
		case itemAt:
			length = max(length, x.n+1)
			a.min = max(a.min, x.n+1)
		case someItem:
			length = max(length, x.n)
			a.counts = append(a.counts, itemCount{from: x.n, value: x.value, min: 1, max: -1})
		case someItems:
			a.counts = append(a.counts, itemCount{value: x.value, min: x.n, max: x.max})
		case unique:
			uniqueAt = x.node
		case minCount:
			a.min = max(a.min, x.n)
		case maxCount:
			if a.max < 0 || x.n < a.max {
				a.max = x.n
			}
		}
	}
	a.items(c, shapes, length)
	for _, x := range constraints {
		if x.what == itemAt {
			a.prefix[x.n] = a.prefix[x.n].with(x.value...)
		}
	}
	if !a.settle(c) {
		return nil
	}
	if uniqueAt != nil && (a.max < 0 || a.max > 1) {
		a.distinct(c, uniqueAt)
	}
	return a
}

func (a *array) items(c *compiler, shapes []*node, length int) {
	a.prefix = make([]conjunction, length)
	for _, n := range shapes {
		prefix, rest := c.itemsOf(n)
		for i := range a.prefix {
			if i < len(prefix) {
				a.prefix[i] = a.prefix[i].with(prefix[i])
			} else if rest != nil {
				a.prefix[i] = a.prefix[i].with(*rest)
			}
		}
		if rest != nil {
			a.rest = a.rest.with(*rest)
		}
	}
}

// settle shortens the array to where its items have values, and reports whether an array remains.
func (a *array) settle(c *compiler) bool {
	limit := func(n int) {
		if a.max < 0 || n < a.max {
			a.max = n
		}
	}
	for i, value := range a.prefix {
		if c.empty(value) {
			limit(i)
			break
		}
	}
	if c.empty(a.rest) {
		limit(len(a.prefix))
	}
	var counts []itemCount
	for _, x := range a.counts {
		if x.max >= 0 && x.max < x.min {
			return false
		}
		if x.min > 0 || x.max >= 0 {
			counts = append(counts, x)
		}
		a.min = max(a.min, x.min)
	}
	a.counts = counts
	if a.max >= 0 && len(a.prefix) > a.max {
		a.prefix = a.prefix[:a.max]
	}
	return a.max < 0 || a.min <= a.max
}

// maxDistinct bounds the values of which an array may hold each once: the grammar has a state for each set of them.
const maxDistinct = 10

// distinct finds the values that the items of an array with uniqueItems can have. Strings need not be listed.
func (a *array) distinct(c *compiler, n *node) {
	a.unique = true
	if len(a.counts) == 0 && a.list(c) || c.stringsOnly(a) {
		return
	}
	fail(n, "uniqueItems", "is served for strings, and for items of at most %d values (enum, const, boolean, null)", maxDistinct)
}

// list lists the values of the items, if they are few.
func (a *array) list(c *compiler) bool {
	items := a.prefix
	if a.max < 0 || a.max > len(a.prefix) {
		items = append(items[:len(items):len(items)], a.rest)
	}
	for _, j := range items {
		values, ok := c.finite(j)
		if !ok {
			return false
		}
		for _, v := range values {
			if slices.ContainsFunc(a.values, func(w *value) bool { return equal(v, w) }) {
				continue
			}
			if a.values = append(a.values, v); len(a.values) > maxDistinct {
				return false
			}
		}
	}
	if a.max < 0 || a.max > len(a.values) {
		a.max = len(a.values)
	}
	return true
}

// maxStrings bounds how many different strings an array must have at least.
const maxStrings = 64

// stringsOnly reports whether the items of an array are strings, all of one language, and notes it.
func (c *compiler) stringsOnly(a *array) bool {
	if len(a.counts) > 0 || len(a.prefix) > 0 || c.notation.Quote != "" || a.min > maxStrings || c.emptyFor(a.rest, isString) {
		return false
	}
	for t := range jsonTypes {
		if t != isString && !c.emptyFor(a.rest, t) {
			return false
		}
	}
	a.strings = true
	return true
}

// finite returns the values of a conjunction if they are few and its enum, const or type lists them.
func (c *compiler) finite(j conjunction) ([]*value, bool) {
	var listed []*value
	found := false
	for _, l := range j {
		if l.not {
			continue
		}
		if values, ok := c.finiteNode(l.node, 0); ok && (!found || len(values) < len(listed)) {
			listed, found = values, true
		}
	}
	var out []*value
	for _, v := range listed {
		if !c.empty(j.with(literal{node: c.constant(v, j[0].node)})) {
			out = append(out, v)
		}
	}
	return out, found
}

// finiteNode returns values among which are all those of a schema. Alternatives that name each other several times have more values at each level,
// so each value that is added counts as work.
func (c *compiler) finiteNode(n *node, depth int) ([]*value, bool) {
	c.step(3)
	if depth > 20 || n.v.kind != kindObject {
		return nil, false
	}
	if v := n.v.get("$ref"); v != nil && n.old() {
		return c.finiteNode(c.reference(n, "$ref", v).node, depth+1) // it hides the keywords beside it
	}
	if v := n.v.get("enum"); v != nil && v.kind == kindArray {
		return v.items, true
	}
	if v := n.v.get("const"); v != nil && n.draft >= since["const"] {
		return []*value{v}, true
	}
	if v := n.v.get("type"); v != nil && v.kind == kindString && v.text == "boolean" {
		return []*value{boolValue(false), boolValue(true)}, true
	}
	if v := n.v.get("$ref"); v != nil {
		return c.finiteNode(c.reference(n, "$ref", v).node, depth+1)
	}
	if v := n.v.get("anyOf"); v != nil && v.kind == kindArray {
		var out []*value
		for _, kid := range c.list(n, "anyOf", v) {
			values, ok := c.finiteNode(kid.node, depth+1)
			if !ok {
				return nil, false
			}
			c.step(len(values))
			out = append(out, values...)
		}
		return out, true
	}
	return nil, false
}

// constant is a schema that has one value.
func (c *compiler) constant(v *value, from *node) *node {
	if n := c.consts[v]; n != nil {
		return n
	}
	n := c.doc.made((&value{kind: kindObject}).with("const", v), from)
	c.consts[v] = n
	return n
}

// texts is the strings of a conjunction, as characters.
func (c *compiler) texts(j conjunction) regex.ID {
	parts := []regex.ID{c.set.Text()}
	for _, l := range j {
		x := interpretNode(c, c.strings, l.node)
		if l.not {
			x = c.set.Not(x)
		}
		parts = append(parts, x)
	}
	return c.set.And(parts...)
}

// figures is the numbers of a conjunction.
func (c *compiler) figures(j conjunction) regex.ID {
	parts := []regex.ID{regex.All}
	for _, l := range j {
		x := interpretNode(c, c.numbers, l.node)
		if l.not {
			x = c.num.complement(x)
		}
		parts = append(parts, x)
	}
	if out := c.set.And(parts...); out != regex.All {
		return c.set.And(c.num.plain, out)
	}
	return c.num.any
}
