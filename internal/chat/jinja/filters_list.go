package jinja

import (
	"sort"
	"strconv"
	"strings"
)

// generator wraps what Python would produce lazily.
func generator(items []Value) *iterable {
	return &iterable{kind: "generator", items: items, once: true}
}

// getter returns the function that map, sort and their like use to look up an
// attribute: a dotted path, an index, or nothing at all.
func (in *interp) getter(attribute Value, def Value) func(Value) Value {
	var path []Value
	_, none := attribute.(absent)
	if attr, ok := look(attribute); ok {
		for _, part := range strings.Split(attr, ".") {
			if n, err := strconv.ParseInt(part, 10, 64); err == nil && n >= 0 {
				path = append(path, n)
			} else {
				path = append(path, part)
			}
		}
	} else if !none && attribute != nil {
		path = []Value{attribute}
	}
	_, noDefault := def.(absent)
	return func(v Value) Value {
		in.spend(1 + int64(len(path)))
		for _, key := range path {
			v = in.getitem(v, key)
			if _, undefined := v.(*Undefined); undefined && !noDefault && def != nil {
				v = def
			}
		}
		return v
	}
}

// ignoreCase returns what strings are compared by; it is not for output.
func (in *interp) ignoreCase(v Value, sensitive bool) Value {
	if s, ok := look(v); ok && !sensitive {
		in.charge(3 * len(s))
		return lower(s)
	}
	return v
}

// sortBy sorts a copy of items stably by their keys.
func (in *interp) sortBy(items []Value, reverse bool, key func(Value) Value) []Value {
	type pair struct{ key, v Value }
	in.charge(48 * len(items))
	pairs := make([]pair, len(items))
	for i, v := range items {
		pairs[i] = pair{key(v), v}
	}
	sort.SliceStable(pairs, func(i, j int) bool {
		if reverse {
			return in.less(pairs[j].key, pairs[i].key)
		}
		return in.less(pairs[i].key, pairs[j].key)
	})
	sorted := make([]Value, len(items))
	for i := range pairs {
		sorted[i] = pairs[i].v
	}
	return sorted
}

func filterSort(in *interp, v Value, a *args) Value {
	p := a.bind("sort", 0, "reverse", "case_sensitive", "attribute")
	var getters []func(Value) Value
	if attr, ok := look(p[2]); ok {
		for _, one := range strings.Split(attr, ",") {
			getters = append(getters, in.getter(one, absent{}))
		}
	} else {
		getters = []func(Value) Value{in.getter(p[2], absent{})}
	}
	sensitive := boolOr(p[1], false)
	sorted := in.sortBy(in.iterate(v), boolOr(p[0], false), func(v Value) Value {
		keys := make([]Value, len(getters))
		for i, get := range getters {
			keys[i] = in.ignoreCase(get(v), sensitive)
		}
		return &List{Items: keys}
	})
	return &List{Items: sorted}
}

func filterDictsort(in *interp, v Value, a *args) Value {
	p := a.bind("dictsort", 0, "case_sensitive", "by", "reverse")
	d, ok := need(v).(*Dict)
	if !ok {
		fail("dictsort needs a mapping, not %s", typeName(v))
	}
	pos := map[string]int{"key": 0, "value": 1}
	by, ok := pos[in.strOr(p[1], "key", "by")]
	if !ok {
		fail(`you can only sort by either "key" or "value"`)
	}
	sensitive := boolOr(p[0], false)
	return &List{Items: in.sortBy(in.pairs(d), boolOr(p[2], false), func(v Value) Value {
		return in.ignoreCase(v.(*List).Items[by], sensitive)
	})}
}

func filterUnique(in *interp, v Value, a *args) Value {
	p := a.bind("unique", 0, "case_sensitive", "attribute")
	get, sensitive := in.getter(p[1], absent{}), boolOr(p[0], false)
	seen := &Dict{}
	var out []Value
	for _, item := range in.iterate(v) {
		key := in.ignoreCase(get(item), sensitive)
		if in.position(seen, key) < 0 {
			in.assign(seen, key, nil)
			out = append(out, item)
		}
	}
	return generator(out)
}

func extreme(in *interp, v Value, a *args, name string, better func(x, y Value) bool) Value {
	p := a.bind(name, 0, "case_sensitive", "attribute")
	get, sensitive := in.getter(p[1], absent{}), boolOr(p[0], false)
	var best, bestKey Value
	items := in.iterate(v)
	if len(items) == 0 {
		return &Undefined{"No aggregated item, sequence was empty."}
	}
	for i, item := range items {
		if key := in.ignoreCase(get(item), sensitive); i == 0 || better(key, bestKey) {
			best, bestKey = item, key
		}
	}
	return best
}

func filterMin(in *interp, v Value, a *args) Value {
	return extreme(in, v, a, "min", in.less)
}

func filterMax(in *interp, v Value, a *args) Value {
	return extreme(in, v, a, "max", func(x, y Value) bool { return in.less(y, x) })
}

