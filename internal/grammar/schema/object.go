package schema

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// constrainObject reads a keyword about objects, or its negation.
func (c *compiler) constrainObject(n *node, keyword string, no bool) (*formula, *constraint) {
	made := func(x *constraint) *formula { return &formula{op: opMade, made: x} }
	switch keyword {
	case "required":
		v := n.v.get(keyword)
		if v.kind == kindBool {
			return truth(!no), nil // of draft 3
		}
		if v.kind != kindArray {
			fail(n, keyword, "must be an array of names")
		}
		f := all()
		for _, name := range v.items {
			if name.kind != kindString {
				fail(n, keyword, "must be an array of names")
			}
			f.kids = append(f.kids, made(&constraint{what: presentKey, key: name.text}))
		}
		if no {
			return not(f), nil
		}
		return f, nil
	case "minProperties", "maxProperties":
		return countConstraint(count(n, keyword), keyword == "maxProperties", no)
	case "propertyNames":
		names := literal{node: c.subnode(n, keyword, n.v.get(keyword))}
		if !no {
			return nil, &constraint{what: keyNames, value: conjunction{names}}
		}
		names.not = true
		return nil, &constraint{what: someKey, keys: c.texts(conjunction{names})}
	}
	if !no {
		return nil, &constraint{what: shape, node: n}
	}
	return c.otherShape(n), nil
}

// countConstraint is a minimum or a maximum, or what its negation is.
func countConstraint(n int, maximum, no bool) (*formula, *constraint) {
	switch {
	case maximum && no:
		n, maximum = n+1, false
	case no && n == 0:
		return some(), nil
	case no:
		n, maximum = n-1, true
	}
	if maximum {
		return nil, &constraint{what: maxCount, n: n}
	}
	return nil, &constraint{what: minCount, n: n}
}

// objectOf is a keyword's value, which must be an object, or nil.
func objectOf(n *node, keyword string) *value {
	v := n.v.get(keyword)
	if v != nil && v.kind != kindObject {
		fail(n, keyword, "must be an object")
	}
	return v
}

// otherShape is the negation of properties, patternProperties and additionalProperties: some member breaks one of them.
func (c *compiler) otherShape(n *node) *formula {
	f := some()
	add := func(x *constraint) { f.kids = append(f.kids, &formula{op: opMade, made: x}) }
	var named []string
	if props := objectOf(n, "properties"); props != nil {
		for i, k := range props.keys {
			named = append(named, k)
			add(&constraint{what: presentKey, key: k, value: conjunction{{c.subnode(n, "properties", props.vals[i]), true}}})
		}
	}
	others := []regex.ID{c.set.Literals(named)}
	if patterns := objectOf(n, "patternProperties"); patterns != nil {
		for i, p := range patterns.keys {
			keys := c.patternText(n, "patternProperties", p)
			others = append(others, keys)
			add(&constraint{what: someKey, keys: keys, value: conjunction{{c.subnode(n, "patternProperties", patterns.vals[i]), true}}})
		}
	}
	if rest := n.v.get("additionalProperties"); rest != nil {
		add(&constraint{what: someKey, keys: c.set.NotText(c.set.Or(others...)),
			value: conjunction{{c.subnode(n, "additionalProperties", rest), true}}})
	}
	return f
}

// member is a property with a name.
type member struct {
	key      string
	value    conjunction
	required bool
}

// freeKeys are names outside of the properties that share a schema.
type freeKeys struct {
	keys  regex.ID
	value conjunction
}

// duty is a member that meets some of the obligations of an object to have a member of a kind among the free ones. Its name and value must fit one
// of the classes.
type duty struct {
	meets   int // bits: the obligations
	classes []freeKeys
}

// object is one alternative of an object: named members in order, then free ones in any order.
type object struct {
	members  []member // in order; the optional ones may be left out
	floating []member // required, with names that no properties keyword has: anywhere among the free ones
	free     []freeKeys
	duties   []duty
	owed     int // obligations
	min, max int // of members; max is -1 where there is no bound
}

