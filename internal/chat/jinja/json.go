package jinja

import (
	"math"
	"sort"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonStyle are the parameters of json.dumps.
type jsonStyle struct {
	ascii    bool
	sortKeys bool
	indent   string
	pretty   bool
	itemSep  string
	keySep   string
}

// filterToJSON is json.dumps(v, ensure_ascii=False), as transformers defines
// the filter; Jinja's own would escape for HTML.
func filterToJSON(in *interp, v Value, a *args) Value {
	p := a.bind("tojson", 0, "ensure_ascii", "indent", "separators", "sort_keys")
	s := jsonStyle{ascii: boolOr(p[0], false), sortKeys: boolOr(p[3], false), itemSep: ", ", keySep: ": "}
	switch w := p[1].(type) {
	case absent, nil:
	case string, *text:
		s.indent, s.pretty, s.itemSep = in.strOr(w, "", "indent"), true, ","
	default:
		indent, _ := look(in.repeat(" ", intOr(w, 0, "indent")))
		s.indent, s.pretty, s.itemSep = indent, true, ","
	}
	if l, ok := p[2].(*List); ok && len(l.Items) == 2 {
		s.itemSep, s.keySep = in.strOr(l.Items[0], "", "separator"), in.strOr(l.Items[1], "", "separator")
	}
	w := jsonWriter{in: in, style: s}
	w.value(v, "\n")
	return text{s: string(w.b), marks: w.marks}.value()
}

// jsonWriter writes JSON and keeps the marks of the strings in it.
type jsonWriter struct {
	in    *interp
	style jsonStyle
	b     []byte
	marks []Range
}

func (w *jsonWriter) write(s string) {
	w.in.charge(len(s))
	w.b = append(w.b, s...)
}

// str writes a string. If any of it is marked, all that stands between the
// quotes becomes so.
func (w *jsonWriter) str(t text) {
	w.in.charge(2 * len(t.s))
	start := len(w.b) + 1
	w.b = appendJSONString(w.b, t.s, w.style.ascii)
	if len(t.marks) > 0 {
		w.marks = appendMarks(w.marks, 0, []Range{{start, len(w.b) - 1}})
	}
}

// value writes v; nl is a newline with the indentation of this level.
func (w *jsonWriter) value(v Value, nl string) {
	w.in.enter()
	defer w.in.leave()
	if t, ok := textOf(v); ok {
		w.str(t)
		return
	}
	switch v := v.(type) {
	case nil:
		w.write("null")
	case bool:
		w.write(strconv.FormatBool(v))
	case int64:
		w.write(strconv.FormatInt(v, 10))
	case BigInt:
		w.write(string(v))
	case float64:
		w.write(jsonFloat(v))
	case *List:
		w.list(v.Items, nl)
	case *Dict:
		w.dict(v, nl)
	default:
		fail("Object of type %s is not JSON serializable", typeName(v))
	}
}

// element begins the i-th element of a list or an object.
func (w *jsonWriter) element(i int, inner string) {
	if i > 0 {
		w.write(w.style.itemSep)
	}
	if w.style.pretty {
		w.write(inner)
	}
}

func (w *jsonWriter) list(items []Value, nl string) {
	if len(items) == 0 {
		w.write("[]")
		return
	}
	inner := nl + w.style.indent
	w.write("[")
	for i, x := range items {
		w.element(i, inner)
		w.value(x, inner)
	}
	if w.style.pretty {
		w.write(nl)
	}
	w.write("]")
}

func (w *jsonWriter) dict(d *Dict, nl string) {
	if d.Len() == 0 {
		w.write("{}")
		return
	}
	w.in.charge(8 * d.Len())
	order := make([]int, d.Len())
	for i := range order {
		order[i] = i
	}
	if w.style.sortKeys {
		sort.SliceStable(order, func(i, j int) bool { return w.in.less(d.keys[order[i]], d.keys[order[j]]) })
	}
	inner := nl + w.style.indent
	w.write("{")
	for i, at := range order {
		w.element(i, inner)
		w.str(jsonKey(d.keys[at]))
		w.write(w.style.keySep)
		w.value(d.vals[at], inner)
	}
	if w.style.pretty {
		w.write(nl)
	}
	w.write("}")
}

func jsonKey(k Value) text {
	if t, ok := textOf(k); ok {
		return t
	}
	switch k := k.(type) {
	case nil:
		return text{s: "null"}
	case bool:
		return text{s: strconv.FormatBool(k)}
	case int64:
		return text{s: strconv.FormatInt(k, 10)}
	case float64:
		return text{s: jsonFloat(k)}
	}
	fail("keys must be str, int, float, bool or None, not %s", typeName(k))
	return text{}
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return reprFloat(f)
}

const hexDigits = "0123456789abcdef"

// appendJSONString appends s quoted as Python's json does it.
func appendJSONString(b []byte, s string, ascii bool) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && (c < utf8.RuneSelf || !ascii) {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		start = i
		switch r {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		default:
			if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
				b = appendHex(appendHex(b, hi), lo)
			} else {
				b = appendHex(b, r)
			}
		}
	}
	return append(append(b, s[start:]...), '"')
}

func appendHex(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
