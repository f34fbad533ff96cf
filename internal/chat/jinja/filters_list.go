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
	switch attr := attribute.(type) {
	case absent, nil:
	case string:
		for _, part := range strings.Split(attr, ".") {
			if n, err := strconv.ParseInt(part, 10, 64); err == nil && n >= 0 {
				path = append(path, n)
			} else {
				path = append(path, part)
			}
		}
	default:
		path = []Value{attr}
	}
	_, noDefault := def.(absent)
	return func(v Value) Value {
		for _, key := range path {
			v = in.getitem(v, key)
			if _, undefined := v.(*Undefined); undefined && !noDefault && def != nil {
				v = def
			}
		}
		return v
	}
}

func ignoreCase(v Value, sensitive bool) Value {
	if s, ok := v.(string); ok && !sensitive {
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
	if attr, ok := p[2].(string); ok {
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
			keys[i] = ignoreCase(get(v), sensitive)
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
	by, ok := pos[strOr(p[1], "key", "by")]
	if !ok {
		fail(`you can only sort by either "key" or "value"`)
	}
	sensitive := boolOr(p[0], false)
	return &List{Items: in.sortBy(in.pairs(d), boolOr(p[2], false), func(v Value) Value {
		return ignoreCase(v.(*List).Items[by], sensitive)
	})}
}

func filterGroupBy(in *interp, v Value, a *args) Value {
	p := a.bind("groupby", 1, "attribute", "default", "case_sensitive")
	get, sensitive := in.getter(p[0], p[1]), boolOr(p[2], false)
	key := func(v Value) Value { return ignoreCase(get(v), sensitive) }
	var groups []Value
	var group *List
	var last Value
	for _, item := range in.sortBy(in.iterate(v), false, key) {
		if k := key(item); group == nil || !in.equal(k, last) {
			group, last = NewList(), k
			groups = append(groups, tuple(get(item), group))
		}
		group.Items = append(group.Items, item)
	}
	return &List{Items: groups}
}

func filterUnique(in *interp, v Value, a *args) Value {
	p := a.bind("unique", 0, "case_sensitive", "attribute")
	get, sensitive := in.getter(p[1], absent{}), boolOr(p[0], false)
	seen := &Dict{}
	var out []Value
	for _, item := range in.iterate(v) {
		key := ignoreCase(get(item), sensitive)
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
		if key := ignoreCase(get(item), sensitive); i == 0 || better(key, bestKey) {
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
	texts := make([]Value, len(items))
	for i, item := range items {
		texts[i] = in.str(get(item))
	}
	sep := ""
	if _, ok := p[0].(absent); !ok {
		sep = in.str(p[0])
	}
	return in.join(sep, texts)
}

func filterFirst(in *interp, v Value, a *args) Value {
	a.bind("first", 0)
	if it, ok := v.(*iterable); ok && it.once && len(it.items) > 0 {
		first := it.items[0]
		it.items = it.items[1:]
		return first
	}
	if s, ok := v.(string); ok && s != "" {
		c, _ := in.at(s, 0)
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
	if s, ok := v.(string); ok && s != "" {
		c, _ := in.at(s, -1)
		return c
	}
	if items := in.iterate(need(v)); len(items) > 0 {
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
	if s, ok := v.(string); ok {
		return in.cut(s, &span{in.length(s) - 1, -1, -1})
	}
	items := in.iterate(v)
	in.charge(16 * len(items))
	out := make([]Value, len(items))
	for i, x := range items {
		out[len(items)-1-i] = x
	}
	return generator(out)
}

func filterBatch(in *interp, v Value, a *args) Value {
	p := a.bind("batch", 1, "linecount", "fill_with")
	size := intOr(p[0], 0, "linecount")
	if size < 1 {
		fail("linecount must be positive")
	}
	var rows []Value
	items := in.iterate(v)
	for len(items) > 0 {
		n := min(int64(len(items)), size)
		row := append([]Value(nil), items[:n]...)
		items = items[n:]
		if _, ok := p[1].(absent); !ok && p[1] != nil {
			in.chargeMany(16, size-n)
			for int64(len(row)) < size {
				row = append(row, p[1])
			}
		}
		in.charge(16 * len(row))
		rows = append(rows, &List{Items: row})
	}
	return generator(rows)
}

func filterSlice(in *interp, v Value, a *args) Value {
	p := a.bind("slice", 1, "slices", "fill_with")
	n := intOr(p[0], 0, "slices")
	if n == 0 {
		fail("integer division or modulo by zero")
	}
	items := in.iterate(v)
	in.chargeMany(40, n)
	var rows []Value
	per, extra := int64(len(items))/max(n, 1), int64(len(items))%max(n, 1)
	for i, at := int64(0), int64(0); i < n; i++ {
		size := per
		if i < extra {
			size++
		}
		row := append([]Value(nil), items[at:at+size]...)
		at += size
		if _, ok := p[1].(absent); !ok && p[1] != nil && i >= extra {
			row = append(row, p[1])
		}
		rows = append(rows, &List{Items: row})
	}
	return generator(rows)
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
		name := strOr(a.pos[0], "", "filter name")
		rest := &args{a.pos[1:], a.names, a.named}
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
		name := strOr(pos[0], "", "test name")
		rest := &args{pos[1:], a.names, a.named}
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
