package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spec is a parsed format specification: of a % conversion or of {:…}.
type spec struct {
	fill      string
	align     byte // '<' '>' '^' '=' or 0
	sign      byte // '+', ' ' or 0
	alt       bool
	comma     byte
	width     int64
	precision int64 // -1: none
	verb      byte  // 0: none
}

// percent is format % v.
func (in *interp) percent(format text, v Value) text {
	t := in.percentOf(format.s, v)
	if len(format.marks) > 0 {
		return wholly(t.s)
	}
	return t
}

func (in *interp) percentOf(format string, v Value) text {
	values := []Value{v}
	if l, ok := v.(*List); ok && l.Tuple {
		values = l.Items
	}
	mapping, _ := v.(*Dict)
	used := 0
	take := func() Value {
		if used >= len(values) {
			fail("not enough arguments for format string")
		}
		used++
		return values[used-1]
	}
	var w builder
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			w.str(format)
			break
		}
		w.str(format[:i])
		format = format[i+1:]
		var key string
		keyed := false
		if strings.HasPrefix(format, "(") {
			end := strings.IndexByte(format, ')')
			if end < 0 || mapping == nil {
				fail("format requires a mapping")
			}
			key, format, keyed = format[1:end], format[end+1:], true
		}
		var s spec
		s, format = percentSpec(format, take)
		if s.verb == '%' {
			w.str("%")
			continue
		}
		var arg Value
		if keyed {
			found, ok := mapping.Get(key)
			if !ok {
				fail("KeyError: '%s'", key)
			}
			arg = found
		} else {
			arg = take()
		}
		in.enter()
		w.text(in.conversion(s, arg))
		in.leave()
	}
	if used < len(values) && !spare(v) {
		fail("not all arguments converted during string formatting")
	}
	in.charge(w.b.Len())
	return w.done()
}

// spare reports whether Python leaves values of format % v unused: those of anything that can be indexed, but for tuples and strings.
func spare(v Value) bool {
	switch v := v.(type) {
	case *List:
		return !v.Tuple
	case *Dict, *span, *Undefined:
		return true
	}
	return false
}

// percentSpec parses what follows a '%', and returns the rest.
func percentSpec(f string, take func() Value) (spec, string) {
	s := spec{fill: " ", align: '>', precision: -1}
	for ; f != "" && strings.IndexByte("#0- +", f[0]) >= 0; f = f[1:] {
		switch f[0] {
		case '#':
			s.alt = true
		case '0':
			if s.align != '<' {
				s.fill, s.align = "0", '='
			}
		case '-':
			s.fill, s.align = " ", '<'
		default:
			if s.sign != '+' {
				s.sign = f[0]
			}
		}
	}
	number := func() int64 {
		if strings.HasPrefix(f, "*") {
			f = f[1:]
			return intOr(take(), 0, "width")
		}
		n := int64(0)
		for ; f != "" && isDigit(f[0]); f = f[1:] {
			n = min(n*10+int64(f[0]-'0'), math.MaxInt32)
		}
		return n
	}
	if s.width = number(); s.width < 0 {
		s.width, s.align, s.fill = -s.width, '<', " "
	}
	if strings.HasPrefix(f, ".") {
		f = f[1:]
		s.precision = number()
	}
	f = strings.TrimLeft(f, "hlL")
	if f == "" {
		fail("incomplete format")
	}
	s.verb = f[0]
	return s, f[1:]
}

func (in *interp) conversion(s spec, v Value) text {
	switch s.verb {
	case 's', 'r', 'a', 'c':
		var t text
		switch n, _, isInt, _ := number(v); {
		case s.verb == 's':
			t = in.str(v)
		case s.verb != 'c':
			t = in.reprText(v)
		case isInt:
			t.s = string(rune(n))
		default:
			if t = needText(v, "%c argument"); utf8.RuneCountInString(t.s) != 1 {
				fail("%%c requires int or char")
			}
		}
		if s.align == '=' {
			s.align, s.fill = '>', " "
		}
		return in.aligned(s, "", cutRunes(t, s.precision))
	case 'd', 'i', 'u':
		if f, ok := v.(float64); ok {
			v = toInt(f)
		}
		s.verb = 'd'
	case 'x', 'X', 'o', 'e', 'E', 'f', 'F', 'g', 'G':
	default:
		fail("unsupported format character '%c'", s.verb)
	}
	return in.formatNumber(s, v)
}

func cutRunes(t text, n int64) text {
	if n < 0 || int64(len(t.s)) <= n {
		return t
	}
	return t.cut(0, runeOffset(t.s, n))
}

func toInt(f float64) int64 {
	if math.IsNaN(f) || f >= math.MaxInt64 || f <= math.MinInt64 {
		fail("cannot convert float to integer")
	}
	return int64(f)
}