// objectPlan collects the constraints of an alternative by kind.
type objectPlan struct {
	c       *compiler
	shapes  []*node
	order   []string // the names of properties in order, then the other names that some keyword mentions
	declare map[string]bool
	present map[string]conjunction
	absent  map[string]bool
	somes   []*constraint
	names   conjunction
	min     int
	max     int
}

func (c *compiler) planObject(constraints []*constraint) *objectPlan {
	c.step(8 + 8*len(constraints))
	p := &objectPlan{c: c, declare: map[string]bool{}, present: map[string]conjunction{}, absent: map[string]bool{}, max: -1}
	var others []string
	for _, x := range constraints {
		switch x.what {
		case shape:
			p.addShape(x.node)
		case presentKey:
			p.present[x.key] = p.present[x.key].with(x.value...)
			others = append(others, x.key)
		case absentKey:
			p.absent[x.key] = true
			others = append(others, x.key)
		case someKey:
			p.somes = append(p.somes, x)
		case keyNames:
			p.names = p.names.with(x.value...)
		case minCount:
			p.min = max(p.min, x.n)
		case maxCount:
			if p.max < 0 || x.n < p.max {
				p.max = x.n
			}
		}
	}
	seen := map[string]bool{}
	for _, k := range others {
		if !seen[k] && !p.declare[k] {
			p.order = append(p.order, k)
		}
		seen[k] = true
	}
	return p
}

func (p *objectPlan) addShape(n *node) {
	props := objectOf(n, "properties")
	p.c.step(1 + len(props.names())/2)
	p.shapes = append(p.shapes, n)
	if props == nil {
		return
	}
	for _, k := range props.keys {
		if !p.declare[k] {
			p.declare[k] = true
			p.order = append(p.order, k)
		}
	}
}

// objects returns the alternatives that constraints describe. There are several where a member that must exist may be a named or a free one.
func (c *compiler) objects(constraints []*constraint) []*object {
	p := c.planObject(constraints)
	if len(p.somes) > 4 {
		fail(c.doc.root, "", "too many members must exist that have no name")
	}
	var out []*object
	p.choose(p.somes, nil, &out)
	return out
}

// choose decides for each member that must exist whether it is a named one or a free one.
func (p *objectPlan) choose(rest []*constraint, free []*constraint, out *[]*object) {
	if len(rest) == 0 {
		if o := p.build(free); o != nil {
			*out = append(*out, o)
		}
		return
	}
	x := rest[0]
	for _, k := range p.order {
		if p.absent[k] || !p.c.set.Match(x.keys, []byte(k)) {
			continue
		}
		old, had := p.present[k]
		p.present[k] = old.with(x.value...)
		p.choose(rest[1:], free, out)
		if had {
			p.present[k] = old
		} else {
			delete(p.present, k)
		}
	}
	p.choose(rest[1:], append(slices.Clip(free), x), out)
}

// build makes the alternative, or returns nil if no object fits.
func (p *objectPlan) build(somes []*constraint) *object {
	o := &object{min: p.min, max: p.max}
	allowed := regex.All
	if len(p.names) > 0 {
		allowed = p.c.texts(p.names)
	}
	required := 0
	for _, k := range p.order {
		extra, must := p.present[k]
		value := p.valueOf(k).with(extra...)
		possible := !p.absent[k] && p.c.set.Match(allowed, []byte(k)) && !p.c.empty(value)
		switch {
		case must && !possible:
			return nil
		case !possible:
			continue
		case must:
			required++
		}
		if p.declare[k] {
			o.members = append(o.members, member{k, value, must})
		} else if must {
			o.floating = append(o.floating, member{k, value, true})
		}
	}
	p.addFree(o, allowed)
	if !p.addDuties(o, somes) {
		return nil
	}
	return p.counted(o, required)
}

// addDuties adds the members that meet obligations: one member may meet several. It reports whether each can be met.
func (p *objectPlan) addDuties(o *object, somes []*constraint) bool {
	o.owed = len(somes)
	met := 0
	for meets := 1; meets < 1<<len(somes); meets++ {
		d := duty{meets: meets}
		for _, f := range o.free {
			for i, x := range somes {
				if meets&(1<<i) != 0 {
					f = freeKeys{p.c.set.And(f.keys, x.keys), f.value.with(x.value...)}
				}
			}
			if p.c.set.Inhabited(f.keys) && !p.c.empty(f.value) {
				d.classes = append(d.classes, f)
			}
		}
		if d.classes != nil {
			met |= meets
			o.duties = append(o.duties, d)
		}
	}
	return met == 1<<len(somes)-1
}

