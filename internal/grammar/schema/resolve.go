package schema

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Error says which keyword of a schema cannot be honoured exactly, where, and why.
type Error struct {
	Keyword string
	Path    string // JSON pointer to the schema that has the keyword
	Reason  string
}

func (e *Error) Error() string {
	path := e.Path
	if path == "" {
		path = "/"
	}
	if len(path) > 120 {
		path = path[:60] + "..." + path[len(path)-57:]
	}
	if e.Keyword == "" {
		return fmt.Sprintf("schema: at %s: %s", path, e.Reason)
	}
	return fmt.Sprintf("schema: keyword %q at %s: %s", e.Keyword, path, e.Reason)
}

// node is one schema of the document: its text, where it stands, and the identifier against which its references resolve.
type node struct {
	id   int
	path string
	v    *value
	base *url.URL
	rules
}

// rules are those of a draft.
type rules struct {
	draft  int  // 4, 6, 7 or 2020
	stated bool // by the schema
}

var newest = rules{draft: 2020}

// old is before 2019-09, where $ref hides the keywords beside it.
func (r rules) old() bool { return r.draft <= 7 }

// oldest is before draft 6, where 1.0 is no integer.
func (r rules) oldest() bool { return r.draft <= 4 }

// nameKey reports whether key, $id or id, is what a draft calls the name of a schema, against which the references inside it resolve: id in draft 4,
// $id in later ones. Where a schema does not say of which draft it is, both are. The other key is a note.
func (r rules) nameKey(key string) bool { return !r.stated || r.oldest() == (key == "id") }

// since has the draft that brought a keyword. A validator of an older draft passes it over, and so do we.
var since = map[string]int{"const": 6, "contains": 6, "propertyNames": 6, "if": 7, "prefixItems": 2020, "dependentRequired": 2020, "dependentSchemas": 2020,
	"unevaluatedProperties": 2020, "unevaluatedItems": 2020, "$dynamicRef": 2020, "$recursiveRef": 2020}

// document has the schemas of a text, by their place and by their identifiers.
type document struct {
	root  *node
	nodes map[*value]*node
	byURI map[string]*node // $id, $anchor and their absolute forms
	count int
}

// mapsOfSchemas, listsOfSchemas and schemas name the keywords that hold schemas, by how they hold them.
var (
	mapsOfSchemas  = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
	listsOfSchemas = []string{"anyOf", "oneOf", "allOf", "prefixItems", "items"}
	schemas        = []string{"items", "additionalItems", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames",
		"contains", "not", "if", "then", "else"}
)

func newDocument(root *value) *document {
	d := &document{nodes: map[*value]*node{}, byURI: map[string]*node{}}
	base, _ := url.Parse("")
	d.root = d.visit(root, "", base, draft(root, newest))
	return d
}

// draft tells from $schema which rules hold.
func draft(v *value, inherited rules) rules {
	s := v.get("$schema")
	if s == nil || s.kind != kindString {
		return inherited
	}
	for name, number := range map[string]int{"draft-03": 4, "draft-04": 4, "draft-06": 6, "draft-07": 7} {
		if strings.Contains(s.text, name) {
			return rules{number, true}
		}
	}
	return rules{newest.draft, true}
}

// visit registers v, which stands where a schema may stand, and the schemas inside it.
func (d *document) visit(v *value, path string, base *url.URL, r rules) *node {
	if n, ok := d.nodes[v]; ok {
		return n
	}
	d.count++
	n := &node{id: d.count, path: path, v: v, base: base, rules: r}
	d.nodes[v] = n
	if v.kind != kindObject {
		return n
	}
	d.identify(n)
	for i, key := range v.keys {
		member, at := v.vals[i], path+"/"+escapePointer(key)
		switch {
		case member.kind == kindObject && contains(mapsOfSchemas, key):
			for j, name := range member.keys {
				if isSchema(member.vals[j]) {
					d.visit(member.vals[j], at+"/"+escapePointer(name), n.base, n.rules)
				}
			}
		case member.kind == kindArray && contains(listsOfSchemas, key):
			for j, item := range member.items {
				d.visit(item, at+"/"+strconv.Itoa(j), n.base, n.rules)
			}
		case contains(schemas, key) && isSchema(member):
			d.visit(member, at, n.base, n.rules)
		}
	}
	return n
}

// identify registers the names that a schema gives itself. One that is a note can be referred to, too, but only at the root do references start
// from it.
func (d *document) identify(n *node) {
	for _, key := range []string{"$id", "id"} {
		id := n.v.get(key)
		if id == nil || id.kind != kindString || n.old() && n.v.get("$ref") != nil {
			continue
		}
		u, err := url.Parse(id.text)
		if err != nil {
			continue
		}
		abs := n.base.ResolveReference(u)
		d.name(abs.String(), n)
		own := n.nameKey(key)
		if !strings.HasPrefix(id.text, "#") && (own || n.path == "") {
			n.base = abs
			d.name(strings.TrimSuffix(abs.String(), "#"), n)
		}
		if own {
			break
		}
	}
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		if a := n.v.get(key); a != nil && a.kind == kindString {
			d.name(strings.TrimSuffix(withoutFragment(n.base), "#")+"#"+a.text, n)
		}
	}
}

func (d *document) name(uri string, n *node) {
	if _, taken := d.byURI[uri]; !taken && uri != "" && uri != "#" {
		d.byURI[uri] = n
	}
}

func withoutFragment(u *url.URL) string {
	c := *u
	c.Fragment, c.RawFragment = "", ""
	return c.String()
}

// resolve finds the schema that a reference of n names.
func (d *document) resolve(n *node, ref string) (*node, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return nil, fmt.Errorf("%.100q is not a reference", ref)
	}
	abs := n.base.ResolveReference(u)
	if m := d.byURI[abs.String()]; m != nil {
		return m, nil
	}
	start := d.root
	if doc := withoutFragment(abs); doc != "" && doc != withoutFragment(d.root.base) {
		if start = d.byURI[doc]; start == nil {
			return nil, fmt.Errorf("%.100q is outside the schema; put what it names into $defs", ref)
		}
	}
	if abs.Fragment == "" {
		return start, nil
	}
	if !strings.HasPrefix(abs.Fragment, "/") {
		return nil, fmt.Errorf("no schema here is named %.100q", ref)
	}
	return d.follow(start, abs.Fragment, ref)
}

// follow walks a JSON pointer from a schema.
func (d *document) follow(start *node, pointer, ref string) (*node, error) {
	v, base, r := start.v, start.base, start.rules
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		if n := d.nodes[v]; n != nil {
			base, r = n.base, n.rules
		}
		switch v.kind {
		case kindObject:
			v = v.get(part)
		case kindArray:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v.items) {
				v = nil
			} else {
				v = v.items[i]
			}
		default:
			v = nil
		}
		if v == nil {
			return nil, fmt.Errorf("%.100q names nothing in the schema", ref)
		}
	}
	if !isSchema(v) {
		return nil, fmt.Errorf("%.100q does not name a schema", ref)
	}
	return d.visit(v, start.path+pointer, base, r), nil
}

// made registers a schema that stands nowhere in the text: it stands for a part of the keyword at the given path.
func (d *document) made(v *value, from *node) *node { return d.visit(v, from.path, from.base, newest) }

func isSchema(v *value) bool { return v.kind == kindObject || v.kind == kindBool }

func escapePointer(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
