package answer

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/regex"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
)

// Shape says what the answers to one request may be.
type Shape struct {
	Tools       []Tool // that may be called
	Required    bool   // there is at least one call, and no text
	One         bool   // there is at most one call, and nothing behind it
	Reasoning   *Reasoner
	InReasoning bool // the prompt ends with the marker that begins reasoning
	Thought     bool // the prompt has the reasoning already

	// What an answer without calls is; nil: any text.
	Form func(b *grammar.Builder) (grammar.Node, error)
	// Spell returns a text of the format as the vocabulary of the grammar has it,
	// which has control tokens as bytes that no text has.
	Spell  func(text string) string
	Limits schema.Limits // of each tool's schema, and of the grammar, which is all of them
}

// ToolError says why the arguments of a tool can't be held to its schema.
type ToolError struct {
	Tool string
	Err  error
}

func (e *ToolError) Error() string { return fmt.Sprintf("tool %s: %v", e.Tool, e.Err) }

func (e *ToolError) Unwrap() error { return e.Err }

// anyArguments is the schema of tools that have none, or whose own is too much.
const anyArguments = `{"type":"object"}`

// Grammar makes the grammar of the answers of a shape. Text and reasoning are
// free; from where a call begins, it is one of a tool of the shape, with arguments
// of the tool's schema. Tools that need not be strict and whose schemas do not
// compile take any arguments; they are in loose. Otherwise the error is a
// ToolError, or one of the form.
func (f *Format) Grammar(s Shape) (g *grammar.Grammar, loose []*ToolError, err error) {
	anyhow := make([]error, len(s.Tools))
	// The first attempt finds the tools that do not compile, the second does without
	// them, and the third holds no tool to its schema.
	for attempt := range 3 {
		w := newComposer(f, s, anyhow)
		g, err = w.grammar()
		switch {
		case w.formErr != nil:
			return nil, nil, w.formErr
		case w.failed == nil && err == nil:
			return g, looseTools(s.Tools, anyhow), nil
		}
		for i, t := range s.Tools {
			reason := w.failed[i]
			if reason == nil && (err != nil || attempt > 0) { // all of it is too large
				reason = cmp.Or(err, errSize)
			}
			if reason != nil && t.Strict {
				return nil, nil, &ToolError{t.Name, reason}
			}
			anyhow[i] = cmp.Or(anyhow[i], reason)
		}
	}
	return nil, nil, cmp.Or(err, errSize)
}

var errSize = errors.New("the schemas of all tools together are too large")

func looseTools(tools []Tool, anyhow []error) (all []*ToolError) {
	for i, reason := range anyhow {
		if reason != nil {
			all = append(all, &ToolError{tools[i].Name, reason})
		}
	}
	return all
}

// composer makes one grammar.
type composer struct {
	format  *Format
	shape   Shape
	b       *grammar.Builder
	s       *regex.Set
	anyhow  []error // [tools] why a tool takes any arguments; nil: it does not
	failed  map[int]error
	formErr error
	args    map[argsKey]grammar.Node
	wide    bool // ~ is any white space
}

// compileWork is how much work the schemas of all tools may be, unless the limits
// say otherwise: about a second.
const compileWork = 8_000_000

func newComposer(f *Format, s Shape, anyhow []error) *composer {
	limits := s.Limits.Grammar
	limits.Work = cmp.Or(limits.Work, compileWork)
	w := &composer{format: f, shape: s, b: grammar.NewBuilder(limits), anyhow: anyhow, args: map[argsKey]grammar.Node{}}
	w.s = w.b.Regex()
	return w
}

type argsKey struct {
	tool int
	kind valueKind
}

func (w *composer) grammar() (*grammar.Grammar, error) {
	start := w.b.Rule("answer")
	if w.format.frame != nil {
		w.b.Define(start, w.framed(w.format.frame))
	} else {
		w.b.Define(start, w.answer())
	}
	if w.failed != nil || w.formErr != nil {
		return nil, w.formErr
	}
	return w.b.Compile(start)
}

func (w *composer) lexeme(text string) grammar.Node { return w.b.Lexeme(w.expr(text)) }

func (w *composer) many(n grammar.Node) grammar.Node { return w.b.Repeat(n, 0, regex.Unbounded) }

// without is any bytes in which nothing of r is found.
func (w *composer) without(r regex.ID) regex.ID { return w.s.Not(w.s.Containing(r)) }

// cuttable is free text, or reasoning: where a limit cuts it, it must not look as if the
// model had ended it.
func (w *composer) cuttable(r regex.ID) grammar.Node { return w.b.Seq(w.b.Lexeme(r), w.b.Open()) }

// answer is an answer that is text but for its calls.
func (w *composer) answer() grammar.Node {
	b, s := w.b, &w.shape
	var head, cut, event []grammar.Node
	if r := s.Reasoning; r != nil {
		thought := b.Lexeme(w.without(w.s.Literal(s.Spell(r.Close))))
		whole := b.Seq(thought, b.Lexeme(w.s.Literal(s.Spell(r.Close))), w.lexeme("~"))
		opened := b.Lexeme(w.s.Concat(w.expr("~"), w.s.Literal(s.Spell(r.Open))))
		event = append(event, b.Seq(b.Lexeme(w.s.Literal(s.Spell(r.Open))), whole))
		switch {
		case s.InReasoning:
			head, cut = append(head, whole), append(cut, b.Seq(thought, b.Open()))
		case !s.Thought:
			head, cut = append(head, b.Optional(b.Seq(opened, whole))), append(cut, b.Seq(opened, thought, b.Open()))
		}
	}
	if s.Required {
		call := w.blocks(s.One, func(l layout) bool { return !l.soft || l.start && len(w.format.marked()) == 0 })
		return b.Seq(append(head, b.Optional(w.lexeme("~")), w.calls(call, w.lexeme("~")))...)
	}
	if s.Form != nil {
		n, err := s.Form(b)
		if err != nil {
			w.formErr = err
		}
		if len(s.Tools) > 0 {
			call := w.blocks(s.One, func(l layout) bool { return !l.soft || l.start })
			n = b.Choice(n, w.calls(call, w.lexeme("~")))
		}
		return b.Seq(append(head, n)...)
	}
	return b.Choice(append(cut, b.Seq(append(head, w.free(event))...))...)
}