// formatNumber formats an int or float as verb asks; precision is bounded.
func (in *interp) formatNumber(s spec, v Value) text {
	i, f, whole, ok := number(need(v))
	if !ok {
		fail("format requires a number, not %s", typeName(v))
	}
	if s.precision > 1000 {
		fail("precision too large")
	}
	var digits, prefix string
	negative := f < 0 || math.Signbit(f)
	switch s.verb {
	case 'd', 'x', 'X', 'o', 'b', 'n':
		if !whole {
			fail("an integer is required for format '%c'", s.verb)
		}
		digits, prefix = intDigits(s, i)
		for int64(len(digits)) < s.precision {
			digits = "0" + digits
		}
	default:
		digits = floatDigits(s, math.Abs(f))
	}
	if s.comma != 0 {
		digits = group(digits, s.comma)
	}
	sign := ""
	if negative {
		sign = "-"
	} else if s.sign != 0 && s.sign != '-' {
		sign = string(s.sign)
	}
	return in.aligned(s, sign+prefix, text{s: digits})
}

func intDigits(s spec, i int64) (digits, prefix string) {
	base := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'b': 2}[s.verb]
	if base == 0 {
		base = 10
	}
	digits = strings.TrimPrefix(strconv.FormatInt(i, base), "-")
	if s.alt && base != 10 {
		prefix = "0" + string(s.verb)
	}
	if s.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	return digits, prefix
}

func floatDigits(s spec, f float64) string {
	p := int(s.precision)
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return strings.TrimPrefix(reprFloat(f), "-")
	}
	if p < 0 && s.verb != 0 {
		p = 6
	}
	switch s.verb {
	case 'e', 'E':
		return casedExp(strconv.FormatFloat(f, 'e', p, 64), s.verb)
	case 'f', 'F':
		return strconv.FormatFloat(f, 'f', p, 64)
	case '%':
		return strconv.FormatFloat(f*100, 'f', p, 64) + "%"
	}
	if s.verb == 0 && p < 0 {
		return reprFloat(f)
	}
	// g: the shorter of e and f for p significant digits, zeros trimmed.
	p = max(p, 1)
	e := strconv.FormatFloat(f, 'e', p-1, 64)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exp < -4 || exp >= p {
		mantissa, rest, _ := strings.Cut(e, "e")
		if !s.alt && strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		return casedExp(mantissa+"e"+rest, s.verb)
	}
	text := strconv.FormatFloat(f, 'f', p-1-exp, 64)
	if !s.alt && strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if s.verb == 0 && !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func casedExp(s string, verb byte) string {
	if verb == 'E' || verb == 'G' {
		return strings.ToUpper(s)
	}
	return s
}

// group puts a separator between groups of three digits of the whole part.
func group(digits string, sep byte) string {
	end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(digits)
	}
	out := digits[end:]
	for ; end > 3; end -= 3 {
		out = string(sep) + digits[end-3:end] + out
	}
	return digits[:end] + out
}

// aligned pads prefix and t to the width of the specification.
func (in *interp) aligned(s spec, prefix string, t text) text {
	gap := s.width - int64(utf8.RuneCountInString(prefix)+utf8.RuneCountInString(t.s))
	var w builder
	pad := func(n int64) { w.str(strings.Repeat(s.fill, int(n))) }
	if gap <= 0 {
		w.str(prefix)
		w.text(t)
		return w.done()
	}
	in.chargeMany(len(s.fill), gap)
	left, right := gap, int64(0)
	switch s.align {
	case '<':
		left, right = 0, gap
	case '^':
		left, right = gap/2, gap-gap/2
	case '=':
		w.str(prefix)
		prefix = ""
	}
	pad(left)
	w.str(prefix)
	w.text(t)
	pad(right)
	return w.done()
}

// format is str.format.
func (in *interp) format(f text, a *args) text {
	next := 0
	t := in.formatFields(f.s, a, &next, 2)
	in.charge(len(t.s))
	if len(f.marks) > 0 {
		return wholly(t.s)
	}
	return t
}

func (in *interp) formatFields(f string, a *args, next *int, depth int) text {
	if depth < 0 {
		fail("max string recursion exceeded")
	}
	var w builder
	for {
		i := strings.IndexAny(f, "{}")
		if i < 0 {
			w.str(f)
			return w.done()
		}
		w.str(f[:i])
		if i+1 < len(f) && f[i+1] == f[i] {
			w.str(f[i : i+1])
			f = f[i+2:]
			continue
		}
		if f[i] == '}' {
			fail("single '}' encountered in format string")
		}
		end := fieldEnd(f[i+1:])
		w.text(in.formatField(f[i+1:i+1+end], a, next, depth))
		f = f[i+2+end:]
	}
}

