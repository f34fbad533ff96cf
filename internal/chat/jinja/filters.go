package jinja

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

type filterFunc func(in *interp, v Value, a *args) Value

// filters is built in init because some filters call others by name; it never
// changes afterwards.
var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"abs": filterAbs, "attr": filterAttr, "batch": filterBatch, "capitalize": caseFilter("capitalize"), "center": filterCenter,
		"count": filterLength, "d": filterDefault, "default": filterDefault, "dictsort": filterDictsort,
		"e": filterEscape, "escape": filterEscape, "filesizeformat": filterFileSize, "first": filterFirst,
		"float": filterFloat, "forceescape": filterEscape, "format": filterFormat, "groupby": filterGroupBy,
		"indent": filterIndent, "int": filterInt, "items": filterItems, "join": filterJoin, "last": filterLast,
		"length": filterLength, "list": filterList, "lower": caseFilter("lower"), "map": filterMap, "max": filterMax,
		"min": filterMin, "reject": filterReject, "rejectattr": filterRejectAttr, "replace": filterReplace,
		"reverse": filterReverse, "round": filterRound, "safe": filterSafe, "select": filterSelect,
		"selectattr": filterSelectAttr, "slice": filterSlice, "sort": filterSort, "string": filterString,
		"striptags": filterStripTags, "sum": filterSum, "title": filterTitle, "tojson": filterToJSON,
		"trim": filterTrim, "truncate": filterTruncate, "unique": filterUnique, "upper": caseFilter("upper"),
		"urlencode": filterURLEncode, "wordcount": filterWordCount, "wordwrap": filterWordWrap,
	}
}

