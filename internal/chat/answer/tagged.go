package answer

import (
	"encoding/json"
	"strings"
)

// tagged is the layout of calls written as elements: one for the call, which
// names the tool, and one in it for each parameter.
type tagged struct {
	open, close     string   // around the calls
	call, callEnd   string   // around one call; the tool's name follows call
	named           string   // ends the tool's name
	param, paramEnd string   // around one parameter; its name follows param
	keyed           []string // ends the parameter's name; one that says string="true" says what the value is
	pad             string   // stands around a value
}

func (t tagged) parse(r *reader) {
	for {
		which, began := r.text(t.open, t.call) // some models forget the outer element
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			calls := r.calls
			for again := which == 1 || r.acceptSpaced(t.call); again; again = r.acceptSpaced(t.call) {
				if !t.one(r) {
					break
				}
			}
			r.acceptSpaced(t.close)
			return r.calls > calls
		})
	}
}

// one reads a call after its opening.
func (t tagged) one(r *reader) bool {
	name, _, ok := r.word(t.named)
	if !ok || !r.begin(name, "") {
		return false
	}
	a := arguments{reader: r, tool: r.tools[name]}
	for r.acceptSpaced(t.param) {
		key, marker, ok := r.word(t.keyed...)
		if !ok || !a.field(key, marker, t.paramEnd) {
			return false
		}
	}
	if r.acceptSpaced(t.callEnd) || !r.cut {
		a.close()
	}
	return true
}

// arguments gives out arguments that are not written as JSON, as JSON.
type arguments struct {
	*reader
	tool   *Tool
	fields int
}

// key gives out the name of one more argument.
func (a *arguments) key(name string) {
	before := "{"
	if a.fields > 0 {
		before = ", "
	}
	a.fields++
	a.argument(before + quoted(name) + ": ")
}

// close ends the object.
func (a *arguments) close() {
	if a.fields == 0 {
		a.argument("{")
	}
	a.argument("}")
}

// field gives out one argument whose value stands before the marker end. It
// returns false if the value does not end.
func (a *arguments) field(name, marker, end string) bool {
	a.key(name)
	isString, known := a.tool.strings[name]
	if isString || strings.Contains(marker, `string="true"`) {
		return a.stringUntil(end)
	}
	raw, ok := a.rawUntil(end)
	text := strings.Trim(raw, spaces)
	switch {
	case !ok && (text == "" || a.cut): // the rest may be the beginning of the marker
	case json.Valid([]byte(text)) && (known || text[0] != '"'):
		a.argument(text)
	case text == "True" || text == "False":
		a.argument(strings.ToLower(text))
	case text == "None":
		a.argument("null")
	default:
		a.argument(quoted(withoutLineEnds(raw)))
	}
	return ok
}

// withoutLineEnds removes the line ends that set a value apart from its tags.
func withoutLineEnds(text string) string {
	return strings.TrimSuffix(strings.TrimPrefix(text, "\n"), "\n")
}

// rawUntil reads up to the marker and consumes it.
func (r *reader) rawUntil(end string) (string, bool) {
	from := r.pos
	r.pinned++
	defer func() { r.pinned-- }()
	s := r.search(end)
	for {
		if i, at := s.find(); i >= 0 {
			r.pos = at + len(end)
			return string(r.in[from:at]), true
		}
		if !r.more() {
			r.pos = len(r.in)
			return string(r.in[from:]), false
		}
	}
}

// stringUntil gives out what stands before the marker as a JSON string, while it
// comes in, and consumes the marker.
func (r *reader) stringUntil(end string) bool {
	r.argument(`"`)
	if r.peek() == '\n' && !r.accept(end) {
		r.pos++
	}
	out := func(to int) {
		r.emit(Call, r.calls-1, appendEscaped(nil, string(r.in[r.pos:to])))
		r.pos = to
	}
	s := r.search(end)
	for {
		i, at := s.find()
		if i >= 0 {
			out(r.pos + len(strings.TrimSuffix(string(r.in[r.pos:at]), "\n")))
			r.pos = at + len(end)
			r.argument(`"`)
			return true
		}
		out(s.held())
		if !r.more() {
			if !r.cut { // else the rest may be the beginning of the marker
				out(len(r.in))
			}
			r.pos = len(r.in)
			return false
		}
	}
}

// glm reads GLM's calls: the name is a line of its own, keys and values are
// elements.
func glm(r *reader) {
	for {
		which, began := r.text("<tool_call>")
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			r.space()
			name := r.name()
			if r.peek() == 0 && r.cut || !r.begin(name, "") {
				return false
			}
			a := arguments{reader: r, tool: r.tools[name]}
			for r.acceptSpaced("<arg_key>") {
				key, _, ok := r.word("</arg_key>")
				if !ok || !r.acceptSpaced("<arg_value>") || !a.field(key, "", "</arg_value>") {
					return false
				}
			}
			if r.acceptSpaced("</tool_call>") || !r.cut {
				a.close()
			}
			return true
		})
	}
}

// name reads the name of a tool: letters, digits, and some punctuation.
func (r *reader) name() string {
	from := r.pos
	r.pinned++
	defer func() { r.pinned-- }()
	for {
		c := r.peek()
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && c != '_' && c != '-' && c != '.' {
			return string(r.in[from:r.pos])
		}
		r.pos++
	}
}