// fieldEnd returns the position of the brace that closes a field.
func fieldEnd(f string) int {
	open := 0
	for i := 0; i < len(f); i++ {
		switch f[i] {
		case '{':
			open++
		case '}':
			if open == 0 {
				return i
			}
			open--
		}
	}
	fail("expected '}' before end of string")
	return 0
}

func (in *interp) formatField(field string, a *args, next *int, depth int) text {
	in.enter()
	defer in.leave()
	name, format, _ := strings.Cut(field, ":")
	conv := ""
	if i := strings.LastIndexByte(name, '!'); i >= 0 {
		name, conv = name[:i], name[i+1:]
	}
	v := in.fieldValue(name, a, next)
	spec := in.formatFields(format, a, next, depth-1)
	switch conv {
	case "":
	case "s":
		v = in.str(v).value()
	case "r", "a":
		v = in.reprText(v).value()
	default:
		fail("unknown conversion specifier '%s'", conv)
	}
	t := in.formatValue(v, spec.s)
	if len(spec.marks) > 0 {
		return wholly(t.s)
	}
	return t
}

// fieldValue resolves "", "0", "name", each with .attr and [item] after it.
func (in *interp) fieldValue(name string, a *args, next *int) Value {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	first, rest := name[:end], name[end:]
	var v Value
	index, err := strconv.Atoi(first)
	switch {
	case first == "":
		index, err = *next, nil
		*next++
		fallthrough
	case err == nil:
		if index < 0 || index >= len(a.pos) {
			fail("replacement index %d out of range for positional args tuple", index)
		}
		v = a.pos[index]
	default:
		found := false
		for i, n := range a.names {
			if n == first {
				v, found = a.named[i], true
			}
		}
		if !found {
			fail("KeyError: '%s'", first)
		}
	}
	for rest != "" {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			v, rest = in.getattr(v, rest[1:end]), rest[end:]
			continue
		}
		end := strings.IndexByte(rest, ']')
		if end < 0 || rest[0] != '[' {
			fail("bad field name '%s'", name)
		}
		var key Value = rest[1:end]
		if n, err := strconv.ParseInt(rest[1:end], 10, 64); err == nil {
			key = n
		}
		v, rest = in.getitem(v, key), rest[end+1:]
	}
	return v
}

// formatValue is format(v, spec).
func (in *interp) formatValue(v Value, format string) text {
	if format == "" {
		return in.str(v)
	}
	s := parseSpec(format)
	t, isString := textOf(v)
	if _, _, whole, ok := number(v); ok {
		if s.align == 0 {
			s.align = '>'
		}
		switch {
		case whole && s.precision >= 0 && strings.IndexByte("eEfFgG%", s.verb) < 0:
			fail("precision not allowed in integer format specifier")
		case s.verb == 0 && whole:
			s.verb = 'd'
		case s.verb == 'c' && whole:
			return in.conversion(s, v)
		case s.verb == 'c' || s.verb == 's':
			fail("unknown format code '%c' for object of type '%s'", s.verb, typeName(v))
		}
		return in.formatNumber(s, v)
	}
	if !isString {
		fail("unsupported format string passed to %s.__format__", typeName(v))
	}
	if s.verb != 0 && s.verb != 's' || s.align == '=' || s.sign != 0 || s.comma != 0 || s.alt {
		fail("unknown format code for object of type 'str'")
	}
	if s.align == 0 {
		s.align = '<'
	}
	t.html = false
	return in.aligned(s, "", cutRunes(t, s.precision))
}

// parseSpec parses [[fill]align][sign][#][0][width][,][.precision][type].
func parseSpec(f string) spec {
	s := spec{fill: " ", precision: -1}
	_, n := utf8.DecodeRuneInString(f)
	isAlign := func(i int) bool { return i < len(f) && strings.IndexByte("<>^=", f[i]) >= 0 }
	if isAlign(n) {
		s.fill, s.align, f = f[:n], f[n], f[n+1:]
	} else if isAlign(0) {
		s.align, f = f[0], f[1:]
	}
	flag := func(set string) byte {
		if f != "" && strings.IndexByte(set, f[0]) >= 0 {
			c := f[0]
			f = f[1:]
			return c
		}
		return 0
	}
	s.sign = flag("+- ")
	s.alt = flag("#") != 0
	if flag("0") != 0 && s.align == 0 {
		s.fill, s.align = "0", '='
	}
	digits := func() (n int64) {
		for ; f != "" && isDigit(f[0]); f = f[1:] {
			n = min(n*10+int64(f[0]-'0'), math.MaxInt32)
		}
		return n
	}
	s.width = digits()
	s.comma = flag(",_")
	if flag(".") != 0 {
		s.precision = digits()
	}
	s.verb = flag("bcdeEfFgGnosxX%")
	if f != "" {
		fail("invalid format specifier")
	}
	return s
}
