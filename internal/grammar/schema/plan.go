package schema

import (
	"strconv"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// plan is the values of one type that a conjunction has.
type plan struct {
	busy    bool     // being made: a value inside it leads back to it
	ok      bool     // of a type with one value
	texts   regex.ID // of numbers: as written; of strings: their characters
	arrays  []*array
	objects []*object
}

// planFor returns the values of type t. While a plan is being made, it is returned unfinished.
func (c *compiler) planFor(j conjunction, t jsonType) *plan {
	c.step(4 + 2*len(j))
	key := strconv.Itoa(int(t)) + ":" + j.key()
	if p := c.plans[key]; p != nil {
		return p
	}
	p := &plan{busy: true}
	c.plans[key] = p
	if c.depth++; c.depth > maxPlanDepth {
		fail(c.doc.root, "", "the schema nests more than %d deep", maxPlanDepth)
	}
	switch t {
	case isNumber:
		p.texts = c.figures(j)
	case isString:
		p.texts = c.texts(j)
	case isArray:
		for _, constraints := range c.alternatives(j, t) {
			if a := c.array(constraints); a != nil {
				p.arrays = append(p.arrays, a)
			}
		}
	case isObject:
		for _, constraints := range c.alternatives(j, t) {
			p.objects = append(p.objects, c.objects(constraints)...)
		}
	default:
		p.ok = true
		for _, l := range j {
			p.ok = p.ok && interpretNode(c, c.single[t], l.node) != l.not
		}
	}
	c.depth--
	p.busy = false
	return p
}

// maxPlanDepth bounds how deep values are looked into.
const maxPlanDepth = 2000

// emptyFor reports whether no value of type t satisfies all of j, as far as that can be told.
func (c *compiler) emptyFor(j conjunction, t jsonType) bool {
	p := c.planFor(j, t)
	switch {
	case p.busy:
		return false
	case t == isNumber || t == isString:
		return !c.set.Inhabited(p.texts)
	case t == isArray:
		return len(p.arrays) == 0
	case t == isObject:
		return len(p.objects) == 0
	}
	return !p.ok
}

// empty reports whether no value satisfies all of j, as far as that can be told.
func (c *compiler) empty(j conjunction) bool {
	for t := range jsonTypes {
		if !c.emptyFor(j, t) {
			return false
		}
	}
	return true
}
