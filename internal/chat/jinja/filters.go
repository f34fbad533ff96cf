package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// A filterFunc is a filter. It is called through interp.filter, which charges for
// its input and marks what it returns without keeping track of marks.
type filterFunc func(in *interp, v Value, a *args) Value

// filters is built in init because some filters call others by name; it never
// changes afterwards.
var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"abs": filterAbs, "attr": filterAttr, "capitalize": caseFilter("capitalize"), "count": filterLength,
		"d": filterDefault, "default": filterDefault, "dictsort": filterDictsort, "e": filterEscape,
		"escape": filterEscape, "first": filterFirst, "float": filterFloat, "forceescape": filterEscape,
		"format": filterFormat, "indent": filterIndent, "int": filterInt, "items": filterItems, "join": filterJoin,
		"last": filterLast, "length": filterLength, "list": filterList, "lower": caseFilter("lower"),
		"map": filterMap, "max": filterMax, "min": filterMin, "reject": filterReject,
		"rejectattr": filterRejectAttr, "replace": filterReplace, "reverse": filterReverse,
		"round": filterRound, "safe": filterSafe, "select": filterSelect, "selectattr": filterSelectAttr,
		"sort": filterSort, "string": filterString, "sum": filterSum, "title": filterTitle,
		"tojson": filterToJSON, "trim": filterTrim, "unique": filterUnique, "upper": caseFilter("upper"),
	}
}

// caseFilter is upper, lower or capitalize.
func caseFilter(name string) filterFunc {
	return func(in *interp, v Value, a *args) Value {
		a.bind(name, 0)
		return in.changeCase(in.str(v), name).value()
	}
}

func (e filterExpr) eval(in *interp) Value {
	v := in.eval(e.in)
	return in.filter(e.name, v, in.args(e.args))
}

func (in *interp) filter(name string, v Value, a *args) Value {
	f, ok := filters[name]
	if !ok {
		fail("no filter named '%s'", name)
	}
	in.visit(v)
	in.visitArgs(a)
	t, ok := v.(*text)
	wasHTML := ok && t.html
	r := in.marked(func() Value { return f(in, plain(v), a) })
	if !wasHTML {
		return r
	}
	switch name {
	case "capitalize", "default", "d", "indent", "lower", "string", "trim", "upper":
		if t, ok := textOf(r); ok {
			t.html = true
			return t.value()
		}
	}
	return r
}

func filterAbs(_ *interp, v Value, a *args) Value {
	a.bind("abs", 0)
	i, f, whole, ok := number(need(v))
	switch {
	case !ok:
		fail("bad operand type for abs(): '%s'", typeName(v))
	case whole && i == math.MinInt64:
		fail("integer too large")
	case whole:
		return abs(i)
	}
	return math.Abs(f)
}

func filterAttr(in *interp, v Value, a *args) Value {
	name := in.strOr(a.bind("attr", 1, "name")[0], "", "attribute name")
	if r, ok := attribute(need(v), name); ok {
		return r
	}
	return noAttribute(v, name)
}

func filterLength(in *interp, v Value, a *args) Value {
	a.bind("length", 0)
	return in.length(v)
}

func filterDefault(_ *interp, v Value, a *args) Value {
	p := a.bind("default", 0, "default_value", "boolean")
	_, undefined := v.(*Undefined)
	if !undefined && !(boolOr(p[1], false) && !truth(v)) {
		return v
	}
	if _, ok := p[0].(absent); ok {
		return ""
	}
	return p[0]
}

func filterEscape(in *interp, v Value, a *args) Value {
	a.bind("escape", 0)
	return in.escape(in.str(v)).value()
}

func filterSafe(in *interp, v Value, a *args) Value {
	a.bind("safe", 0)
	t := in.str(v)
	t.html = true
	return t.value()
}

func filterFloat(_ *interp, v Value, a *args) Value {
	p := a.bind("float", 0, "default")
	if f, ok := toFloat(need(v)); ok {
		return f
	}
	if _, ok := p[0].(absent); ok {
		return 0.0
	}
	return p[0]
}

