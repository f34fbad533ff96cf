package answer

import "iter"

// Kind says what a Part belongs to.
type Kind uint8

// The kinds of parts.
const (
	Text Kind = iota
	Reasoning
	Call
)

// String returns the kind's name.
func (k Kind) String() string { return [...]string{"text", "reasoning", "call"}[k] }

// Part is a piece of an answer. Pieces of one kind that follow each other
// belong together; so do those of a call with the same Index.
type Part struct {
	Kind  Kind
	Index int    // of a call: 0 for the answer's first
	ID    string // of a call, with its first part only
	Name  string // of the tool, with the call's first part only
	Text  []byte // text, reasoning, or a fragment of the call's arguments, which are one JSON object
}

// Options are what a parser must know about one request.
type Options struct {
	Tools       []Tool             // that may be called; none: nothing is read as a call
	InReasoning bool               // the prompt ends with the marker that begins reasoning
	Control     func(string) bool  // reports whether a marker is a control token of the vocabulary; nil: none is
	NewID       func(n int) string // makes the id of call n, unless the model wrote one
	Reasoning   *Reasoner          // nil: the model marks no reasoning
	Exact       bool               // the answer is of the format's Grammar, which is narrower than what is read otherwise
}

// Parser follows one answer. Feed it with Write and Control, then take what is
// certain with Parts; Finish gives the rest. A parser that is not finished must
// be closed. It is for one goroutine.
type Parser struct {
	o     Options
	tools map[string]*Tool

	in       []byte    // what was fed; all before pos is consumed
	controls []control // the control tokens in in[pos:], by offset
	pos      int
	pinned   int  // positions of in are remembered, it must not be moved
	ended    bool // nothing will be fed any more
	cut      bool // because the answer was cut

	next func() (struct{}, bool)
	stop func()
	wait func(struct{}) bool // of the reading coroutine

	parts  []Part
	ranges []span // of parts' texts in arena
	arena  []byte
	calls  int  // begun
	fresh  bool // white space that comes next separates parts and is dropped
}

type span struct{ from, to int }

// control is a control token that the model wrote. Its name stands in the input.
type control struct{ at, size int }

// New starts a parser for an answer in this format.
func (f *Format) New(o Options) *Parser {
	p := &Parser{o: o, tools: make(map[string]*Tool, len(o.Tools))}
	for i := range o.Tools {
		p.tools[o.Tools[i].Name] = &o.Tools[i]
	}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.wait = yield
		defer func() {
			if v := recover(); v != nil && v != (closed{}) {
				panic(v)
			}
		}()
		r := &reader{p}
		if o.InReasoning {
			r.reasoning()
		}
		if len(o.Tools) > 0 || f.Framed() {
			f.parse(r)
		}
		r.rest()
	})
	return p
}

// closed unwinds a reading coroutine whose parser is closed.
type closed struct{}

// Write feeds text that the model wrote, in whole characters.
func (p *Parser) Write(text []byte) {
	p.compact()
	p.in = append(p.in, text...)
}

// Control feeds the name of a control token that the model wrote. Unless the
// format knows it as a marker, it is no part of the answer.
func (p *Parser) Control(name string) {
	p.compact()
	p.controls = append(p.controls, control{len(p.in), len(name)})
	p.in = append(p.in, name...)
}

// compact drops consumed input, now and then.
func (p *Parser) compact() {
	if p.pinned > 0 || p.pos < 4096 {
		return
	}
	p.in = p.in[:copy(p.in, p.in[p.pos:])]
	kept := p.controls[:0]
	for _, c := range p.controls {
		if c.at >= p.pos {
			kept = append(kept, control{c.at - p.pos, c.size})
		}
	}
	p.controls, p.pos = kept, 0
}

// Parts returns what has become certain since the last call. It is valid until
// the next call of Parts or Finish.
func (p *Parser) Parts() []Part {
	p.parts, p.ranges, p.arena = p.parts[:0], p.ranges[:0], p.arena[:0]
	p.next()
	for i, s := range p.ranges {
		p.parts[i].Text = p.arena[s.from:s.to:s.to]
	}
	return p.parts
}

// Finish says that the answer has ended and returns the rest of its parts. If it
// was cut, by a limit of tokens, a call that was being written keeps the
// arguments that it had; where the model ended it itself, those of the formats
// without JSON are completed.
func (p *Parser) Finish(cut bool) []Part {
	p.ended, p.cut = true, cut
	parts := p.Parts()
	p.stop()
	return parts
}

// Close lets go of a parser whose answer is not needed to its end.
func (p *Parser) Close() { p.stop() }

// Calls returns how many calls have begun.
func (p *Parser) Calls() int { return p.calls }

// emit gives out text of a kind.
func (p *Parser) emit(k Kind, index int, text []byte) {
	if len(text) == 0 {
		return
	}
	from := len(p.arena)
	p.arena = append(p.arena, text...)
	if n := len(p.parts); n > 0 && p.parts[n-1].Kind == k && p.parts[n-1].Index == index {
		p.ranges[n-1].to = len(p.arena)
		return
	}
	p.parts = append(p.parts, Part{Kind: k, Index: index})
	p.ranges = append(p.ranges, span{from, len(p.arena)})
}

// begin gives out the beginning of a call. It returns false if there is no such
// tool.
func (p *Parser) begin(name, id string) bool {
	if p.tools[name] == nil {
		return false
	}
	if id == "" {
		id = p.o.NewID(p.calls)
	}
	p.parts = append(p.parts, Part{Kind: Call, Index: p.calls, ID: id, Name: name})
	p.ranges = append(p.ranges, span{len(p.arena), len(p.arena)})
	p.calls++
	return true
}
