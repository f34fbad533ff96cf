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
	case string:
		s.indent, s.pretty, s.itemSep = w, true, ","
	default:
		s.indent, s.pretty, s.itemSep = in.repeat(" ", intOr(w, 0, "indent")).(string), true, ","
	}
	if l, ok := p[2].(*List); ok && len(l.Items) == 2 {
		s.itemSep, s.keySep = strOr(l.Items[0], "", "separator"), strOr(l.Items[1], "", "separator")
	}
	return string(in.appendJSON(nil, v, s, "\n"))
}

// appendJSON appends v; nl is a newline with the indentation of this level.
func (in *interp) appendJSON(b []byte, v Value, s jsonStyle, nl string) []byte {
	in.enter()
	defer in.leave()
	switch v := plain(v).(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case BigInt:
		return append(b, v...)
	case float64:
		return append(b, jsonFloat(v)...)
	case string:
		in.charge(len(v))
		return AppendJSONString(b, v, s.ascii)
	case *List:
		return in.appendJSONList(b, v.Items, s, nl)
	case *Dict:
		return in.appendJSONDict(b, v, s, nl)
	}
	fail("Object of type %s is not JSON serializable", typeName(v))
	return nil
}

func (in *interp) appendJSONList(b []byte, items []Value, s jsonStyle, nl string) []byte {
	if len(items) == 0 {
		return append(b, "[]"...)
	}
	inner := nl + s.indent
	b = append(b, '[')
	for i, x := range items {
		if i > 0 {
			b = append(b, s.itemSep...)
		}
		if s.pretty {
			in.charge(len(inner))
			b = append(b, inner...)
		}
		b = in.appendJSON(b, x, s, inner)
	}
	if s.pretty {
		b = append(b, nl...)
	}
	return append(b, ']')
}

func (in *interp) appendJSONDict(b []byte, d *Dict, s jsonStyle, nl string) []byte {
	if d.Len() == 0 {
		return append(b, "{}"...)
	}
	order := make([]int, d.Len())
	for i := range order {
		order[i] = i
	}
	if s.sortKeys {
		sort.SliceStable(order, func(i, j int) bool { return in.less(d.keys[order[i]], d.keys[order[j]]) })
	}
	inner := nl + s.indent
	b = append(b, '{')
	for i, at := range order {
		if i > 0 {
			b = append(b, s.itemSep...)
		}
		if s.pretty {
			in.charge(len(inner))
			b = append(b, inner...)
		}
		b = AppendJSONString(b, jsonKey(d.keys[at]), s.ascii)
		b = append(b, s.keySep...)
		b = in.appendJSON(b, d.vals[at], s, inner)
	}
	if s.pretty {
		b = append(b, nl...)
	}
	return append(b, '}')
}

func jsonKey(k Value) string {
	switch k := k.(type) {
	case string:
		return k
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(k)
	case int64:
		return strconv.FormatInt(k, 10)
	case float64:
		return jsonFloat(k)
	}
	fail("keys must be str, int, float, bool or None, not %s", typeName(k))
	return ""
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

// AppendJSONString appends s quoted as Python's json does it.
func AppendJSONString(b []byte, s string, ascii bool) []byte {
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