// calls is one call or several.
func (w *composer) calls(call, between grammar.Node) grammar.Node {
	if w.shape.One {
		return call
	}
	r := w.b.Rule("calls")
	w.b.Define(r, w.b.Seq(call, w.many(w.b.Seq(between, call))))
	return w.b.Call(r)
}

// free is text with calls in it, and with reasoning (event).
func (w *composer) free(event []grammar.Node) grammar.Node {
	b, s := w.b, &w.shape
	var marks, starts []regex.ID
	for _, l := range w.format.layouts {
		if len(s.Tools) == 0 {
			break
		}
		if l.start {
			starts = append(starts, w.triggers(l)...)
		} else {
			marks = append(marks, w.triggers(l)...)
		}
	}
	if r := s.Reasoning; r != nil {
		marks = append(marks, w.s.Literal(s.Spell(r.Open)))
	}
	text := regex.All
	if len(marks) > 0 {
		text = w.without(w.s.Or(marks...))
	}
	first := text // behind nothing, or behind calls without marks
	if len(starts) > 0 {
		blank := w.s.Star(w.s.Or(w.s.Literal(" "), w.s.Literal("\t"), w.s.Literal("\r"), w.s.Literal("\n"), w.s.Literal(","), w.s.Literal(";")))
		first = w.s.And(text, w.s.Not(w.s.Concat(blank, w.s.Or(starts...), regex.All)))
	}
	begin := []grammar.Node{w.cuttable(first)}
	inner := w.blocks(s.One, func(l layout) bool { return !l.start })
	early := w.blocks(s.One, func(l layout) bool { return l.start })
	none := len(s.Tools) == 0
	tail := b.Nothing()
	switch {
	case none && len(event) == 0:
	case none:
		tail = w.many(b.Seq(event[0], w.cuttable(text)))
	case s.One:
		if len(event) > 0 {
			tail = w.many(b.Seq(event[0], w.cuttable(text)))
		}
		tail = b.Seq(tail, b.Optional(inner))
	default:
		more := []grammar.Node{b.Seq(inner, b.Lexeme(text))}
		if len(event) > 0 {
			more = append(more, b.Seq(event[0], w.cuttable(text)))
		}
		tail = w.many(b.Choice(more...))
	}
	if r := s.Reasoning; r != nil { // reasoning may be the last thing
		open := b.Seq(b.Lexeme(w.s.Literal(s.Spell(r.Open))), w.cuttable(w.without(w.s.Literal(s.Spell(r.Close)))))
		tail = b.Seq(tail, b.Optional(open))
	}
	if len(starts) > 0 {
		call := b.Seq(w.lexeme("~"), early)
		if s.One {
			return b.Choice(call, b.Seq(begin[0], tail))
		}
		begin = append(begin, b.Seq(call, b.Lexeme(first)))
	}
	return b.Seq(b.Choice(begin...), tail)
}

// marked are the layouts of which text is told apart by a mark.
func (f *Format) marked() (all []layout) {
	for _, l := range f.layouts {
		if !l.soft {
			all = append(all, l)
		}
	}
	return all
}

// framed is an answer that is divided into messages.
func (w *composer) framed(f *frame) grammar.Node {
	b, s := w.b, &w.shape
	var marks []regex.ID
	for _, m := range f.marks {
		before, after, named := strings.Cut(m, "⟨all¦$NAME⟩")
		if !named {
			marks = append(marks, w.expr(m))
			continue
		}
		for _, name := range append([]string{"all"}, w.names()...) {
			marks = append(marks, w.expr(before+name+after))
		}
	}
	body := b.Lexeme(w.without(w.s.Or(marks...)))
	message := func(heads []string, body grammar.Node) (all []grammar.Node) {
		for _, h := range heads {
			all = append(all, b.Seq(w.lexeme(h), body))
		}
		return all
	}
	between := w.lexeme(f.end + f.next)
	end := b.Optional(w.lexeme(f.end))
	thoughts := b.Nothing()
	if len(f.think) > 0 {
		thoughts = w.many(b.Seq(b.Choice(message(f.think, body)...), between))
	}
	var call []grammar.Node
	if len(s.Tools) > 0 {
		call = append(call, w.blocks(true, func(layout) bool { return true }))
	}
	if s.Required {
		return b.Seq(thoughts, w.calls(call[0], between), end)
	}
	if s.Form != nil {
		n, err := s.Form(b)
		if err != nil {
			w.formErr = err
		}
		last := message(f.form, n)
		if len(call) > 0 {
			last = append(last, w.calls(call[0], between))
		}
		return b.Seq(thoughts, b.Choice(last...), end)
	}
	free := b.Seq(body, b.Open())
	texts := append(message(f.think, free), message(f.text, free)...)
	if s.One && len(call) > 0 {
		return b.Seq(w.many(b.Seq(b.Choice(texts...), between)), b.Choice(append(texts, call[0])...), end)
	}
	any := b.Choice(append(texts, call...)...)
	return b.Seq(any, w.many(b.Seq(between, any)), end)
}

func (w *composer) names() (all []string) {
	for _, t := range w.shape.Tools {
		all = append(all, t.Name)
	}
	return all
}
