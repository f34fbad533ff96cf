package schema

import "fmt"

// jsonType is what a schema is asked about. null, false and true are types of their own, because each is a single value.
type jsonType uint8

const (
	isNull jsonType = iota
	isFalse
	isTrue
	isNumber
	isString
	isArray
	isObject
	jsonTypes
)

var typeNames = [jsonTypes]string{"null", "boolean", "boolean", "number", "string", "array", "object"}

// typeOf is the type of a value.
func typeOf(v *value) jsonType {
	switch v.kind {
	case kindNull:
		return isNull
	case kindBool:
		if v.truth {
			return isTrue
		}
		return isFalse
	case kindNumber:
		return isNumber
	case kindString:
		return isString
	case kindArray:
		return isArray
	}
	return isObject
}

// formula is a schema as logic over keywords. The same formula is read three ways: as true or false for the types that have one value,
// as a regular language for numbers and strings, and as a list of alternatives for arrays and objects.
type formula struct {
	op      formulaOp
	kids    []*formula
	node    *node  // of opSchema and opKeyword
	keyword string // of opKeyword
	made    *constraint
}

type formulaOp uint8

const (
	opAnd     formulaOp = iota // no kids: true
	opOr                       // no kids: false
	opNot                      // one kid
	opOne                      // exactly one
	opSchema                   // another schema
	opKeyword                  // a keyword of node that says nothing about other schemas
	opMade                     // a constraint that a negation made
)

func all(kids ...*formula) *formula  { return &formula{op: opAnd, kids: kids} }
func some(kids ...*formula) *formula { return &formula{op: opOr, kids: kids} }
func not(kid *formula) *formula      { return &formula{op: opNot, kids: []*formula{kid}} }

func truth(b bool) *formula {
	if b {
		return all()
	}
	return some()
}

// keywordType says which type a keyword is about. Other types pass it.
var keywordType = map[string]jsonType{
	"minimum": isNumber, "maximum": isNumber, "exclusiveMinimum": isNumber, "exclusiveMaximum": isNumber, "multipleOf": isNumber,
	"minLength": isString, "maxLength": isString, "pattern": isString, "format": isString,
	"minItems": isArray, "maxItems": isArray, "uniqueItems": isArray, "contains": isArray, "items": isArray, "unevaluatedItems": isArray,
	"minProperties": isObject, "maxProperties": isObject, "required": isObject, "propertyNames": isObject, "properties": isObject,
	"dependentRequired": isObject, "dependentSchemas": isObject, "dependencies": isObject, "unevaluatedProperties": isObject,
}

// shapeKeyword names the keyword under which those are handled that only mean something together.
var shapeKeyword = map[string]string{"prefixItems": "items", "additionalItems": "items", "patternProperties": "properties",
	"additionalProperties": "properties"}

// fail refuses the schema.
func fail(n *node, keyword, format string, args ...any) {
	panic(&Error{Keyword: keyword, Path: n.path, Reason: fmt.Sprintf(format, args...)})
}

// formula returns what a schema says. It is made once.
func (c *compiler) formula(n *node) *formula {
	if f := c.formulas[n]; f != nil {
		return f
	}
	f := c.read(n)
	c.formulas[n] = f
	return f
}

func (c *compiler) read(n *node) *formula {
	switch {
	case n.v.kind == kindBool:
		return truth(n.v.truth)
	case n.v.kind != kindObject:
		fail(n, "", "a schema must be an object or a boolean")
	case n.old() && n.v.get("$ref") != nil:
		return c.reference(n, "$ref", n.v.get("$ref"))
	}
	f := all()
	seen := map[string]bool{}
	for i, key := range n.v.keys {
		if shape := shapeKeyword[key]; shape != "" {
			key = shape
		}
		if seen[key] || n.draft < since[key] {
			continue
		}
		seen[key] = true
		if g := c.readKeyword(n, key, n.v.vals[i]); g != nil {
			f.kids = append(f.kids, g)
		}
	}
	return f
}

