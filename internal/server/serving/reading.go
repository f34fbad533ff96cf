package serving

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/answer"
)

// reading takes the text of one generation apart.
type reading struct {
	parser  *answer.Parser
	marks   []mark // control tokens that the parser has not seen
	oneCall bool
	over    bool // the one call has ended
}

// mark is a control token, which is no text, in its place.
type mark struct {
	at   int // bytes of the generation's text before it
	name string
}

// start begins to read the answer.
func (r *Reading) start() *reading {
	return &reading{parser: r.format.New(r.options), oneCall: r.oneCall}
}

// take gives the parser a piece of the text, which begins at an offset, with the
// control tokens in it, and returns the parts that have become certain. done
// says that it is the last piece, cut that a limit ended the answer.
func (r *reading) take(text []byte, at int, done, cut bool) []answer.Part {
	if r.over {
		return nil
	}
	n := 0
	for ; n < len(r.marks) && r.marks[n].at <= at+len(text); n++ {
		before := r.marks[n].at - at
		r.parser.Write(text[:before])
		r.parser.Control(r.marks[n].name)
		text, at = text[before:], r.marks[n].at
	}
	r.marks = r.marks[:copy(r.marks, r.marks[n:])]
	r.parser.Write(text)
	var parts []answer.Part
	if done {
		parts = r.parser.Finish(cut)
	} else {
		parts = r.parser.Parts()
	}
	if r.oneCall {
		if i := slices.IndexFunc(parts, func(p answer.Part) bool { return p.Kind == answer.Call && p.Index > 0 }); i >= 0 {
			r.over = true
			return parts[:i]
		}
	}
	return parts
}

// calls returns how many calls the answer has.
func (r *reading) calls() int {
	if r.over {
		return 1
	}
	return r.parser.Calls()
}

// gather adds parts to what was collected.
func (c *Collected) gather(parts []answer.Part) {
	for _, p := range parts {
		switch p.Kind {
		case answer.Text:
			c.text = append(c.text, p.Text...)
		case answer.Reasoning:
			c.reasoning = append(c.reasoning, p.Text...)
		case answer.Call:
			if p.Index == len(c.Calls) {
				c.Calls, c.arguments = append(c.Calls, chat.Call{ID: p.ID, Name: p.Name}), append(c.arguments, nil)
			}
			c.arguments[p.Index] = append(c.arguments[p.Index], p.Text...)
		}
	}
}