// counted settles the number of members, or returns nil if it cannot be met.
func (p *objectPlan) counted(o *object, required int) *object {
	o.min = max(o.min, 0)
	if o.min <= required {
		o.min = 0
	}
	possible := len(o.members) + len(o.floating)
	if len(o.free) == 0 {
		if o.min > possible {
			return nil
		}
		if o.max >= possible {
			o.max = -1
		}
	} else if o.min > required+1 {
		// Two members of the same name count as one. The grammar cannot compare the free ones' names.
		fail(p.where(), "minProperties", "more than one property without a name of its own would have to differ; name them in properties, or set additionalProperties to false")
	}
	if o.max >= 0 && required > o.max {
		return nil
	}
	return o
}

func (p *objectPlan) where() *node {
	if len(p.shapes) > 0 {
		return p.shapes[0]
	}
	return p.c.doc.root
}

// valueOf is what the shapes ask of the value of a key.
func (p *objectPlan) valueOf(key string) conjunction {
	p.c.step(4 + 4*len(p.shapes))
	var out conjunction
	for _, n := range p.shapes {
		matched := false
		if v := n.v.get("properties").get(key); v != nil {
			matched = true
			out = out.with(literal{node: p.c.subnode(n, "properties", v)})
		}
		if patterns := n.v.get("patternProperties"); patterns != nil {
			for i, pattern := range patterns.keys {
				if p.c.set.Match(p.c.patternText(n, "patternProperties", pattern), []byte(key)) {
					matched = true
					out = out.with(literal{node: p.c.subnode(n, "patternProperties", patterns.vals[i])})
				}
			}
		}
		if rest := n.v.get("additionalProperties"); rest != nil && !matched {
			out = out.with(literal{node: p.c.subnode(n, "additionalProperties", rest)})
		}
	}
	return out
}

// maxClasses bounds the sets of names that patterns cut the free names into.
const maxClasses = 64

// addFree cuts the names that are not named by which patterns they match, and adds those that have values.
func (p *objectPlan) addFree(o *object, allowed regex.ID) {
	set := p.c.set
	classes := []freeKeys{{keys: set.And(set.Text(), allowed, set.Not(set.Literals(p.order)))}}
	for _, n := range p.shapes {
		classes = p.cut(classes, n)
	}
	for _, f := range classes {
		if set.Inhabited(f.keys) && !p.c.empty(f.value) {
			o.free = append(o.free, f)
		}
	}
}

// cut refines classes by the patterns of one schema.
func (p *objectPlan) cut(classes []freeKeys, n *node) []freeKeys {
	set := p.c.set
	type part struct {
		freeKeys
		matched bool
	}
	var parts []part
	for _, f := range classes {
		parts = append(parts, part{f, false})
	}
	if patterns := objectOf(n, "patternProperties"); patterns != nil {
		for i, pattern := range patterns.keys {
			keys := p.c.patternText(n, "patternProperties", pattern)
			var next []part
			for _, x := range parts {
				if in := set.And(x.keys, keys); set.Inhabited(in) {
					value := x.value.with(literal{node: p.c.subnode(n, "patternProperties", patterns.vals[i])})
					next = append(next, part{freeKeys{in, value}, true})
				}
				if out := set.And(x.keys, set.Not(keys)); set.Inhabited(out) {
					next = append(next, part{freeKeys{out, x.value}, x.matched})
				}
			}
			if parts = next; len(parts) > maxClasses {
				fail(n, "patternProperties", "the patterns overlap in more than %d ways", maxClasses)
			}
		}
	}
	rest := n.v.get("additionalProperties")
	var out []freeKeys
	for _, x := range parts {
		if rest != nil && !x.matched {
			x.value = x.value.with(literal{node: p.c.subnode(n, "additionalProperties", rest)})
		}
		out = append(out, x.freeKeys)
	}
	return out
}