// readKeyword returns nil for keywords that constrain nothing.
func (c *compiler) readKeyword(n *node, key string, v *value) *formula {
	switch key {
	case "$ref":
		return c.reference(n, key, v)
	case "$dynamicRef", "$recursiveRef":
		fail(n, key, "is not served; use $ref")
	case "allOf":
		return all(c.list(n, key, v)...)
	case "anyOf":
		return some(c.list(n, key, v)...)
	case "oneOf":
		return &formula{op: opOne, kids: c.list(n, key, v), node: n}
	case "not":
		return not(c.sub(n, key, v))
	case "if":
		return c.conditional(n, v)
	case "dependentRequired", "dependentSchemas", "dependencies":
		return c.dependencies(n, key, v)
	case "type", "enum", "const":
		return &formula{op: opKeyword, node: n, keyword: key}
	case "unevaluatedProperties", "unevaluatedItems":
		if v.kind == kindBool && v.truth {
			return nil
		}
		if key == "unevaluatedItems" {
			fail(n, key, "is not served; use items")
		}
		return c.unevaluated(n, v)
	}
	if _, ok := keywordType[key]; ok {
		return &formula{op: opKeyword, node: n, keyword: key}
	}
	return nil
}

func (c *compiler) sub(n *node, key string, v *value) *formula {
	return &formula{op: opSchema, node: c.subnode(n, key, v)}
}

func (c *compiler) subnode(n *node, key string, v *value) *node {
	if !isSchema(v) {
		fail(n, key, "must hold a schema")
	}
	return c.doc.visit(v, n.path+"/"+escapePointer(key), n.base, n.rules)
}

func (c *compiler) list(n *node, key string, v *value) []*formula {
	if v.kind != kindArray || len(v.items) == 0 {
		fail(n, key, "must be an array of schemas that is not empty")
	}
	var out []*formula
	for _, item := range v.items {
		out = append(out, c.sub(n, key, item))
	}
	return out
}

func (c *compiler) reference(n *node, key string, v *value) *formula {
	if v.kind != kindString {
		fail(n, key, "must be a string")
	}
	target, err := c.doc.resolve(n, v.text)
	if err != nil {
		fail(n, key, "%v", err)
	}
	return &formula{op: opSchema, node: target}
}

func (c *compiler) conditional(n *node, v *value) *formula {
	yes, no := n.v.get("then"), n.v.get("else")
	f := all()
	cond := c.sub(n, "if", v)
	if yes != nil {
		f.kids = append(f.kids, some(not(cond), all(cond, c.sub(n, "then", yes))))
	}
	if no != nil {
		f.kids = append(f.kids, some(cond, all(not(cond), c.sub(n, "else", no))))
	}
	if yes != nil && no != nil {
		return some(all(cond, c.sub(n, "then", yes)), all(not(cond), c.sub(n, "else", no)))
	}
	return f
}

// dependencies turns each entry into: the property is absent, or what it asks for holds.
func (c *compiler) dependencies(n *node, key string, v *value) *formula {
	if v.kind != kindObject {
		fail(n, key, "must be an object")
	}
	f := all()
	for i, name := range v.keys {
		absent := &formula{op: opMade, made: &constraint{what: absentKey, key: name}}
		need := all()
		switch w := v.vals[i]; w.kind {
		case kindArray:
			for _, item := range w.items {
				if item.kind != kindString {
					fail(n, key, "must name properties")
				}
				need.kids = append(need.kids, &formula{op: opMade, made: &constraint{what: presentKey, key: item.text}})
			}
		case kindString:
			need.kids = append(need.kids, &formula{op: opMade, made: &constraint{what: presentKey, key: w.text}})
		default:
			need = c.sub(n, key, w)
		}
		f.kids = append(f.kids, some(absent, need))
	}
	return f
}

