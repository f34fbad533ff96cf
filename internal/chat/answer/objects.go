package answer

import (
	"encoding/json"
	"strings"
)

// The names that models give to the members of a call's object.
var (
	nameKeys     = []string{"name", "tool_name", "function_name"}
	argumentKeys = []string{"arguments", "parameters", "args", "input"}
	idKeys       = []string{"id", "tool_call_id"}
)

func among(keys []string, key string) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

// object reads one call written as {"name": …, "arguments": {…}}. It returns
// false if that is not what follows or the tool does not exist.
func (r *reader) object() bool {
	c := objectCall{reader: r}
	return c.read() && c.end()
}

// objectCall is a call that is being read from its object.
type objectCall struct {
	*reader
	name, id string
	early    string // arguments that came before the name
	begun    bool
	inner    bool // it is being read from an object within the object
}

// read reads an object's members in whichever order they come.
func (c *objectCall) read() bool {
	if c.peek() != '{' {
		return false
	}
	s := jsonScan{reader: c.reader}
	return s.list('}', func() bool {
		key, ok := c.str()
		if !ok {
			return false
		}
		c.space()
		if c.peek() != ':' {
			return false
		}
		c.pos++
		c.space()
		return c.member(key)
	})
}

func (c *objectCall) member(key string) (ok bool) {
	switch {
	case c.o.Exact && c.name == "" && key != "function" && !among(nameKeys, key):
		return c.preface(key)
	case key == "function" && !c.inner && c.peek() == '{': // {"type": "function", "function": {…}}
		c.inner = true
		defer func() { c.inner = false }()
		return c.read()
	case among(nameKeys, key) || key == "function":
		if c.name, ok = c.str(); !ok {
			return false
		}
		c.name = strings.TrimPrefix(c.name, "functions.")
		return c.tools[c.name] != nil
	case among(idKeys, key) && c.peek() == '"':
		c.id, ok = c.str()
		return ok
	case !among(argumentKeys, key):
		return c.value(false)
	case c.name == "" || c.peek() != '{':
		from := c.pos
		if !c.value(false) {
			return false
		}
		c.early = plainObject(c.in[from:c.pos])
		return c.early != ""
	}
	c.begun = c.begin(c.name, c.id)
	return c.value(true)
}

// preface reads a member that may stand before the name in a call of the format's
// Grammar.
func (c *objectCall) preface(key string) bool {
	value, ok := c.str()
	if key != "tool_call_id" {
		return ok && key == "type" && value == "function"
	}
	c.id = value
	return ok && strings.Trim(value, "0123456789") == ""
}

// end begins a call whose arguments came before its name, or not at all.
func (c *objectCall) end() bool {
	if c.begun {
		return true
	}
	if !c.begin(c.name, c.id) {
		return false
	}
	if c.early == "" {
		c.early = "{}"
	}
	c.argument(c.early)
	return true
}

// plainObject returns arguments as an object: some models write them as a
// string that holds JSON, or null for none.
func plainObject(raw []byte) string {
	text := string(raw)
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
		return ""
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "null" || text == "":
		return "{}"
	case text[0] == '{' && json.Valid([]byte(text)):
		return text
	}
	return ""
}

// objects reads one call or several: objects one after the other, with or
// without commas or semicolons between them, in an array or not.
func (r *reader) objects() bool {
	r.space()
	list := r.accept("[")
	calls := r.calls
	for {
		r.space()
		if list && r.accept("]") {
			break
		}
		if !r.attempt(r.object) {
			break
		}
		if !r.acceptSpaced(",") {
			r.acceptSpaced(";")
		}
		if !list && !r.attempt(func() bool { r.space(); return r.peek() == '{' }) {
			break
		}
	}
	return r.calls > calls
}

// arguments begins the call of a tool whose arguments follow as one object.
func (r *reader) arguments(name, id string) bool {
	r.space()
	if r.tools[name] == nil || r.peek() != '{' {
		return false
	}
	r.begin(name, id)
	r.value(true)
	return true
}

// word reads up to one of the markers and consumes it. What is read must be
// short and on one line: it is a name or a header.
func (r *reader) word(markers ...string) (text, marker string, ok bool) {
	const longest = 256
	for from := r.pos; r.pos-from < longest; r.pos++ {
		for _, m := range markers {
			if at := r.pos; r.accept(m) {
				return strings.TrimSpace(string(r.in[from:at])), m, true
			}
		}
		if c := r.peek(); c == 0 || c == '\n' && r.pos > from {
			break
		}
	}
	return "", "", false
}

// fences reads calls that stand between an opener and a closer as objects.
func fences(openers []string, closers ...string) func(r *reader) {
	return func(r *reader) {
		r.bare(false)
		for {
			which, began := r.text(openers...)
			if which < 0 {
				return
			}
			r.block(began, func() bool {
				if !r.objects() {
					return false
				}
				for _, c := range closers {
					if r.acceptSpaced(c) {
						break
					}
				}
				return true
			})
		}
	}
}

// bare reads calls that begin the answer, or follow the reasoning, without any
// marker: small models forget the markers, and Llama 3 has none. python says
// that the format has Python's calls.
func (r *reader) bare(python bool) {
	if r.o.Reasoning != nil && r.acceptSpaced(r.o.Reasoning.Open) {
		r.reasoning()
	}
	if r.attempt(func() bool {
		r.space()
		c := r.peek()
		return (c == '{' || c == '[') && (r.attempt(r.objects) || c == '[' && (python || !r.o.Exact) && r.pythonCalls())
	}) {
		r.fresh = true
	}
}
