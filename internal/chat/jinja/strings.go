package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// method calls a method of a built-in type.
func (in *interp) method(self Value, name string, a *args) Value {
	switch v := self.(type) {
	case string:
		return in.strMethod(v, name, a)
	case markup:
		return in.markupMethod(v, name, a)
	case *Dict:
		return in.dictMethod(v, name, a)
	case *List:
		return in.listMethod(v, name, a)
	case *loopContext:
		return in.loopMethod(v, name, a)
	case *cycler:
		return v.method(name)
	}
	fail("'%s' object has no method '%s'", typeName(self), name)
	return nil
}

func (in *interp) dictMethod(d *Dict, name string, a *args) Value {
	switch name {
	case "get":
		p := a.bind("get", 1, "key", "default")
		if v, ok := in.lookup(d, p[0]); ok {
			return v
		}
		if _, ok := p[1].(absent); ok {
			return nil
		}
		return p[1]
	case "items":
		a.bind("items", 0)
		return &iterable{kind: "dict_items", items: in.pairs(d)}
	case "keys":
		a.bind("keys", 0)
		return &iterable{kind: "dict_keys", items: d.keys}
	case "values":
		a.bind("values", 0)
		return &iterable{kind: "dict_values", items: d.vals}
	}
	a.bind("copy", 0)
	return in.copyOf(d)
}

func (in *interp) pairs(d *Dict) []Value {
	in.charge(64 * d.Len())
	pairs := make([]Value, d.Len())
	for i, k := range d.keys {
		pairs[i] = tuple(k, d.vals[i])
	}
	return pairs
}

func (in *interp) listMethod(l *List, name string, a *args) Value {
	switch name {
	case "count":
		n := int64(0)
		want := a.bind("count", 1, "value")[0]
		for _, x := range l.Items {
			if in.equal(x, want) {
				n++
			}
		}
		return n
	case "index":
		want := a.bind("index", 1, "value")[0]
		for i, x := range l.Items {
			if in.equal(x, want) {
				return int64(i)
			}
		}
		fail("%s is not in list", in.repr(want))
	}
	a.bind("copy", 0)
	return &List{l.Items, l.Tuple}
}

// strMethod calls a method of str. Groups of similar methods have functions of
// their own.
func (in *interp) strMethod(s, name string, a *args) Value {
	in.scan(len(s))
	switch name {
	case "strip", "lstrip", "rstrip":
		return strip(s, name, a)
	case "split", "rsplit":
		return in.split(s, name, a)
	case "startswith", "endswith":
		return affix(s, name, a)
	case "removeprefix":
		return strings.TrimPrefix(s, strOr(a.bind(name, 1, "prefix")[0], "", "prefix"))
	case "removesuffix":
		return strings.TrimSuffix(s, strOr(a.bind(name, 1, "suffix")[0], "", "suffix"))
	case "find", "rfind", "index", "rindex", "count":
		return find(s, name, a)
	case "replace":
		p := a.bind(name, 2, "old", "new", "count")
		return in.replace(s, strOr(p[0], "", "old"), strOr(p[1], "", "new"), intOr(p[2], -1, "count"))
	case "join":
		return in.join(s, in.iterate(a.bind(name, 1, "iterable")[0]))
	case "center", "ljust", "rjust":
		p := a.bind(name, 1, "width", "fillchar")
		return in.pad(s, intOr(p[0], 0, "width"), strOr(p[1], " ", "fillchar"), name)
	case "zfill":
		return in.zfill(s, intOr(a.bind(name, 1, "width")[0], 0, "width"))
	case "partition", "rpartition":
		return partition(s, name, strOr(a.bind(name, 1, "sep")[0], "", "sep"))
	case "splitlines":
		return in.splitlines(s, boolOr(a.bind(name, 0, "keepends")[0], false))
	case "expandtabs":
		return in.expandTabs(s, intOr(a.bind(name, 0, "tabsize")[0], 8, "tabsize"))
	case "format":
		return in.format(s, a)
	case "format_map":
		d, ok := a.bind(name, 1, "mapping")[0].(*Dict)
		if !ok {
			fail("format_map() needs a mapping")
		}
		return in.format(s, &args{names: d.stringKeys(), named: d.vals})
	}
	a.bind(name, 0)
	if strings.HasPrefix(name, "is") {
		return classify(s, name)
	}
	return in.changeCase(s, name)
}

func (d *Dict) stringKeys() []string {
	names := make([]string, len(d.keys))
	for i, k := range d.keys {
		names[i], _ = k.(string)
	}
	return names
}

