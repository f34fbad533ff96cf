package schema

// unevaluated turns unevaluatedProperties into additionalProperties beside all properties that the schema and those that it always applies name.
// Where it depends on the value which those are, it refuses.
func (c *compiler) unevaluated(n *node, v *value) *formula {
	e := &evaluated{c: c, names: &value{kind: kindObject}, patterns: &value{kind: kindObject}, seen: map[*node]bool{}}
	e.collect(n)
	switch {
	case e.conditional:
		fail(n, "unevaluatedProperties", "is not served where anyOf, oneOf, if or dependencies have properties of their own")
	case e.all:
		return nil
	}
	made := (&value{kind: kindObject}).with("properties", e.names).with("patternProperties", e.patterns).with("additionalProperties", v)
	return &formula{op: opSchema, node: c.doc.made(made, n)}
}

// evaluated is the properties that a schema evaluates whatever the value is.
type evaluated struct {
	c           *compiler
	names       *value // as a properties keyword
	patterns    *value // as a patternProperties keyword
	all         bool   // additionalProperties evaluates all of them
	conditional bool   // other properties may be evaluated, too
	seen        map[*node]bool
}

func (e *evaluated) collect(n *node) {
	if e.seen[n] || n.v.kind != kindObject {
		return
	}
	first := len(e.seen) == 0
	e.seen[n] = true
	if n.old() && n.v.get("$ref") != nil {
		e.collect(e.c.reference(n, "$ref", n.v.get("$ref")).node)
		return
	}
	for i, key := range n.v.keys {
		v := n.v.vals[i]
		switch key {
		case "properties":
			for _, k := range v.keys {
				e.names.with(k, boolValue(true))
			}
		case "patternProperties":
			for _, k := range v.keys {
				e.patterns.with(k, boolValue(true))
			}
		case "additionalProperties":
			e.all = true
		case "unevaluatedProperties":
			e.all = e.all || !first
		case "$ref":
			e.collect(e.c.reference(n, key, v).node)
		case "allOf":
			for _, f := range e.c.list(n, key, v) {
				e.collect(f.node)
			}
		case "anyOf", "oneOf":
			for _, f := range e.c.list(n, key, v) {
				e.branch(f.node)
			}
		case "if", "then", "else":
			e.branch(e.c.subnode(n, key, v))
		case "dependentSchemas", "dependencies":
			for _, w := range v.vals {
				if isSchema(w) {
					e.branch(e.c.subnode(n, key, w))
				}
			}
		}
	}
}

// branch looks at a schema that is applied to some values only.
func (e *evaluated) branch(n *node) {
	inner := &evaluated{c: e.c, names: &value{kind: kindObject}, patterns: &value{kind: kindObject}, seen: map[*node]bool{nil: true}}
	inner.collect(n)
	e.conditional = e.conditional || inner.conditional || inner.all || len(inner.names.keys)+len(inner.patterns.keys) > 0
}
