package jinja

import (
	"strings"
	"unicode/utf8"
)

// methods lists the methods of each type. One that would change the value is
// false: Jinja's sandbox refuses it, and so does this package.
var methods = map[string]map[string]bool{
	"str": {"capitalize": true, "count": true, "endswith": true, "find": true, "format": true, "index": true, "isalnum": true,
		"isalpha": true, "isascii": true, "isdecimal": true, "isdigit": true, "islower": true, "isnumeric": true,
		"isspace": true, "istitle": true, "isupper": true, "join": true, "lower": true, "lstrip": true,
		"partition": true, "removeprefix": true, "removesuffix": true, "replace": true, "rfind": true, "rindex": true,
		"rpartition": true, "rsplit": true, "rstrip": true, "split": true, "splitlines": true,
		"startswith": true, "strip": true, "title": true, "upper": true},
	"dict": {"get": true, "items": true, "keys": true, "values": true, "copy": true,
		"clear": false, "pop": false, "popitem": false, "setdefault": false, "update": false},
	"list": {"index": true, "count": true, "copy": true, "append": false, "clear": false, "pop": false,
		"reverse": false, "insert": false, "sort": false, "extend": false, "remove": false},
	"tuple": {"index": true, "count": true},
}

// attribute finds a real attribute of v: a method, or what special objects have.
func attribute(v Value, name string) (Value, bool) {
	switch v := v.(type) {
	case *loopContext:
		return v.attr(name)
	case *namespace:
		return v.attrs.Get(name)
	case *macro:
		if name == "name" {
			return v.def.name, true
		}
	}
	typ := typeName(v)
	if typ == "Markup" { // its methods are those of str
		typ = "str"
	}
	safe, ok := methods[typ][name]
	if !ok {
		if strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") {
			return &Undefined{"access to attribute '" + name + "' of '" + typ + "' object is unsafe."}, true
		}
		return nil, false
	}
	if !safe {
		return &Undefined{"access to attribute '" + name + "' of '" + typ + "' object is unsafe."}, true
	}
	return boundMethod{v, name}, true
}

func noAttribute(v Value, name string) Value {
	who := "'" + typeName(v) + " object'"
	if v == nil {
		who = "'None'"
	}
	return &Undefined{who + " has no attribute '" + name + "'"}
}

func (e attrExpr) eval(in *interp) Value { return in.getattr(in.eval(e.obj), e.name) }

// getattr is obj.name: the attribute, else the item of that name.
func (in *interp) getattr(obj Value, name string) Value {
	need(obj)
	if d, ok := obj.(*Dict); ok { // the common case
		if _, isMethod := methods["dict"][name]; !isMethod && !strings.HasPrefix(name, "__") {
			if v, ok := d.Get(name); ok {
				return v
			}
			return noAttribute(obj, name)
		}
	}
	if v, ok := attribute(obj, name); ok {
		return v
	}
	return noAttribute(obj, name)
}

func (e sliceExpr) eval(*interp) Value {
	fail("a slice is only allowed between brackets")
	return nil
}

func (e itemExpr) eval(in *interp) Value {
	obj := in.eval(e.obj)
	if s, ok := e.key.(sliceExpr); ok {
		return in.slice(plain(need(obj)), s)
	}
	return in.getitem(obj, in.eval(e.key))
}

// getitem is obj[key]: the item, else the attribute of that name.
func (in *interp) getitem(obj, key Value) Value {
	need(obj)
	key = plain(key)
	switch o := plain(obj).(type) {
	case *Dict:
		if in.hashable(key) {
			if v, ok := in.lookup(o, key); ok {
				return v
			}
		}
	case *List, string, *text, *span:
		switch key.(type) {
		case int64, bool:
			i, _, _, _ := number(key)
			if v, ok := in.at(o, i); ok {
				return v
			}
		}
	}
	if name, ok := look(key); ok {
		if v, ok := attribute(obj, name); ok {
			return v
		}
		return noAttribute(obj, name)
	}
	return &Undefined{typeName(obj) + " object has no element " + in.repr(key)}
}

