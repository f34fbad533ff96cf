package jinja

import (
	"math"
	"math/bits"
	"strings"
)

func (e constant) eval(*interp) Value { return e.v }

func (e nameExpr) eval(in *interp) Value {
	if v, ok := in.sc.get(e.name); ok {
		return v
	}
	if b, ok := builtins[e.name]; ok {
		return b
	}
	return &Undefined{"'" + e.name + "' is undefined"}
}

func (in *interp) evalAll(exprs []expr) []Value {
	in.charge(16 * len(exprs))
	vals := make([]Value, len(exprs))
	for i, e := range exprs {
		vals[i] = in.eval(e)
	}
	return vals
}

func (e listExpr) eval(in *interp) Value  { return &List{Items: in.evalAll(e.items)} }
func (e tupleExpr) eval(in *interp) Value { return tuple(in.evalAll(e.items)...) }

func (e dictExpr) eval(in *interp) Value {
	d := &Dict{}
	for i := range e.keys {
		k := in.eval(e.keys[i])
		in.assign(d, k, in.eval(e.vals[i]))
	}
	return d
}

func (e condExpr) eval(in *interp) Value {
	if truth(in.eval(e.test)) {
		return in.eval(e.then)
	}
	if e.els == nil {
		return &Undefined{"the inline if-expression evaluated to false and no else section was defined."}
	}
	return in.eval(e.els)
}

func (e orExpr) eval(in *interp) Value {
	if v := in.eval(e.a); truth(v) {
		return v
	}
	return in.eval(e.b)
}

func (e andExpr) eval(in *interp) Value {
	if v := in.eval(e.a); !truth(v) {
		return v
	}
	return in.eval(e.b)
}

func (e notExpr) eval(in *interp) Value { return !truth(in.eval(e.a)) }

func (e negExpr) eval(in *interp) Value {
	i, f, whole, ok := number(need(in.eval(e.a)))
	if !ok || whole && i == math.MinInt64 {
		fail("bad operand for unary -")
	}
	if whole {
		return -i
	}
	return -f
}

func (e posExpr) eval(in *interp) Value {
	i, f, whole, ok := number(need(in.eval(e.a)))
	if !ok {
		fail("bad operand type for unary +")
	}
	if whole {
		return i
	}
	return f
}

func (e concatExpr) eval(in *interp) Value {
	texts := make([]text, len(e.parts))
	for i, p := range e.parts {
		texts[i] = in.str(in.eval(p))
	}
	return in.concat(texts, text{}).value()
}

func (e compareExpr) eval(in *interp) Value {
	left := in.eval(e.first)
	for i, op := range e.ops {
		right := in.eval(e.rest[i])
		if !in.compare(op, left, right) {
			return false
		}
		left = right
	}
	return true
}

func (in *interp) compare(op string, a, b Value) bool {
	switch op {
	case "==":
		return in.equal(a, b)
	case "!=":
		return !in.equal(a, b)
	case "<":
		return in.less(a, b)
	case ">":
		return in.less(b, a)
	case "<=":
		return in.less(a, b) || in.equal(a, b)
	case ">=":
		return in.less(b, a) || in.equal(a, b)
	case "in":
		return in.contains(b, a)
	}
	return !in.contains(b, a) // not in
}

// eval adds from left to right. Neighbouring strings are joined at once, since
// templates build whole turns by adding pieces.
func (e sumExpr) eval(in *interp) Value {
	var room [8]text
	texts := room[:0]
	var total Value
	flush := func() {
		if len(texts) > 0 {
			total = in.concat(texts, text{}).value()
			texts = texts[:0]
		}
	}
	for i, part := range e.parts {
		v := in.eval(part)
		if t, ok := textOf(v); ok && !t.html && (i == 0 || len(texts) > 0) {
			texts = append(texts, t)
			continue
		}
		flush()
		if i == 0 {
			total = v
		} else {
			total = in.binary("+", total, v)
		}
		if t, ok := textOf(total); ok && !t.html {
			texts = append(texts, t)
		}
	}
	flush()
	return total
}

func (e binExpr) eval(in *interp) Value {
	a := in.eval(e.a)
	return in.binary(e.op, a, in.eval(e.b))
}

