package jinja

import (
	"sort"
	"strings"
)

// Range is the part of a text from byte Start to before byte End.
type Range = struct{ Start, End int }

// text is a string that knows which of its bytes came from a client. The value
// of a string without such bytes is a Go string, of others a *text.
//
// Marks survive whatever a template does with a text. Where an operation keeps
// track, they stay with the bytes; where it does not, its whole result is marked
// (interp.marked), because a byte that lost its mark could become a turn.
type text struct {
	s     string
	marks []Range // ascending, apart from each other, none empty

	// html is set on results of |safe and |escape: adding a plain string to one
	// escapes that string, even with automatic escaping off. Templates that write
	// '<tag>' + (x|safe) depend on it.
	html bool
}

// Client returns a string all of which came from a client.
func Client(s string) Value { return wholly(s).value() }

func wholly(s string) text {
	if s == "" {
		return text{}
	}
	return text{s: s, marks: []Range{{0, len(s)}}}
}

func (t text) value() Value {
	if len(t.marks) == 0 && !t.html {
		return t.s
	}
	return &t
}

// textOf returns the string that v is.
func textOf(v Value) (t text, ok bool) {
	switch v := v.(type) {
	case string:
		return text{s: v}, true
	case *text:
		return *v, true
	}
	return text{}, false
}

// look returns the string that v is, to compare it or to look something up.
// What becomes part of a text must be read with interp.read or textOf instead.
func look(v Value) (s string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case *text:
		return v.s, true
	}
	return "", false
}

// plain returns v without the property of being HTML.
func plain(v Value) Value {
	if t, ok := v.(*text); ok && t.html {
		return text{s: t.s, marks: t.marks}.value()
	}
	return v
}

// read returns the string that v is without its marks, and remembers that there
// were some: the result of the filter or method that asks becomes marked.
func (in *interp) read(v Value) (s string, ok bool) {
	if t, isText := v.(*text); isText {
		in.unmarked = in.unmarked || len(t.marks) > 0
		return t.s, true
	}
	s, ok = v.(string)
	return s, ok
}

// marked calls f and marks the strings in its result that carry no marks of
// their own, if f has read marked ones.
func (in *interp) marked(f func() Value) Value {
	before := in.unmarked
	in.unmarked = false
	v := f()
	if in.unmarked {
		v = in.markBare(v)
	}
	in.unmarked = before
	return v
}

// markBare marks a string, or those of a list, of which nothing is marked.
func (in *interp) markBare(v Value) Value {
	switch v := v.(type) {
	case string:
		return Client(v)
	case *text:
		if len(v.marks) == 0 {
			t := wholly(v.s)
			t.html = v.html
			return t.value()
		}
	case *List:
		return &List{in.markItems(v.Items), v.Tuple}
	case *iterable:
		return &iterable{kind: v.kind, items: in.markItems(v.items), once: v.once}
	}
	return v
}

func (in *interp) markItems(items []Value) []Value {
	in.charge(48 * len(items))
	marked := make([]Value, len(items))
	for i, v := range items {
		marked[i] = v
		if _, isString := look(v); isString {
			marked[i] = in.markBare(v)
		}
	}
	return marked
}

// cut returns the bytes of t from i to before j.
func (t text) cut(i, j int) text {
	part := text{s: t.s[i:j]}
	if len(t.marks) == 0 || i == j {
		return part
	}
	from := sort.Search(len(t.marks), func(m int) bool { return t.marks[m].End > i })
	for _, r := range t.marks[from:] {
		if r.Start >= j {
			break
		}
		part.marks = append(part.marks, Range{max(r.Start, i) - i, min(r.End, j) - i})
	}
	return part
}

// between returns what is left of t when left has cut off its beginning and then
// right its end.
func (t text) between(left, right func(string) string) text {
	s := left(t.s)
	start := len(t.s) - len(s)
	return t.cut(start, start+len(right(s)))
}

// segments returns what is left of t when f has replaced each part that is
// wholly marked or wholly unmarked. f must work character by character.
func (t text) segments(f func(string) string) text {
	if len(t.marks) == 0 {
		return text{s: f(t.s)}
	}
	var w builder
	at := 0
	for _, r := range t.marks {
		w.str(f(t.s[at:r.Start]))
		w.text(wholly(f(t.s[r.Start:r.End])))
		at = r.End
	}
	w.str(f(t.s[at:]))
	return w.done()
}

// sameLength returns s, into which a function has turned t. The marks stay where
// they were if no character can have moved, which is so for ASCII; else the
// whole is marked.
func (t text) sameLength(s string) text {
	switch {
	case len(t.marks) == 0:
		return text{s: s}
	case len(s) == len(t.s) && isASCII(t.s):
		return text{s: s, marks: t.marks}
	}
	return wholly(s)
}

// builder puts a text together.
type builder struct {
	b     strings.Builder
	marks []Range
}

func (w *builder) str(s string) { w.b.WriteString(s) }

func (w *builder) text(t text) {
	at := w.b.Len()
	w.b.WriteString(t.s)
	w.marks = appendMarks(w.marks, at, t.marks)
}

func (w *builder) done() text { return text{s: w.b.String(), marks: w.marks} }

// appendMarks adds ranges that begin at a place of a longer text, and joins
// neighbours.
func appendMarks(marks []Range, at int, more []Range) []Range {
	for _, r := range more {
		start, end := at+r.Start, at+r.End
		if last := len(marks) - 1; last >= 0 && marks[last].End == start {
			marks[last].End = end
		} else if end > start {
			marks = append(marks, Range{start, end})
		}
	}
	return marks
}

// concat joins texts with a separator between them.
func (in *interp) concat(texts []text, sep text) text {
	n := 0
	for i := range texts {
		n += len(texts[i].s)
	}
	in.charge(n)
	if len(texts) > 1 {
		in.chargeMany(len(sep.s), int64(len(texts)-1))
		n += len(sep.s) * (len(texts) - 1)
	}
	var w builder
	w.b.Grow(n)
	for i := range texts {
		if i > 0 {
			w.text(sep)
		}
		w.text(texts[i])
	}
	return w.done()
}

var escaper = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")

// escape returns t as HTML.
func (in *interp) escape(t text) text {
	if t.html {
		return t
	}
	in.charge(5 * len(t.s))
	t = t.segments(escaper.Replace)
	t.html = true
	return t
}

// addHTML is a + b when at least one of them is HTML.
func (in *interp) addHTML(a, b Value) (Value, bool) {
	at, aok := textOf(a)
	bt, bok := textOf(b)
	if !aok || !bok || !at.html && !bt.html {
		return nil, false
	}
	sum := in.concat([]text{in.escape(at), in.escape(bt)}, text{})
	sum.html = true
	return sum.value(), true
}