// at returns the item at a Python index, negative ones from the end.
func (in *interp) at(obj Value, i int64) (Value, bool) {
	switch o := obj.(type) {
	case *List:
		if i < 0 {
			i += int64(len(o.Items))
		}
		if i >= 0 && i < int64(len(o.Items)) {
			return o.Items[i], true
		}
	case *span:
		if i < 0 {
			i += o.len()
		}
		if i >= 0 && i < o.len() {
			return o.start + i*o.step, true
		}
	}
	t, ok := textOf(obj)
	if i < 0 && ok {
		i += in.length(obj)
	}
	if !ok || i < 0 || i >= int64(len(t.s)) {
		return nil, false
	}
	in.scan(int(min(int64(len(t.s)), 4*i)))
	from := runeOffset(t.s, i)
	if from == len(t.s) {
		return nil, false
	}
	_, n := utf8.DecodeRuneInString(t.s[from:])
	return t.cut(from, from+n).value(), true
}

// runeOffset returns the byte offset of character i.
func runeOffset(s string, i int64) int {
	off := 0
	for ; i > 0 && off < len(s); i-- {
		_, n := utf8.DecodeRuneInString(s[off:])
		off += n
	}
	return off
}

// slice is obj[start:stop:step].
func (in *interp) slice(obj Value, e sliceExpr) Value {
	bound := func(x expr) (int64, bool) {
		if x == nil {
			return 0, false
		}
		v := in.eval(x)
		if v == nil {
			return 0, false
		}
		return intOr(v, 0, "slice index"), true
	}
	start, hasStart := bound(e.start)
	stop, hasStop := bound(e.stop)
	step, hasStep := bound(e.step)
	if !hasStep {
		step = 1
	}
	if step == 0 {
		fail("slice step cannot be zero")
	}
	switch obj.(type) {
	case string, *text, *List, *span:
	case *Dict:
		fail("unhashable type: 'slice'")
	default:
		fail("'%s' object is not subscriptable", typeName(obj))
	}
	n := in.length(obj)
	lo, hi := int64(0), n
	if step < 0 {
		lo, hi = -1, n-1
	}
	clamp := func(i int64, given bool, def int64) int64 {
		if !given {
			return def
		}
		if i < 0 {
			i += n
		}
		return min(max(i, lo), hi)
	}
	if step > 0 {
		start, stop = clamp(start, hasStart, 0), clamp(stop, hasStop, n)
	} else {
		start, stop = clamp(start, hasStart, n-1), clamp(stop, hasStop, -1)
	}
	return in.cut(obj, &span{start, stop, step})
}

// cut returns the items of obj at the indexes of r, which are all in range.
func (in *interp) cut(obj Value, r *span) Value {
	switch o := obj.(type) {
	case *List:
		in.chargeMany(16, r.len())
		items := make([]Value, 0, r.len())
		for i, n := r.start, r.len(); n > 0; i, n = i+r.step, n-1 {
			items = append(items, o.Items[i])
		}
		return &List{items, o.Tuple}
	}
	if o, ok := obj.(*span); ok {
		return &span{o.start + r.start*o.step, o.start + r.stop*o.step, o.step * r.step}
	}
	t, _ := textOf(obj)
	if r.step == 1 {
		return in.characters(t, r.start, r.stop).value()
	}
	in.charge(8 * len(t.s))
	runes := []rune(t.s)
	out := make([]rune, 0, r.len())
	for i, n := r.start, r.len(); n > 0; i, n = i+r.step, n-1 {
		out = append(out, runes[i])
	}
	if len(t.marks) > 0 { // which characters are whose is not kept track of
		return Client(string(out))
	}
	return string(out)
}

// characters returns those of t from number start to before stop.
func (in *interp) characters(t text, start, stop int64) text {
	if start >= stop {
		return text{}
	}
	in.scan(len(t.s))
	from := runeOffset(t.s, start)
	return t.cut(from, from+runeOffset(t.s[from:], stop-start))
}