// caseFilter is upper, lower or capitalize.
func caseFilter(name string) filterFunc {
	return func(in *interp, v Value, a *args) Value {
		a.bind(name, 0)
		return in.changeCase(in.str(v), name)
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
	m, wasMarkup := v.(markup)
	if !wasMarkup {
		return f(in, v, a)
	}
	r := f(in, string(m), a)
	switch name {
	case "capitalize", "center", "default", "d", "indent", "lower", "string", "trim", "upper":
		if s, ok := r.(string); ok {
			return markup(s)
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

func filterAttr(_ *interp, v Value, a *args) Value {
	name := strOr(a.bind("attr", 1, "name")[0], "", "attribute name")
	if r, ok := attribute(need(v), name); ok {
		return r
	}
	return noAttribute(v, name)
}

func filterCenter(in *interp, v Value, a *args) Value {
	return in.pad(in.str(v), intOr(a.bind("center", 0, "width")[0], 80, "width"), " ", "center")
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

var escaper = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")

func filterEscape(in *interp, v Value, a *args) Value {
	a.bind("escape", 0)
	s := in.str(v)
	in.charge(5 * len(s))
	return markup(escaper.Replace(s))
}

func filterSafe(in *interp, v Value, a *args) Value {
	a.bind("safe", 0)
	return markup(in.str(v))
}

func filterFileSize(_ *interp, v Value, a *args) Value {
	binary := boolOr(a.bind("filesizeformat", 0, "binary")[0], false)
	_, n, _, ok := number(v)
	if !ok {
		fail("filesizeformat needs a number")
	}
	base, suffix := 1000.0, "B"
	if binary {
		base, suffix = 1024, "iB"
	}
	if n == 1 {
		return "1 Byte"
	}
	if n < base {
		return strconv.FormatInt(toInt(n), 10) + " Bytes"
	}
	unit := base * base
	letters := "kMGTPEZY"
	if binary {
		letters = "KMGTPEZY"
	}
	i := 0
	for ; n >= unit && i < len(letters)-1; i++ {
		unit *= base
	}
	return strconv.FormatFloat(base*n/unit, 'f', 1, 64) + " " + letters[i:i+1] + suffix
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
	if s, ok := v.(string); ok {
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
	if s, ok := v.(string); ok && (base == 0 || base >= 2 && base <= 36) {
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
		for i, n := range a.names {
			d.Set(n, a.named[i])
		}
		return in.percent(in.str(v), d)
	}
	return in.percent(in.str(v), tuple(a.pos...))
}

func filterIndent(in *interp, v Value, a *args) Value {
	p := a.bind("indent", 0, "width", "first", "blank")
	by, isText := p[0].(string)
	if !isText {
		by = in.repeat(" ", intOr(p[0], 4, "width")).(string)
	}
	s, ok := need(v).(string)
	if !ok {
		fail("indent needs a string, not %s", typeName(v))
	}
	lines := splitLines(s+"\n", false)
	in.chargeMany(len(by)+16, int64(len(lines)))
	in.charge(len(s))
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == 0 && boolOr(p[1], false) || i > 0 && (line != "" || boolOr(p[2], false)) {
			b.WriteString(by)
		}
		b.WriteString(line)
	}
	return b.String()
}

func filterReplace(in *interp, v Value, a *args) Value {
	p := a.bind("replace", 2, "old", "new", "count")
	count := int64(-1)
	if p[2] != nil {
		count = intOr(p[2], -1, "count")
	}
	return in.replace(in.str(v), in.str(p[0]), in.str(p[1]), count)
}

func filterRound(_ *interp, v Value, a *args) Value {
	p := a.bind("round", 0, "precision", "method")
	precision, method := intOr(p[0], 0, "precision"), strOr(p[1], "common", "method")
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
	return in.str(v)
}

func filterStripTags(in *interp, v Value, a *args) Value {
	a.bind("striptags", 0)
	s := in.str(v)
	var b strings.Builder
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			break
		}
		end := strings.IndexByte(s[open:], '>')
		if strings.HasPrefix(s[open:], "<!--") {
			if end = strings.Index(s[open:], "-->"); end >= 0 {
				end += 2
			}
		}
		if end < 0 {
			break
		}
		b.WriteString(s[:open])
		s = s[open+end+1:]
	}
	b.WriteString(s)
	return strings.Join(strings.FieldsFunc(b.String(), isSpace), " ")
}

// filterTitle capitalises after spaces and - ( { [ <, unlike str.title.
func filterTitle(in *interp, v Value, a *args) Value {
	a.bind("title", 0)
	start := true
	return strings.Map(func(r rune) rune {
		first := start
		start = isSpace(r) || strings.ContainsRune("-({[<", r)
		if start {
			return r
		}
		if first {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, in.str(v))
}

func filterTrim(in *interp, v Value, a *args) Value { return strip(in.str(v), "strip", a) }

func filterTruncate(in *interp, v Value, a *args) Value {
	p := a.bind("truncate", 0, "length", "killwords", "end", "leeway")
	s, end := strOr(v, "", "truncate input"), strOr(p[2], "...", "end")
	length, leeway := intOr(p[0], 255, "length"), int64(5)
	if p[3] != nil {
		leeway = intOr(p[3], 5, "leeway")
	}
	keep := length - in.length(end)
	if keep < 0 || leeway < 0 {
		fail("expected a larger length and leeway")
	}
	if in.length(s) <= length+leeway {
		return s
	}
	cut := s[:runeOffset(s, keep)]
	if !boolOr(p[1], false) {
		if i := strings.LastIndexByte(cut, ' '); i >= 0 {
			cut = cut[:i]
		}
	}
	return cut + end
}

func filterURLEncode(in *interp, v Value, a *args) Value {
	a.bind("urlencode", 0)
	quote := func(v Value, query bool) string {
		s := in.str(v)
		in.charge(3 * len(s))
		s = strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
		s = strings.ReplaceAll(s, "%7E", "~")
		if query {
			return strings.ReplaceAll(s, "%20", "+")
		}
		return strings.ReplaceAll(s, "%2F", "/")
	}
	var pairs []Value
	switch x := v.(type) {
	case *Dict:
		pairs = in.pairs(x)
	case *List:
		pairs = x.Items
	default:
		return quote(v, false)
	}
	parts := make([]string, len(pairs))
	for i, pair := range pairs {
		kv := in.iterate(pair)
		if len(kv) != 2 {
			fail("urlencode needs pairs")
		}
		parts[i] = quote(kv[0], true) + "=" + quote(kv[1], true)
	}
	return strings.Join(parts, "&")
}

func filterWordCount(in *interp, v Value, a *args) Value {
	a.bind("wordcount", 0)
	words := strings.FieldsFunc(in.str(v), func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r)
	})
	return int64(len(words))
}

// filterWordWrap wraps at spaces; words longer than a line are cut unless
// break_long_words is false.
func filterWordWrap(in *interp, v Value, a *args) Value {
	p := a.bind("wordwrap", 0, "width", "break_long_words", "wrapstring", "break_on_hyphens")
	width, cut := intOr(p[0], 79, "width"), boolOr(p[1], true)
	sep := "\n"
	if p[2] != nil {
		sep = strOr(p[2], "\n", "wrapstring")
	}
	if width <= 0 {
		fail("invalid width")
	}
	s := in.str(v)
	in.charge(2 * len(s))
	in.chargeMany(len(sep), int64(len(s)))
	var out []string
	for _, line := range splitLines(s, false) {
		out = append(out, strings.Join(wrapLine(line, width, cut), sep))
	}
	return strings.Join(out, sep)
}

func wrapLine(line string, width int64, cut bool) []string {
	var lines []string
	cur, curLen := "", int64(0)
	for _, word := range strings.FieldsFunc(line, isSpace) {
		runes := []rune(word)
		if curLen > 0 && curLen+1+int64(len(runes)) > width {
			lines = append(lines, cur)
			cur, curLen = "", 0
		}
		if curLen > 0 {
			cur += " "
			curLen++
		}
		for cut && int64(len(runes)) > width-curLen {
			lines = append(lines, cur+string(runes[:width-curLen]))
			runes = runes[width-curLen:]
			cur, curLen = "", 0
		}
		cur += string(runes)
		curLen += int64(len(runes))
	}
	if cur != "" {
		lines = append(lines, cur)
	}
	return lines
}
