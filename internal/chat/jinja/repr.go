package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// str is str(v), never HTML.
func (in *interp) str(v Value) text {
	switch v := v.(type) {
	case string:
		return text{s: v}
	case *text:
		return text{s: v.s, marks: v.marks}
	case nil:
		return text{s: "None"}
	case int64:
		return text{s: strconv.FormatInt(v, 10)}
	case *Undefined:
		return text{}
	}
	return in.reprText(v)
}

// reprText is repr(v). Of what has marked strings in it the whole is marked.
func (in *interp) reprText(v Value) text {
	t, _ := textOf(in.marked(func() Value { return in.repr(v) }))
	return t
}

// repr is repr(v).
func (in *interp) repr(v Value) string {
	in.enter()
	defer in.leave()
	text := in.reprOf(v)
	in.charge(len(text))
	return text
}

func (in *interp) reprOf(v Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return reprFloat(v)
	case BigInt:
		return string(v)
	case string:
		in.charge(10 * len(v)) // if every byte is escaped
		return reprString(v)
	case *text:
		in.charge(10 * len(v.s))
		s, _ := in.read(v)
		if v.html {
			return "Markup(" + reprString(s) + ")"
		}
		return reprString(s)
	case *Undefined:
		return "Undefined"
	case *List:
		if !v.Tuple {
			return "[" + in.reprItems(v.Items) + "]"
		}
		if len(v.Items) == 1 {
			return "(" + in.repr(v.Items[0]) + ",)"
		}
		return "(" + in.reprItems(v.Items) + ")"
	case *Dict:
		return in.reprDict(v)
	case *iterable:
		if v.once {
			return "<generator object>"
		}
		return v.kind + "([" + in.reprItems(v.items) + "])"
	case *span:
		if v.step == 1 {
			return fmt.Sprintf("range(%d, %d)", v.start, v.stop)
		}
		return fmt.Sprintf("range(%d, %d, %d)", v.start, v.stop, v.step)
	case *namespace:
		return "<Namespace " + in.repr(v.attrs) + ">"
	case *macro:
		return "<Macro " + reprString(v.def.name) + ">"
	case *loopContext:
		return fmt.Sprintf("<LoopContext %d/%d>", v.index0+1, v.length())
	case boundMethod:
		return "<built-in method " + v.name + " of " + typeName(v.self) + " object>"
	}
	return "<function>"
}

func (in *interp) reprItems(items []Value) string {
	parts := make([]string, len(items))
	in.charge(16 * len(items))
	for i, x := range items {
		parts[i] = in.repr(x)
	}
	return strings.Join(parts, ", ")
}

func (in *interp) reprDict(d *Dict) string {
	parts := make([]string, d.Len())
	in.charge(16 * d.Len())
	for i, k := range d.keys {
		parts[i] = in.repr(k) + ": " + in.repr(d.vals[i])
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// reprFloat is repr of a float: the shortest text that reads back the same.
func reprFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exp, _ := strings.Cut(s, "e")
	if e, _ := strconv.Atoi(exp); e >= -4 && e < 16 {
		s = strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return mantissa + "e" + exp
}

func reprString(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := make([]byte, 0, len(s)+2)
	b = append(b, quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(r):
			b = append(b, string(r)...)
		case r < 0x100:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return string(append(b, quote))
}