func (in *interp) binary(op string, a, b Value) Value {
	need(a)
	if op == "+" {
		if m, ok := in.addHTML(a, b); ok {
			return m
		}
	}
	a, b = plain(a), plain(b)
	if t, ok := textOf(a); ok && op == "%" {
		return in.percent(t, b).value()
	}
	need(b)
	ai, af, aw, aok := number(a)
	bi, bf, bw, bok := number(b)
	switch {
	case aok && bok && aw && bw:
		return intOp(op, ai, bi)
	case aok && bok:
		return floatOp(op, af, bf)
	case op == "+":
		return in.add(a, b)
	case op == "*" && bok && bw:
		return in.repeat(a, bi)
	case op == "*" && aok && aw:
		return in.repeat(b, ai)
	}
	unsupported(op, a, b)
	return nil
}

func unsupported(op string, a, b Value) {
	fail("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
}

func (in *interp) add(a, b Value) Value {
	if x, ok := textOf(a); ok {
		if y, ok := textOf(b); ok {
			return in.concat([]text{x, y}, text{}).value()
		}
	}
	if x, ok := a.(*List); ok {
		if y, ok := b.(*List); ok && x.Tuple == y.Tuple {
			in.charge(16 * (len(x.Items) + len(y.Items)))
			items := make([]Value, 0, len(x.Items)+len(y.Items))
			items = append(append(items, x.Items...), y.Items...)
			return &List{items, x.Tuple}
		}
	}
	unsupported("+", a, b)
	return nil
}

func (in *interp) repeat(v Value, n int64) Value {
	n = max(n, 0)
	if t, ok := textOf(v); ok {
		in.chargeMany(len(t.s), n)
		s := strings.Repeat(t.s, int(n))
		if len(t.marks) > 0 {
			return Client(s)
		}
		return s
	}
	if x, ok := v.(*List); ok {
		in.chargeMany(16*len(x.Items), n)
		items := make([]Value, 0, len(x.Items)*int(n))
		for ; n > 0 && len(x.Items) > 0; n-- {
			items = append(items, x.Items...)
		}
		return &List{items, x.Tuple}
	}
	unsupported("*", v, n)
	return nil
}

// intOp computes on int64 and fails where Python would need a longer integer.
func intOp(op string, a, b int64) Value {
	overflow := false
	var r int64
	switch op {
	case "+":
		r = a + b
		overflow = (r > a) != (b > 0) && b != 0
	case "-":
		r = a - b
		overflow = (r < a) != (b > 0) && b != 0
	case "*":
		hi, lo := bits.Mul64(uint64(abs(a)), uint64(abs(b)))
		overflow = hi != 0 || lo > math.MaxInt64
		r = a * b
	case "/":
		return floatOp(op, float64(a), float64(b))
	case "//", "%":
		if b == 0 {
			fail("integer division or modulo by zero")
		}
		if overflow = a == math.MinInt64 && b == -1; !overflow {
			q, m := a/b, a%b
			if m != 0 && (m < 0) != (b < 0) {
				q, m = q-1, m+b
			}
			r = q
			if op == "%" {
				r = m
			}
		}
	case "**":
		return intPow(a, b)
	}
	if overflow {
		fail("integer too large")
	}
	return r
}

func abs(a int64) int64 {
	if a < 0 {
		return -a
	}
	return a
}

func intPow(a, b int64) Value {
	if b < 0 {
		return floatOp("**", float64(a), float64(b))
	}
	r := Value(int64(1))
	for ; b > 0; b-- {
		r = intOp("*", r.(int64), a)
		if x := r.(int64); x == 0 || x == 1 && a == 1 {
			break
		}
		if a == -1 {
			if b%2 == 0 {
				r = int64(1)
			}
			break
		}
	}
	return r
}

func floatOp(op string, a, b float64) Value {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	}
	if b == 0 && op != "**" {
		fail("division by zero")
	}
	switch op {
	case "/":
		return a / b
	case "**":
		if a == 0 && b < 0 {
			fail("zero cannot be raised to a negative power")
		}
		return math.Pow(a, b)
	}
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	if op == "%" {
		return m
	}
	return math.Floor((a-m)/b + 0.5)
}
