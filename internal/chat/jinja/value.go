package jinja

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Value is a Python value. Its dynamic type is one of: nil (None), bool,
// int64, float64, string, *text, BigInt, *List (list or tuple), *Dict, *Undefined,
// *iterable (generators and dict views), *span (range), *namespace, *macro,
// *loopContext, *builtin and boundMethod.
type Value any

// BigInt is an integer beyond int64, kept as its decimal text. It prints and
// serialises as itself; arithmetic on it is an error.
type BigInt string

// List is a Python list, or a tuple. Templates cannot change it.
type List struct {
	Items []Value
	Tuple bool
}

// NewList returns a list of the given items.
func NewList(items ...Value) *List { return &List{Items: items} }

func tuple(items ...Value) *List { return &List{Items: items, Tuple: true} }

// Undefined is what a missing variable, attribute or element yields: it prints
// as nothing and is false, but most uses of it are errors.
type Undefined struct {
	message string
}

// iterable is a generator or a dict view. A generator is consumed by the first
// iteration over it; a view is not.
type iterable struct {
	kind  string // "generator", "dict_keys", "dict_values", "dict_items"
	items []Value
	once  bool
}

// take returns the items that an iteration sees.
func (it *iterable) take() []Value {
	items := it.items
	if it.once {
		it.items = nil
	}
	return items
}

// span is a range object.
type span struct{ start, stop, step int64 }

func (s *span) len() int64 {
	switch {
	case s.step > 0 && s.start < s.stop:
		return (s.stop-s.start-1)/s.step + 1
	case s.step < 0 && s.start > s.stop:
		return (s.start-s.stop-1)/-s.step + 1
	}
	return 0
}

type namespace struct{ attrs *Dict }

// builtin is a global function.
type builtin struct {
	call func(in *interp, a *args) Value
}

// boundMethod is a method taken from a value and not called yet.
type boundMethod struct {
	self Value
	name string
}

// failure is what evaluation panics with; Render turns it into an error.
type failure struct{ err error }

func fail(format string, a ...any) {
	panic(failure{fmt.Errorf(format, a...)})
}

// truth is bool(v).
func truth(v Value) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *text:
		return v.s != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return v.Len() > 0
	case *Undefined:
		return false
	case *iterable:
		return v.once || len(v.items) > 0
	case *span:
		return v.len() > 0
	}
	return true
}

// typeName is type(v).__name__.
func typeName(v Value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, BigInt:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *text:
		if v.html {
			return "Markup"
		}
		return "str"
	case *List:
		if v.Tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case *Undefined:
		return "Undefined"
	case *iterable:
		return v.kind
	case *span:
		return "range"
	case *namespace:
		return "Namespace"
	case *macro:
		return "Macro"
	case *loopContext:
		return "LoopContext"
	}
	return "function"
}

// need fails when v is undefined, with the message that it carries.
func need(v Value) Value {
	if u, ok := v.(*Undefined); ok {
		fail("%s", u.message)
	}
	return v
}

// number returns v as an int (whole) or a float; ok tells whether it is one.
func number(v Value) (i int64, f float64, whole, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, true, true
		}
		return 0, 0, true, true
	case int64:
		return v, float64(v), true, true
	case float64:
		return 0, v, false, true
	}
	return 0, 0, false, false
}

// equal is a == b.
func (in *interp) equal(a, b Value) bool {
	in.enter()
	defer in.leave()
	if as, ok := look(a); ok {
		bs, ok := look(b)
		return ok && len(as) == len(bs) && in.order(as, bs) == 0
	}
	if ai, af, aw, ok := number(a); ok {
		bi, bf, bw, ok := number(b)
		if aw && bw {
			return ok && ai == bi
		}
		return ok && af == bf
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case BigInt:
		s, ok := b.(BigInt)
		return ok && s == a
	case *Undefined:
		_, ok := b.(*Undefined)
		return ok
	case *List:
		l, ok := b.(*List)
		return ok && a.Tuple == l.Tuple && in.equalItems(a.Items, l.Items)
	case *Dict:
		d, ok := b.(*Dict)
		return ok && in.equalDicts(a, d)
	case *span:
		s, ok := b.(*span)
		return ok && *a == *s
	case boundMethod:
		m, ok := b.(boundMethod)
		return ok && a.name == m.name && in.equal(a.self, m.self)
	}
	return a == b
}