func filterSum(in *interp, v Value, a *args) Value {
	p := a.bind("sum", 0, "attribute", "start")
	get := in.getter(p[0], absent{})
	total := p[1]
	if _, ok := total.(absent); ok {
		total = int64(0)
	}
	for _, item := range in.iterate(v) {
		total = in.binary("+", total, get(item))
	}
	return total
}

func filterJoin(in *interp, v Value, a *args) Value {
	p := a.bind("join", 0, "d", "attribute")
	get := in.getter(p[1], absent{})
	items := in.iterate(v)
	in.charge(32 * len(items))
	texts := make([]text, len(items))
	for i, item := range items {
		texts[i] = in.str(get(item))
	}
	var sep text
	if _, ok := p[0].(absent); !ok {
		sep = in.str(p[0])
	}
	return in.concat(texts, sep).value()
}

func filterFirst(in *interp, v Value, a *args) Value {
	a.bind("first", 0)
	if it, ok := v.(*iterable); ok && it.once && len(it.items) > 0 {
		first := it.items[0]
		it.items = it.items[1:]
		return first
	}
	if s, ok := look(v); ok && s != "" {
		c, _ := in.at(v, 0)
		return c
	}
	if items := in.iterate(v); len(items) > 0 {
		return items[0]
	}
	return &Undefined{"No first item, sequence was empty."}
}

func filterLast(in *interp, v Value, a *args) Value {
	a.bind("last", 0)
	if it, ok := v.(*iterable); ok && it.once {
		fail("'generator' object is not reversible")
	}
	if s, ok := look(v); ok && s != "" {
		c, _ := in.at(v, -1)
		return c
	}
	if items := in.iterate(v); len(items) > 0 {
		return items[len(items)-1]
	}
	return &Undefined{"No last item, sequence was empty."}
}

func filterList(in *interp, v Value, a *args) Value {
	a.bind("list", 0)
	return &List{Items: in.iterate(v)}
}

func filterItems(in *interp, v Value, a *args) Value {
	a.bind("items", 0)
	switch d := v.(type) {
	case *Undefined:
		return generator(nil)
	case *Dict:
		return generator(in.pairs(d))
	}
	fail("can only get item pairs from a mapping")
	return nil
}

func filterReverse(in *interp, v Value, a *args) Value {
	a.bind("reverse", 0)
	if _, ok := look(v); ok {
		return in.cut(v, &span{in.length(v) - 1, -1, -1})
	}
	items := in.iterate(v)
	in.charge(16 * len(items))
	out := make([]Value, len(items))
	for i, x := range items {
		out[len(items)-1-i] = x
	}
	if it, ok := v.(*iterable); ok && it.once {
		return &List{Items: out} // Python cannot run a generator backwards, and Jinja makes a list of it
	}
	return generator(out)
}

func filterMap(in *interp, v Value, a *args) Value {
	if !truth(v) {
		return generator(nil)
	}
	var apply func(Value) Value
	if len(a.pos) == 0 {
		p := a.bind("map", 0, "attribute", "default")
		if _, ok := p[0].(absent); ok {
			fail("map requires a filter argument")
		}
		apply = in.getter(p[0], p[1])
	} else {
		name := in.strOr(a.pos[0], "", "filter name")
		rest := &args{pos: a.pos[1:], names: a.names, named: a.named, client: a.client}
		apply = func(v Value) Value { return in.filter(name, v, rest) }
	}
	items := in.iterate(v)
	in.charge(16 * len(items))
	out := make([]Value, len(items))
	for i, x := range items {
		in.enter()
		out[i] = apply(x)
		in.leave()
	}
	return generator(out)
}

// selection is select, reject, selectattr and rejectattr.
func (in *interp) selection(v Value, a *args, byAttr, keep bool) Value {
	if !truth(v) {
		return generator(nil)
	}
	pos := a.pos
	get := func(v Value) Value { return v }
	if byAttr {
		if len(pos) == 0 {
			fail("missing parameter for attribute name")
		}
		get = in.getter(pos[0], absent{})
		pos = pos[1:]
	}
	pass := truth
	if len(pos) > 0 {
		name := in.strOr(pos[0], "", "test name")
		rest := &args{pos: pos[1:], names: a.names, named: a.named, client: a.client}
		pass = func(v Value) bool { return in.test(name, v, rest) }
	}
	var out []Value
	for _, x := range in.iterate(v) {
		in.enter()
		if pass(get(x)) == keep {
			in.charge(16)
			out = append(out, x)
		}
		in.leave()
	}
	return generator(out)
}

func filterSelect(in *interp, v Value, a *args) Value { return in.selection(v, a, false, true) }
func filterReject(in *interp, v Value, a *args) Value { return in.selection(v, a, false, false) }

func filterSelectAttr(in *interp, v Value, a *args) Value { return in.selection(v, a, true, true) }
func filterRejectAttr(in *interp, v Value, a *args) Value { return in.selection(v, a, true, false) }