func toFloat(v Value) (float64, bool) {
	if s, ok := look(v); ok {
		s = strings.ReplaceAll(strings.TrimFunc(s, isSpace), "_", "")
		if strings.ContainsAny(s, "xX") {
			return 0, false
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil || math.IsInf(f, 0)
	}
	_, f, _, ok := number(v)
	return f, ok
}

func filterInt(_ *interp, v Value, a *args) Value {
	p := a.bind("int", 0, "default", "base")
	need(v)
	base := intOr(p[1], 10, "base")
	if s, ok := look(v); ok && (base == 0 || base >= 2 && base <= 36) {
		digits := strings.ToLower(strings.ReplaceAll(strings.TrimFunc(s, isSpace), "_", ""))
		sign := strings.HasPrefix(digits, "-")
		digits = strings.TrimLeft(digits, "+-")
		if prefix := map[int64]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" {
			digits = strings.TrimPrefix(digits, prefix)
		}
		if i, err := strconv.ParseInt(digits, int(base), 64); err == nil {
			if sign {
				return -i
			}
			return i
		}
	}
	if i, _, whole, ok := number(v); ok && whole {
		return i
	}
	if f, ok := toFloat(v); ok && !math.IsNaN(f) && math.Abs(f) < math.MaxInt64 {
		return int64(f)
	}
	if _, ok := p[0].(absent); ok {
		return int64(0)
	}
	return p[0]
}

func filterFormat(in *interp, v Value, a *args) Value {
	if len(a.pos) > 0 && len(a.names) > 0 {
		fail("can't handle positional and keyword arguments at the same time")
	}
	if len(a.names) > 0 {
		d := &Dict{}
		for i := range a.names {
			in.assign(d, a.key(i), a.named[i])
		}
		return in.percent(in.str(v), d).value()
	}
	return in.percent(in.str(v), tuple(a.pos...)).value()
}

func filterIndent(in *interp, v Value, a *args) Value {
	p := a.bind("indent", 0, "width", "first", "blank")
	by, ok := textOf(p[0])
	if !ok {
		by, _ = textOf(in.repeat(" ", intOr(p[0], 4, "width")))
	}
	t, ok := textOf(need(v))
	if !ok {
		fail("indent needs a string, not %s", typeName(v))
	}
	first, blank := boolOr(p[1], false), boolOr(p[2], false)
	t = in.concat([]text{t, {s: "\n"}}, text{})
	lines := in.splitLines(t, false)
	in.chargeMany(len(by.s)+16, int64(len(lines)))
	var w builder
	for i, line := range lines {
		if i > 0 {
			w.str("\n")
		}
		if i == 0 && first || i > 0 && (line.s != "" || blank) {
			w.text(by)
		}
		w.text(line)
	}
	return w.done().value()
}

func filterReplace(in *interp, v Value, a *args) Value {
	p := a.bind("replace", 2, "old", "new", "count")
	count := int64(-1)
	if p[2] != nil {
		count = intOr(p[2], -1, "count")
	}
	return in.replace(in.str(v), in.str(p[0]), in.str(p[1]), count).value()
}

func filterRound(in *interp, v Value, a *args) Value {
	p := a.bind("round", 0, "precision", "method")
	precision, method := intOr(p[0], 0, "precision"), in.strOr(p[1], "common", "method")
	_, f, whole, ok := number(need(v))
	if !ok {
		fail("round needs a number, not %s", typeName(v))
	}
	if precision < -300 || precision > 300 {
		fail("precision out of range")
	}
	scale := math.Pow(10, float64(precision))
	switch method {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	case "common":
	default:
		fail("method must be common, ceil or floor")
	}
	switch {
	case whole && precision >= 0:
		i, _, _, _ := number(v)
		return i
	case precision >= 0:
		r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(precision), 64), 64)
		return r
	case whole:
		return toInt(math.RoundToEven(f*scale) / scale)
	}
	return math.RoundToEven(f*scale) / scale
}

func filterString(in *interp, v Value, a *args) Value {
	a.bind("string", 0)
	return in.str(v).value()
}

// filterTitle capitalises after spaces and - ( { [ <, unlike str.title.
func filterTitle(in *interp, v Value, a *args) Value {
	a.bind("title", 0)
	start := true
	t := in.str(v)
	in.charge(3 * len(t.s))
	return t.sameLength(strings.Map(func(r rune) rune {
		first := start
		start = isSpace(r) || strings.ContainsRune("-({[<", r)
		if start {
			return r
		}
		if first {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, t.s)).value()
}

func filterTrim(in *interp, v Value, a *args) Value { return in.strip(in.str(v), "strip", a).value() }