// declares reports whether the type keyword of n lets t pass. For numbers, integer tells that only whole ones do.
func declares(n *node, t jsonType) (ok, integer bool) {
	v := n.v.get("type")
	names := v.items
	if v.kind == kindString {
		names = []*value{v}
	}
	if len(names) == 0 {
		fail(n, "type", "must name types")
	}
	for _, name := range names {
		switch {
		case name.kind != kindString:
			fail(n, "type", "must name types")
		case name.text == typeNames[t], name.text == "any":
			return true, false
		case name.text == "integer":
			integer = integer || t == isNumber
		case !contains(typeNames[:], name.text):
			fail(n, "type", "%.40q is no type; the types are null, boolean, integer, number, string, array and object", name.text)
		}
	}
	return integer, integer
}

// listed returns the values of type t of enum or const.
func listed(n *node, keyword string, t jsonType) []*value {
	v := n.v.get(keyword)
	if keyword == "const" {
		v = arrayValue(v)
	}
	if v.kind != kindArray {
		fail(n, keyword, "must be an array")
	}
	var out []*value
	for _, item := range v.items {
		if typeOf(item) == t {
			out = append(out, item)
		}
	}
	return out
}

// count reads a keyword's number, which must be whole and not negative.
func count(n *node, keyword string) int {
	x, ok := n.v.get(keyword).number()
	if !ok || !x.IsInt() || x.Sign() < 0 || !x.Num().IsInt64() || x.Num().Int64() > 1<<30 {
		fail(n, keyword, "must be a whole number from 0 to %d", 1<<30)
	}
	return int(x.Num().Int64())
}

// algebra reads formulas: as truth, or as regular languages.
type algebra[T any] struct {
	and, or func(...T) T
	not     func(T) T
	keyword func(n *node, keyword string) T
	done    map[*node]T
	active  map[*node]bool
}

func interpret[T any](c *compiler, a *algebra[T], f *formula) T {
	c.step(3)
	switch f.op {
	case opAnd, opOr:
		kids := make([]T, len(f.kids))
		for i, k := range f.kids {
			kids[i] = interpret(c, a, k)
		}
		if f.op == opAnd {
			return a.and(kids...)
		}
		return a.or(kids...)
	case opNot:
		return a.not(interpret(c, a, f.kids[0]))
	case opOne:
		return exactlyOne(c, a, f.kids)
	case opSchema:
		return interpretNode(c, a, f.node)
	case opKeyword:
		return a.keyword(f.node, f.keyword)
	}
	return a.and() // the constraints that are made speak of arrays and objects
}

// exactlyOne carries two languages along: what one kid has had so far, and what none has.
func exactlyOne[T any](c *compiler, a *algebra[T], kids []*formula) T {
	one, none := a.or(), a.and()
	for _, k := range kids {
		x := interpret(c, a, k)
		one = a.or(a.and(one, a.not(x)), a.and(none, x))
		none = a.and(none, a.not(x))
	}
	return one
}

func interpretNode[T any](c *compiler, a *algebra[T], n *node) T {
	if x, ok := a.done[n]; ok {
		return x
	}
	if a.active[n] {
		fail(n, "$ref", "the schema refers to itself without going into a value")
	}
	a.active[n] = true
	x := interpret(c, a, c.formula(n))
	delete(a.active, n)
	a.done[n] = x
	return x
}

// holds tells whether a schema has the only value of type t.
func (c *compiler) constants(t jsonType) *algebra[bool] {
	return &algebra[bool]{
		and: func(xs ...bool) bool {
			for _, x := range xs {
				if !x {
					return false
				}
			}
			return true
		},
		or: func(xs ...bool) bool {
			for _, x := range xs {
				if x {
					return true
				}
			}
			return false
		},
		not: func(x bool) bool { return !x },
		keyword: func(n *node, keyword string) bool {
			switch keyword {
			case "type":
				ok, _ := declares(n, t)
				return ok
			case "enum", "const":
				return len(listed(n, keyword, t)) > 0
			}
			return true
		},
		done:   map[*node]bool{},
		active: map[*node]bool{},
	}
}
