package jinja

func (e testExpr) eval(in *interp) Value {
	v := in.eval(e.in)
	return in.test(e.name, v, in.args(e.args))
}

// test is "v is name(args)".
func (in *interp) test(name string, v Value, a *args) bool {
	in.visit(v)
	in.visitArgs(a)
	if r, ok := typeTest(name, v); ok {
		a.bind(name, 0)
		return r
	}
	switch name {
	case "odd", "even":
		a.bind(name, 0)
		rest := map[string]int64{"odd": 1}[name]
		return in.equal(in.binary("%", v, int64(2)), rest)
	case "divisibleby":
		return in.equal(in.binary("%", v, a.bind(name, 1, "num")[0]), int64(0))
	case "lower", "upper":
		a.bind(name, 0)
		return classify(in.str(v).s, "is"+name).(bool)
	case "filter":
		_, ok := filters[in.str(v).s]
		return ok
	case "test":
		return testNames[in.str(v).s]
	case "sameas":
		return identical(v, a.bind(name, 1, "other")[0])
	case "in":
		return in.contains(a.bind(name, 1, "seq")[0], v)
	}
	op, ok := map[string]string{
		"==": "==", "eq": "==", "equalto": "==", "!=": "!=", "ne": "!=", ">": ">", "gt": ">", "greaterthan": ">",
		">=": ">=", "ge": ">=", "<": "<", "lt": "<", "lessthan": "<", "<=": "<=", "le": "<=",
	}[name]
	if !ok {
		fail("no test named '%s'", name)
	}
	return in.compare(op, v, a.bind(name, 1, "other")[0])
}

// typeTest answers the tests that only look at the value's type.
func typeTest(name string, v Value) (result, known bool) {
	_, undefined := v.(*Undefined)
	b, isBool := v.(bool)
	_, isFloat := v.(float64)
	isInt := typeName(v) == "int"
	switch name {
	case "defined":
		return !undefined, true
	case "undefined":
		return undefined, true
	case "none":
		return v == nil, true
	case "boolean":
		return isBool, true
	case "true":
		return isBool && b, true
	case "false":
		return isBool && !b, true
	case "integer":
		return isInt, true
	case "float":
		return isFloat, true
	case "number":
		return isInt || isFloat || isBool, true
	case "string":
		_, ok := look(v)
		return ok, true
	case "mapping":
		_, ok := v.(*Dict)
		return ok, true
	case "callable":
		switch v.(type) {
		case boundMethod, *builtin, *macro, *loopContext, *Undefined:
			return true, true
		}
		return false, true
	case "escaped":
		t, ok := textOf(v)
		return ok && t.html, true
	case "sequence":
		switch v.(type) {
		case string, *text, *List, *Dict, *span, *Undefined:
			return true, true
		}
		return false, true
	case "iterable":
		switch v.(type) {
		case string, *text, *List, *Dict, *span, *Undefined, *iterable, *loopContext:
			return true, true
		}
		return false, true
	}
	return false, false
}

// identical is "a is b" of Python for the values where it is well defined.
func identical(a, b Value) bool {
	if as, ok := look(a); ok {
		bs, ok := look(b)
		return ok && as == bs
	}
	switch a.(type) {
	case int64, float64, BigInt:
		return typeName(a) == typeName(b) && a == b
	case boundMethod:
		return false
	}
	return a == b
}

var testNames = map[string]bool{
	"odd": true, "even": true, "divisibleby": true, "defined": true, "undefined": true, "filter": true, "test": true,
	"none": true, "boolean": true, "false": true, "true": true, "integer": true, "float": true, "lower": true,
	"upper": true, "string": true, "mapping": true, "number": true, "sequence": true, "iterable": true,
	"callable": true, "sameas": true, "escaped": true, "in": true, "==": true, "eq": true, "equalto": true,
	"!=": true, "ne": true, ">": true, "gt": true, "greaterthan": true, ">=": true, "ge": true, "<": true,
	"lt": true, "lessthan": true, "<=": true, "le": true,
}
