package jinja

import (
	"strings"
	"unicode/utf8"
)

// methods lists what a value of a type can be asked for; a method that would
// change the value is marked false and refused, as the sandbox does.
var methods = map[string]map[string]bool{
	"str": {"capitalize": true, "casefold": true, "center": true, "count": true, "endswith": true,
		"expandtabs": true, "find": true, "format": true, "format_map": true, "index": true, "isalnum": true,
		"isalpha": true, "isascii": true, "isdecimal": true, "isdigit": true, "islower": true, "isnumeric": true,
		"isspace": true, "istitle": true, "isupper": true, "join": true, "ljust": true, "lower": true, "lstrip": true,
		"partition": true, "removeprefix": true, "removesuffix": true, "replace": true, "rfind": true, "rindex": true,
		"rjust": true, "rpartition": true, "rsplit": true, "rstrip": true, "split": true, "splitlines": true,
		"startswith": true, "strip": true, "swapcase": true, "title": true, "upper": true, "zfill": true},
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
	case *cycler:
		return v.attr(name)
	}
	typ := typeName(v)
	if typ == "Markup" {
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
		if hashable(key) {
			if v, ok := in.lookup(o, key); ok {
				return v
			}
		}
	case *List, string, *span:
		switch key.(type) {
		case int64, bool:
			i, _, _, _ := number(key)
			if v, ok := in.at(o, i); ok {
				return v
			}
		}
	}
	if name, ok := key.(string); ok {
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
	case string:
		if i < 0 {
			i += in.length(o)
		}
		if i < 0 || i >= int64(len(o)) {
			return nil, false
		}
		from := runeOffset(o, i)
		in.scan(from)
		if from < len(o) {
			_, n := utf8.DecodeRuneInString(o[from:])
			return o[from : from+n], true
		}
	}
	return nil, false
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
	case string, *List, *span:
	default:
		return &Undefined{typeName(obj) + " object has no such element"}
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
	case string:
		if r.step == 1 {
			if r.start >= r.stop {
				return ""
			}
			from := runeOffset(o, r.start)
			return o[from : from+runeOffset(o[from:], r.stop-r.start)]
		}
		in.charge(4 * len(o))
		runes := []rune(o)
		out := make([]rune, 0, r.len())
		for i, n := r.start, r.len(); n > 0; i, n = i+r.step, n-1 {
			out = append(out, runes[i])
		}
		return string(out)
	case *List:
		in.chargeMany(16, r.len())
		items := make([]Value, 0, r.len())
		for i, n := r.start, r.len(); n > 0; i, n = i+r.step, n-1 {
			items = append(items, o.Items[i])
		}
		return &List{items, o.Tuple}
	}
	o := obj.(*span)
	return &span{o.start + r.start*o.step, o.start + r.stop*o.step, o.step * r.step}
}
