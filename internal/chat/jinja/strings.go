package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// method calls a method of a built-in type. Results of a method of HTML are HTML.
func (in *interp) method(self Value, name string, a *args) Value {
	in.visit(self)
	in.visitArgs(a)
	switch v := self.(type) {
	case *Dict:
		return in.dictMethod(v, name, a)
	case *List:
		return in.listMethod(v, name, a)
	case *loopContext:
		return in.loopMethod(v, name, a)
	}
	t, ok := textOf(self)
	if !ok {
		fail("'%s' object has no method '%s'", typeName(self), name)
	}
	html := t.html
	t.html = false
	r := in.marked(func() Value { return in.strMethod(t, name, a) })
	if rt, ok := textOf(r); ok && html {
		rt.html = true
		return rt.value()
	}
	return r
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
func (in *interp) strMethod(t text, name string, a *args) Value {
	switch name {
	case "strip", "lstrip", "rstrip":
		return in.strip(t, name, a).value()
	case "split", "rsplit":
		return in.split(t, name, a)
	case "startswith", "endswith":
		return affix(t.s, name, a)
	case "removeprefix":
		prefix := needLook(a.bind(name, 1, "prefix")[0], "prefix")
		return t.cut(len(t.s)-len(strings.TrimPrefix(t.s, prefix)), len(t.s)).value()
	case "removesuffix":
		suffix := needLook(a.bind(name, 1, "suffix")[0], "suffix")
		return t.cut(0, len(strings.TrimSuffix(t.s, suffix))).value()
	case "find", "rfind", "index", "rindex", "count":
		return find(t.s, name, a)
	case "replace":
		p := a.bind(name, 2, "old", "new", "count")
		return in.replace(t, needText(p[0], "old"), needText(p[1], "new"), intOr(p[2], -1, "count")).value()
	case "join":
		return in.join(t, in.iterate(a.bind(name, 1, "iterable")[0]))
	case "partition", "rpartition":
		return partition(t, name, needText(a.bind(name, 1, "sep")[0], "sep"))
	case "splitlines":
		return in.texts(in.splitLines(t, boolOr(a.bind(name, 0, "keepends")[0], false)))
	case "format":
		return in.format(t, a).value()
	}
	a.bind(name, 0)
	if strings.HasPrefix(name, "is") {
		return classify(t.s, name)
	}
	return in.changeCase(t, name).value()
}

// needText returns the string that an argument must be.
func needText(v Value, what string) text {
	t, ok := textOf(need(v))
	if !ok {
		fail("%s must be a string, not %s", what, typeName(v))
	}
	return t
}

// needLook returns a string argument that only decides what becomes of others.
func needLook(v Value, what string) string { return needText(v, what).s }

func (in *interp) strip(t text, name string, a *args) text {
	chars := a.bind(name, 0, "chars")[0]
	out := isSpace
	if _, ok := chars.(absent); !ok && chars != nil {
		set := map[rune]bool{}
		s := needLook(chars, "chars")
		in.charge(16 * len(s))
		for _, r := range s {
			set[r] = true
		}
		out = func(r rune) bool { return set[r] }
	}
	keep := func(s string) string { return s }
	left, right := keep, keep
	if name != "rstrip" {
		left = func(s string) string { return strings.TrimLeftFunc(s, out) }
	}
	if name != "lstrip" {
		right = func(s string) string { return strings.TrimRightFunc(s, out) }
	}
	return t.between(left, right)
}

func (in *interp) split(t text, name string, a *args) Value {
	p := a.bind(name, 0, "sep", "maxsplit")
	limit := int(min(intOr(p[1], -1, "maxsplit"), int64(len(t.s))))
	if limit < 0 {
		limit = len(t.s) + 1
	}
	if _, ok := p[0].(absent); ok || p[0] == nil {
		return in.pieces(t, splitSpace(t.s, limit, name == "rsplit"))
	}
	sep := needLook(p[0], "sep")
	if sep == "" {
		fail("empty separator")
	}
	in.chargeMany(64, min(int64(strings.Count(t.s, sep)), int64(limit))+1)
	return in.pieces(t, splitSep(t.s, sep, limit, name == "rsplit"))
}

// pieces makes a list of parts of t, of which each is where it starts and ends.
func (in *interp) pieces(t text, parts [][2]int) Value {
	in.charge(64 * len(parts))
	items := make([]Value, len(parts))
	for i, part := range parts {
		items[i] = t.cut(part[0], part[1]).value()
	}
	return &List{Items: items}
}

func (in *interp) texts(parts []text) *List {
	in.charge(64 * len(parts))
	items := make([]Value, len(parts))
	for i, part := range parts {
		items[i] = part.value()
	}
	return &List{Items: items}
}

// splitSep returns the places of the parts of s between separators.
func splitSep(s, sep string, limit int, right bool) [][2]int {
	var parts [][2]int
	if !right {
		at := 0
		for ; limit > 0; limit-- {
			i := strings.Index(s[at:], sep)
			if i < 0 {
				break
			}
			parts = append(parts, [2]int{at, at + i})
			at += i + len(sep)
		}
		return append(parts, [2]int{at, len(s)})
	}
	end := len(s)
	for ; limit > 0; limit-- {
		i := strings.LastIndex(s[:end], sep)
		if i < 0 {
			break
		}
		parts = append(parts, [2]int{i + len(sep), end})
		end = i
	}
	parts = append(parts, [2]int{0, end})
	slices.Reverse(parts)
	return parts
}

// splitSpace returns the places of the words of s, the last (or, from the right,
// the first) of which is the rest where there are more than limit.
func splitSpace(s string, limit int, right bool) [][2]int {
	var parts [][2]int
	if right {
		for end := len(strings.TrimRightFunc(s, isSpace)); end > 0; end = len(strings.TrimRightFunc(s[:end], isSpace)) {
			start := 0
			if i := strings.LastIndexFunc(s[:end], isSpace); i >= 0 && len(parts) < limit {
				_, n := utf8.DecodeRuneInString(s[i:])
				start = i + n
			}
			parts = append(parts, [2]int{start, end})
			end = start
		}
		slices.Reverse(parts)
		return parts
	}
	skip := func(at int) int { return len(s) - len(strings.TrimLeftFunc(s[at:], isSpace)) }
	for at := skip(0); at < len(s); at = skip(at) {
		end := len(s)
		if i := strings.IndexFunc(s[at:], isSpace); i >= 0 && len(parts) < limit {
			end = at + i
		}
		parts = append(parts, [2]int{at, end})
		at = end
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
		text := needLook(o, name+" argument")
		if ok && (name == "startswith" && strings.HasPrefix(part, text) || name == "endswith" && strings.HasSuffix(part, text)) {
			return true
		}
	}
	return false
}

func find(s, name string, a *args) Value {
	p := a.bind(name, 1, "sub", "start", "end")
	sub := needLook(p[0], "substring")
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

// replace replaces the first count occurrences, all if it is negative.
func (in *interp) replace(t, old, new text, count int64) text {
	n := int64(strings.Count(t.s, old.s))
	if count >= 0 {
		n = min(n, count)
	}
	in.charge(len(t.s))
	in.chargeMany(len(new.s), n)
	if len(t.marks) == 0 && len(new.marks) == 0 {
		return text{s: strings.Replace(t.s, old.s, new.s, int(n))}
	}
	var w builder
	at := 0 // what is before has been written
	for i := 0; n > 0; n-- {
		if old.s == "" { // found before every character, and at the end
			w.text(t.cut(at, i))
			w.text(new)
			_, size := utf8.DecodeRuneInString(t.s[i:])
			at, i = i, i+size
			continue
		}
		i += strings.Index(t.s[i:], old.s)
		w.text(t.cut(at, i))
		w.text(new)
		i += len(old.s)
		at = i
	}
	w.text(t.cut(at, len(t.s)))
	return w.done()
}

// join is sep.join(items): the items must be strings.
func (in *interp) join(sep text, items []Value) Value {
	in.charge(64 * len(items))
	parts := make([]text, len(items))
	for i, x := range items {
		part, ok := textOf(x)
		if !ok || part.html {
			fail("sequence item %d: expected str instance, %s found", i, typeName(x))
		}
		parts[i] = part
	}
	return in.concat(parts, sep).value()
}

func partition(t text, name string, sep text) Value {
	if sep.s == "" {
		fail("empty separator")
	}
	i := strings.Index(t.s, sep.s)
	if name == "rpartition" {
		i = strings.LastIndex(t.s, sep.s)
	}
	switch {
	case i >= 0:
		end := i + len(sep.s)
		return tuple(t.cut(0, i).value(), t.cut(i, end).value(), t.cut(end, len(t.s)).value())
	case name == "partition":
		return tuple(t.value(), "", "")
	}
	return tuple("", "", t.value())
}

func isLineBreak(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

func (in *interp) splitLines(t text, keep bool) []text {
	var lines []text
	for at := 0; at < len(t.s); {
		in.charge(64)
		i := strings.IndexFunc(t.s[at:], isLineBreak)
		if i < 0 {
			return append(lines, t.cut(at, len(t.s)))
		}
		i += at
		_, n := utf8.DecodeRuneInString(t.s[i:])
		if strings.HasPrefix(t.s[i:], "\r\n") {
			n = 2
		}
		end := i
		if keep {
			end = i + n
		}
		lines = append(lines, t.cut(at, end))
		at = i + n
	}
	return lines
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
func (in *interp) changeCase(t text, name string) text {
	in.charge(3 * len(t.s))
	change := map[string]func(string) string{"upper": upper, "lower": lower, "capitalize": capitalize, "title": titleWords}[name]
	return t.sameLength(change(t.s))
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