func (in *interp) equalItems(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !in.equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (in *interp) equalDicts(a, b *Dict) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i, k := range a.keys {
		v, ok := in.lookup(b, k)
		if !ok || !in.equal(a.vals[i], v) {
			return false
		}
	}
	return true
}

// less is a < b; it fails for types that Python does not order.
func (in *interp) less(a, b Value) bool {
	in.enter()
	defer in.leave()
	need(a)
	need(b)
	if as, ok := look(a); ok {
		if bs, ok := look(b); ok {
			return in.order(as, bs) < 0
		}
	}
	if ai, af, aw, ok := number(a); ok {
		if bi, bf, bw, ok := number(b); ok {
			if aw && bw {
				return ai < bi
			}
			return af < bf
		}
	}
	switch a := a.(type) {
	case *List:
		if l, ok := b.(*List); ok && l.Tuple == a.Tuple {
			for i := 0; i < len(a.Items) && i < len(l.Items); i++ {
				if !in.equal(a.Items[i], l.Items[i]) {
					return in.less(a.Items[i], l.Items[i])
				}
			}
			return len(a.Items) < len(l.Items)
		}
	}
	fail("'<' not supported between instances of '%s' and '%s'", typeName(a), typeName(b))
	return false
}

// order compares two strings as Python does, by code points, which is the order
// of their bytes in UTF-8.
func (in *interp) order(a, b string) int {
	in.scan(min(len(a), len(b)))
	return strings.Compare(a, b)
}

// contains is item in v.
func (in *interp) contains(v, item Value) bool {
	if whole, ok := look(v); ok {
		part, ok := look(item)
		if !ok {
			need(item)
			fail("'in <string>' requires string as left operand, not %s", typeName(item))
		}
		in.scan(len(whole) + len(part))
		return strings.Contains(whole, part)
	}
	if d, ok := v.(*Dict); ok {
		_, ok := in.lookup(d, item)
		return ok
	}
	for _, x := range in.iterate(v) {
		if in.equal(x, item) {
			return true
		}
	}
	return false
}

// iterate returns the items that a loop over v visits.
func (in *interp) iterate(v Value) []Value {
	switch v := v.(type) {
	case *List:
		return v.Items
	case *Dict:
		return v.keys
	case *iterable:
		return v.take()
	case *Undefined:
		return nil
	case string, *text:
		t, _ := textOf(v)
		in.charge(64 * len(t.s))
		items := make([]Value, 0, utf8.RuneCountInString(t.s))
		for i := 0; i < len(t.s); {
			_, n := utf8.DecodeRuneInString(t.s[i:])
			items = append(items, t.cut(i, i+n).value())
			i += n
		}
		return items
	case *span:
		in.charge(24 * int(v.len()))
		items := make([]Value, 0, v.len())
		for i, n := v.start, v.len(); n > 0; i, n = i+v.step, n-1 {
			items = append(items, i)
		}
		return items
	case *loopContext:
		return v.rest()
	}
	fail("'%s' object is not iterable", typeName(v))
	return nil
}

// length is len(v).
func (in *interp) length(v Value) int64 {
	switch v := v.(type) {
	case string, *text:
		s, _ := look(v)
		in.scan(len(s))
		return int64(utf8.RuneCountInString(s))
	case *List:
		return int64(len(v.Items))
	case *Dict:
		return int64(v.Len())
	case *Undefined:
		return 0
	case *span:
		return v.len()
	case *loopContext:
		return v.length()
	case *iterable:
		if !v.once {
			return int64(len(v.items))
		}
	}
	fail("object of type '%s' has no len()", typeName(v))
	return 0
}
