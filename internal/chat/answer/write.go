package answer

import (
	"strings"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/regex"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
)

// indent is how much white space ~ is at most behind a line feed, so that a model
// does not write white space without end.
const indent = 16

// expr reads a text of a layout in which no tool and no value stands.
func (w *composer) expr(text string) regex.ID {
	const special = "~⟨$"
	var parts []regex.ID
	for text != "" {
		switch {
		case text[0] == '~':
			parts = append(parts, w.space())
			text = text[1:]
		case strings.HasPrefix(text, "⟨"):
			inner, rest := alternation(text)
			var all []regex.ID
			for _, a := range inner {
				all = append(all, w.expr(a))
			}
			parts = append(parts, w.s.Or(all...))
			text = rest
		case strings.HasPrefix(text, "$N"):
			parts = append(parts, w.s.Repeat(w.s.ByteRange('0', '9'), 1, 3))
			text = text[len("$N"):]
		case strings.HasPrefix(text, "$ID"):
			letter := w.s.Or(w.s.ByteRange('0', '9'), w.s.ByteRange('A', 'Z'), w.s.ByteRange('a', 'z'))
			parts = append(parts, w.s.Repeat(letter, 9, 9))
			text = text[len("$ID"):]
		default:
			n := strings.IndexAny(text, special)
			if n < 0 {
				n = len(text)
			}
			parts = append(parts, w.s.Literal(w.shape.Spell(text[:n])))
			text = text[n:]
		}
	}
	return w.s.Concat(append(parts, regex.Epsilon)...)
}

// alternation splits a text that begins with ⟨ into the alternatives and what
// follows ⟩. Alternatives may have alternatives in them.
func alternation(text string) (all []string, rest string) {
	depth, from := 0, len("⟨")
	for i, c := range text {
		switch {
		case c == '⟨':
			depth++
		case c == '¦' && depth == 1:
			all = append(all, text[from:i])
			from = i + len("¦")
		case c == '⟩':
			if depth--; depth == 0 {
				return append(all, text[from:i]), text[i+len("⟩"):]
			}
		}
	}
	panic("a layout has an alternation without an end")
}

func (w *composer) space() regex.ID {
	blank := w.s.Or(w.s.Literal(" "), w.s.Literal("\t"))
	line := w.s.Literal("\n")
	if w.wide {
		return w.s.Star(w.s.Or(blank, line, w.s.Literal("\r")))
	}
	return w.s.Or(w.s.Opt(blank), w.s.Concat(w.s.Opt(blank), w.s.Repeat(line, 1, 2), w.s.Repeat(blank, 0, indent)))
}

// triggers are the texts from which on a layout's calls are certain: up to its
// mark, or where that may be text, too, up to the tool's name.
func (w *composer) triggers(l layout) (all []regex.ID) {
	w.wide = true
	defer func() { w.wide = false }()
	for _, c := range l.calls {
		if !l.soft {
			mark := l.open + c
			mark = mark[:strings.IndexAny(mark, "~⟨$")]
			return append(all, w.s.Literal(w.shape.Spell(mark)))
		}
		before, after, _ := strings.Cut(l.open+c, "$NAME")
		after = after[:strings.IndexAny(after, "~⟨$")]
		all = append(all, w.s.Concat(w.expr(before), w.s.Literals(w.spelled(before, after))))
	}
	return all
}

// spelled are the tools' names, with what follows them, where before precedes them.
func (w *composer) spelled(before, after string) (all []string) {
	for _, name := range w.names() {
		if strings.HasSuffix(before, `"`) && strings.HasPrefix(after, `"`) {
			name = string(appendEscaped(nil, name))
		}
		all = append(all, name+after)
	}
	return all
}

// blocks is any of the format's layouts that are wanted; with one they have one
// call.
func (w *composer) blocks(one bool, wanted func(layout) bool) grammar.Node {
	var all []grammar.Node
	for _, l := range w.format.layouts {
		if len(w.shape.Tools) > 0 && wanted(l) {
			all = append(all, w.block(l, one))
		}
	}
	r := w.b.Rule("calls")
	w.b.Define(r, w.b.Choice(append(all, w.b.Lexeme(regex.Empty))...))
	return w.b.Call(r)
}

func (w *composer) block(l layout, one bool) grammar.Node {
	b := w.b
	var ways []grammar.Node
	for _, c := range l.calls {
		before, rest, _ := strings.Cut(c, "$NAME")
		middle, after, _ := strings.Cut(rest, "$ARGS")
		near := len(middle)
		if n := strings.IndexAny(middle, "~⟨$"); n >= 0 {
			near = n
		}
		var tools []grammar.Node
		for i, name := range w.spelled(before, middle[:near]) {
			tools = append(tools, b.Seq(b.Lexeme(w.s.Concat(w.s.Literal(w.shape.Spell(name)), w.expr(middle[near:]))), w.arguments(i, l.args)))
		}
		ways = append(ways, b.Seq(w.lexeme(before), b.Choice(tools...), w.lexeme(after)))
	}
	r := b.Rule("call")
	b.Define(r, b.Choice(ways...))
	calls := b.Call(r)
	if l.next != "" && !one {
		calls = b.Seq(calls, w.many(b.Seq(w.lexeme(l.next), calls)))
	}
	return b.Seq(w.lexeme(l.open), calls, w.lexeme(l.close))
}