func strip(s, name string, a *args) Value {
	chars := a.bind(name, 0, "chars")[0]
	out := isSpace
	if _, ok := chars.(absent); !ok && chars != nil {
		set := strOr(chars, "", "chars")
		out = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if name != "rstrip" {
		s = strings.TrimLeftFunc(s, out)
	}
	if name != "lstrip" {
		s = strings.TrimRightFunc(s, out)
	}
	return s
}

func (in *interp) split(s, name string, a *args) Value {
	p := a.bind(name, 0, "sep", "maxsplit")
	limit := int(min(intOr(p[1], -1, "maxsplit"), int64(len(s))))
	if limit < 0 {
		limit = len(s) + 1
	}
	var parts []string
	if _, ok := p[0].(absent); ok || p[0] == nil {
		parts = splitSpace(s, limit, name == "rsplit")
	} else {
		sep := strOr(p[0], "", "sep")
		if sep == "" {
			fail("empty separator")
		}
		parts = splitSep(s, sep, limit, name == "rsplit")
	}
	return in.strList(parts)
}

func (in *interp) strList(parts []string) *List {
	in.charge(32 * len(parts))
	items := make([]Value, len(parts))
	for i, part := range parts {
		items[i] = part
	}
	return &List{Items: items}
}

func splitSep(s, sep string, limit int, right bool) []string {
	if !right {
		return strings.SplitN(s, sep, limit+1)
	}
	var parts []string
	for ; limit > 0; limit-- {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			break
		}
		parts = append(parts, s[i+len(sep):])
		s = s[:i]
	}
	parts = append(parts, s)
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

func splitSpace(s string, limit int, right bool) []string {
	if limit > len(s) {
		return strings.FieldsFunc(s, isSpace)
	}
	var parts []string
	if !right {
		for s = strings.TrimLeftFunc(s, isSpace); s != ""; s = strings.TrimLeftFunc(s, isSpace) {
			i := strings.IndexFunc(s, isSpace)
			if i < 0 || len(parts) == limit {
				return append(parts, s)
			}
			parts = append(parts, s[:i])
			s = s[i:]
		}
		return parts
	}
	for s = strings.TrimRightFunc(s, isSpace); s != ""; s = strings.TrimRightFunc(s, isSpace) {
		i := strings.LastIndexFunc(s, isSpace)
		if i < 0 || len(parts) == limit {
			parts = append(parts, s)
			break
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		parts = append(parts, s[i+n:])
		s = s[:i]
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

// window applies the optional start and end arguments, and returns the part of
// s that they select and its offset in characters.
func window(s string, from, to Value) (part string, offset int64, ok bool) {
	n := int64(utf8.RuneCountInString(s))
	clamp := func(v Value, def int64) int64 {
		if _, none := v.(absent); none || v == nil {
			return def
		}
		i := intOr(v, 0, "index")
		if i < 0 {
			i = max(i+n, 0)
		}
		return i
	}
	start, end := clamp(from, 0), min(clamp(to, n), n)
	if start > end {
		return "", 0, false
	}
	lo := runeOffset(s, start)
	return s[lo : lo+runeOffset(s[lo:], end-start)], start, true
}

func affix(s, name string, a *args) Value {
	p := a.bind(name, 1, "prefix", "start", "end")
	part, _, ok := window(s, p[1], p[2])
	options := []Value{p[0]}
	if l, isTuple := p[0].(*List); isTuple && l.Tuple {
		options = l.Items
	}
	for _, o := range options {
		text := strOr(o, "", name+" argument")
		if ok && (name == "startswith" && strings.HasPrefix(part, text) || name == "endswith" && strings.HasSuffix(part, text)) {
			return true
		}
	}
	return false
}

func find(s, name string, a *args) Value {
	p := a.bind(name, 1, "sub", "start", "end")
	sub := strOr(p[0], "", "substring")
	part, offset, ok := window(s, p[1], p[2])
	if name == "count" {
		if !ok {
			return int64(0)
		}
		return int64(strings.Count(part, sub))
	}
	i := -1
	if ok && (name == "find" || name == "index") {
		i = strings.Index(part, sub)
	} else if ok {
		i = strings.LastIndex(part, sub)
	}
	if i >= 0 {
		return offset + int64(utf8.RuneCountInString(part[:i]))
	}
	if name == "index" || name == "rindex" {
		fail("substring not found")
	}
	return int64(-1)
}

func (in *interp) replace(s, old, new string, count int64) string {
	n := int64(strings.Count(s, old))
	if count >= 0 {
		n = min(n, count)
	}
	in.charge(len(s))
	in.chargeMany(len(new), n)
	return strings.Replace(s, old, new, int(n))
}

// join is sep.join(items): the items must be strings.
func (in *interp) join(sep string, items []Value) string {
	parts := make([]string, len(items))
	n := 0
	for i, x := range items {
		s, ok := x.(string)
		if !ok {
			fail("sequence item %d: expected str instance, %s found", i, typeName(x))
		}
		parts[i] = s
		n += len(s)
	}
	in.charge(n + 16*len(parts))
	in.chargeMany(len(sep), int64(len(parts)))
	return strings.Join(parts, sep)
}

func (in *interp) pad(s string, width int64, fill, how string) string {
	if utf8.RuneCountInString(fill) != 1 {
		fail("the fill character must be exactly one character long")
	}
	gap := width - int64(utf8.RuneCountInString(s))
	if gap <= 0 {
		return s
	}
	in.chargeMany(len(fill), gap)
	in.charge(len(s))
	left := int64(0)
	switch how {
	case "rjust":
		left = gap
	case "center":
		left = gap/2 + (gap & width & 1)
	}
	return strings.Repeat(fill, int(left)) + s + strings.Repeat(fill, int(gap-left))
}

func (in *interp) zfill(s string, width int64) string {
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') {
		sign, s = s[:1], s[1:]
	}
	return sign + in.pad(s, width-int64(len(sign)), "0", "rjust")
}

func partition(s, name, sep string) Value {
	if sep == "" {
		fail("empty separator")
	}
	if name == "partition" {
		before, after, found := strings.Cut(s, sep)
		if !found {
			return tuple(s, "", "")
		}
		return tuple(before, sep, after)
	}
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return tuple("", "", s)
	}
	return tuple(s[:i], sep, s[i+len(sep):])
}

func isLineBreak(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

func splitLines(s string, keep bool) []string {
	var lines []string
	for s != "" {
		i := strings.IndexFunc(s, isLineBreak)
		if i < 0 {
			return append(lines, s)
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		line := s[:i]
		if keep {
			line = s[:i+n]
		}
		lines = append(lines, line)
		s = s[i+n:]
	}
	return lines
}

func (in *interp) splitlines(s string, keep bool) Value { return in.strList(splitLines(s, keep)) }

func (in *interp) expandTabs(s string, size int64) string {
	in.chargeMany(strings.Count(s, "\t"), max(size, 1))
	in.charge(len(s))
	var b strings.Builder
	col := int64(0)
	for _, r := range s {
		switch {
		case r == '\t' && size > 0:
			n := size - col%size
			b.WriteString(strings.Repeat(" ", int(n)))
			col += n
		case r == '\t':
		case r == '\n' || r == '\r':
			b.WriteRune(r)
			col = 0
		default:
			b.WriteRune(r)
			col++
		}
	}
	return b.String()
}

// classify is one of the is… predicates.
func classify(s, name string) Value {
	cased, upper, lower, title, prevCased := false, true, true, true, false
	all := s != ""
	for _, r := range s {
		up, low := unicode.IsUpper(r) || unicode.IsTitle(r), unicode.IsLower(r)
		cased = cased || up || low
		upper = upper && !low
		lower = lower && !up
		title = title && !(up && prevCased) && !(low && !prevCased)
		prevCased = up || low
		switch name {
		case "isalpha":
			all = all && unicode.IsLetter(r)
		case "isalnum":
			all = all && (unicode.IsLetter(r) || unicode.IsNumber(r))
		case "isdigit", "isdecimal":
			all = all && unicode.IsDigit(r)
		case "isnumeric":
			all = all && unicode.IsNumber(r)
		case "isspace":
			all = all && isSpace(r)
		}
	}
	switch name {
	case "isupper":
		return cased && upper
	case "islower":
		return cased && lower
	case "istitle":
		return cased && title
	case "isascii":
		return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0
	}
	return all
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func upper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return cases.Upper(language.Und).String(s)
}

func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return cases.Lower(language.Und).String(s)
}

// changeCase is one of the methods that map the case of letters.
func (in *interp) changeCase(s, name string) Value {
	in.charge(3 * len(s))
	switch name {
	case "upper":
		return upper(s)
	case "lower":
		return lower(s)
	case "casefold":
		return cases.Fold().String(s)
	case "capitalize":
		return capitalize(s)
	case "title":
		return titleWords(s)
	}
	return strings.Map(func(r rune) rune { // swapcase
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return titleFirst(s[:n]) + lower(s[n:])
}

func titleFirst(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return cases.Title(language.Und, cases.NoLower).String(s)
}

// titleWords is str.title: a letter after a non-letter becomes a capital.
func titleWords(s string) string {
	var b strings.Builder
	prev := false
	for _, r := range s {
		if prev {
			b.WriteRune(unicode.ToLower(r))
		} else {
			b.WriteString(titleFirst(string(r)))
		}
		prev = unicode.IsUpper(r) || unicode.IsTitle(r) || unicode.IsLower(r)
	}
	return b.String()
}