// arguments is the arguments of a tool.
func (w *composer) arguments(tool int, v values) grammar.Node {
	key := argsKey{tool, v.kind}
	if n, ok := w.args[key]; ok {
		return n
	}
	t := &w.shape.Tools[tool]
	text := t.Parameters
	if len(text) == 0 || string(text) == "null" || w.anyhow[tool] != nil {
		text = []byte(anyArguments)
	}
	n, err := w.written(t, text, v)
	if err != nil {
		if w.failed == nil {
			w.failed = map[int]error{}
		}
		if w.failed[tool] == nil {
			w.failed[tool] = err
		}
		n = w.b.Nothing()
	} else {
		r := w.b.Rule("arguments")
		w.b.Define(r, n)
		n = w.b.Call(r)
	}
	w.args[key] = n
	return n
}

func (w *composer) written(t *Tool, text []byte, v values) (grammar.Node, error) {
	limits := w.shape.Limits
	switch v.kind {
	case asJSON:
		return schema.AddObjects(w.b, text, schema.Notation{}, limits)
	case asBraces:
		return schema.AddObjects(w.b, text, schema.Notation{Quote: w.shape.Spell(v.quote), BareKeys: true}, limits)
	case asKeywords:
		members, any, err := schema.AddMembers(w.b, text, schema.Notation{Null: "None", False: "False", True: "True"}, limits)
		if err != nil {
			return 0, err
		}
		return w.keywords(members, any), nil
	}
	members, any, err := schema.AddMembers(w.b, text, schema.Notation{}, limits)
	if err != nil {
		return 0, err
	}
	return w.elements(t, v, members, any), nil
}

// freeKey is the name of an argument that no schema names.
func (w *composer) freeKey() regex.ID {
	letter := w.s.Or(w.s.ByteRange('A', 'Z'), w.s.ByteRange('a', 'z'), w.s.Literal("_"))
	return w.s.Concat(letter, w.s.Repeat(w.s.Or(letter, w.s.ByteRange('0', '9')), 0, 63))
}

// keywords is key=value, … in order.
func (w *composer) keywords(members []schema.Member, any *grammar.Node) grammar.Node {
	b := w.b
	comma := w.expr(",~")
	pair := func(key regex.ID, value grammar.Node, first bool) grammar.Node {
		r := w.s.Concat(key, w.s.Literal("="))
		if !first {
			r = w.s.Concat(comma, r)
		}
		return b.Seq(b.Lexeme(r), value)
	}
	var from func(i int, first bool) grammar.Node
	made := map[[2]int]grammar.Rule{}
	from = func(i int, first bool) grammar.Node {
		if i == len(members) {
			if any == nil || i > 0 {
				return b.Nothing()
			}
			return b.Optional(b.Seq(pair(w.freeKey(), *any, true), w.many(pair(w.freeKey(), *any, false))))
		}
		key := [2]int{i, 0}
		if first {
			key[1] = 1
		}
		r, ok := made[key]
		if !ok {
			m := &members[i]
			r = b.Rule("keywords")
			made[key] = r
			ways := []grammar.Node{b.Seq(pair(w.s.Literal(m.Key), m.Value, first), from(i+1, false))}
			if !m.Required {
				ways = append(ways, from(i+1, first))
			}
			b.Define(r, b.Choice(ways...))
		}
		return b.Call(r)
	}
	return from(0, true)
}

// elements is arguments in order, each between tags.
func (w *composer) elements(t *Tool, v values, members []schema.Member, any *grammar.Node) grammar.Node {
	b := w.b
	element := func(template string, key regex.ID, value grammar.Node) grammar.Node {
		before, rest, _ := strings.Cut(template, "$KEY")
		middle, after, _ := strings.Cut(rest, "$VALUE")
		return b.Seq(b.Lexeme(w.s.Concat(w.expr(before), key, w.expr(middle))), value, w.lexeme(after))
	}
	var all []grammar.Node
	for _, m := range members {
		n := m.Value
		template := v.json
		if t.strings[m.Key] {
			template = v.text
			n = b.Lexeme(w.plain(m.Texts, template, v.end))
		}
		n = element(template, w.s.Literal(m.Key), n)
		if !m.Required {
			n = b.Optional(n)
		}
		all = append(all, n)
	}
	if any != nil && len(members) == 0 {
		return w.many(element(v.json, w.freeKey(), *any))
	}
	return b.Seq(all...)
}

// plain is texts as they stand between tags. A line feed next to a tag that has
// none of its own would not be read as part of the text.
func (w *composer) plain(texts regex.ID, template, end string) regex.ID {
	parts := []regex.ID{texts, w.without(w.s.Literal(end))}
	if !strings.Contains(template, "\n$VALUE\n") {
		line := w.s.Literal("\n")
		parts = append(parts, w.s.Not(w.s.Concat(line, regex.All)), w.s.Not(w.s.Concat(regex.All, line)))
	}
	return w.s.And(parts...)
}
