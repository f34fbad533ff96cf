package answer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// pythonCalls reads calls written as a list of Python calls with keywords:
// [name(key="value", other=[1, 2]), …], or one call without brackets.
func (r *reader) pythonCalls() bool {
	list := r.accept("[")
	calls := r.calls
	for {
		r.space()
		if list && r.accept("]") {
			break
		}
		if !r.attempt(r.pythonCall) || !r.acceptSpaced(",") && !list {
			break
		}
	}
	return r.calls > calls
}

func (r *reader) pythonCall() bool {
	name := r.name()
	if r.tools[name] == nil { // Llama 3's built-in tools are written name.call(…)
		name = strings.TrimSuffix(name, ".call")
	}
	if !r.accept("(") || !r.begin(name, "") {
		return false
	}
	a := arguments{reader: r, tool: r.tools[name]}
	for {
		r.space()
		if r.accept(")") {
			a.close()
			return true
		}
		key := r.name()
		if key == "" || !r.acceptSpaced("=") {
			return false
		}
		a.key(key)
		if !r.literal(python, 0) {
			return false
		}
		r.acceptSpaced(",")
	}
}

// notation is a way to write values that is not quite JSON.
type notation struct {
	quotes   []string          // that begin and end a string
	escapes  bool              // a backslash in a string escapes
	words    map[string]string // constants, as JSON
	bareKeys bool              // keys of objects stand without quotes
}

var python = &notation{
	quotes:  []string{`"""`, `'''`, `"`, `'`},
	escapes: true,
	words:   map[string]string{"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"},
}

// literal reads a value and gives it out as JSON, while it comes in.
func (r *reader) literal(n *notation, depth int) bool {
	r.space()
	if depth > maxDepth {
		return false
	}
	for _, q := range n.quotes {
		if r.accept(q) {
			r.argument(`"`)
			if !r.quotedText(q, n.escapes) {
				return false
			}
			r.argument(`"`)
			return true
		}
	}
	switch c := r.peek(); {
	case c == '[' || c == '(':
		return r.items(n, depth, c)
	case c == '{':
		return r.entries(n, depth)
	case c == '-' || '0' <= c && c <= '9':
		return r.numeral()
	}
	word, ok := n.words[r.name()]
	if ok {
		r.argument(word)
	}
	return ok
}

// numeral reads a number and gives it out once it is whole.
func (r *reader) numeral() bool {
	from := r.pos
	r.pinned++
	defer func() { r.pinned-- }()
	if !(&jsonScan{reader: r}).number() {
		return false
	}
	r.emit(Call, r.calls-1, r.in[from:r.pos])
	return true
}

func (r *reader) items(n *notation, depth int, open byte) bool {
	end := map[byte]string{'[': "]", '(': ")"}[open]
	r.pos++
	r.argument("[")
	for i := 0; ; i++ {
		r.space()
		if r.accept(end) {
			r.argument("]")
			return true
		}
		if r.peek() == 0 {
			return false
		}
		if i > 0 {
			r.argument(", ")
		}
		if !r.literal(n, depth+1) {
			return false
		}
		r.space()
		if !r.accept(",") && r.peek() != end[0] {
			return false
		}
	}
}

func (r *reader) entries(n *notation, depth int) bool {
	r.pos++
	r.argument("{")
	for i := 0; ; i++ {
		r.space()
		if r.accept("}") {
			r.argument("}")
			return true
		}
		if r.peek() == 0 {
			return false
		}
		if i > 0 {
			r.argument(", ")
		}
		if n.bareKeys {
			key := r.name()
			if key == "" || !r.acceptSpaced(":") {
				return false
			}
			r.argument(quoted(key) + ": ")
		} else if !r.quotedKey(n, depth) {
			return false
		}
		if !r.literal(n, depth+1) {
			return false
		}
		r.space()
		if !r.accept(",") && r.peek() != '}' {
			return false
		}
	}
}

// quotedKey gives out a key that is written as a string.
func (r *reader) quotedKey(n *notation, depth int) bool {
	c := r.peek()
	if c != '"' && c != '\'' || !r.literal(n, depth+1) || !r.acceptSpaced(":") {
		return false
	}
	r.argument(": ")
	return true
}

// quotedText gives out the inside of a string up to its closing quote, and
// consumes the quote.
func (r *reader) quotedText(quote string, escapes bool) bool {
	for {
		if r.accept(quote) {
			return true
		}
		c := r.peek()
		switch {
		case !r.has(1), r.cut && strings.HasPrefix(quote, string(r.in[r.pos:])): // nothing, or a quote that was cut
			r.pos = len(r.in)
			return false
		case escapes && c == '\\':
			r.pos++
			if !r.pythonEscape() {
				return false
			}
		default:
			_, n := utf8.DecodeRune(r.in[r.pos:])
			r.emit(Call, r.calls-1, appendEscaped(nil, string(r.in[r.pos:r.pos+n])))
			r.pos += n
		}
	}
}

// pythonEscape gives out what an escape stands for.
func (r *reader) pythonEscape() bool {
	if !r.has(1) {
		return false
	}
	c := r.in[r.pos]
	if c >= utf8.RuneSelf { // Python keeps the backslash; what follows is read as any other character
		r.argument(`\\`)
		return true
	}
	r.pos++
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	switch {
	case digits > 0:
		if !r.has(digits) {
			return false
		}
		code, err := strconv.ParseUint(string(r.in[r.pos:r.pos+digits]), 16, 32)
		if err != nil {
			return false
		}
		r.pos += digits
		r.argument(string(appendEscaped(nil, string(rune(code)))))
	case c == '\n': // a line that goes on
	default:
		plain, known := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': `\`, '\'': "'", '"': `"`, 'b': "\b", 'f': "\f", '0': "\x00"}[c]
		if !known {
			plain = `\` + string(rune(c))
		}
		r.argument(string(appendEscaped(nil, plain)))
	}
	return true
}

// lfm reads LFM2's calls: Python calls, or objects, between two markers.
func lfm(r *reader) {
	for {
		which, began := r.text("<|tool_call_start|>")
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			ok := r.attempt(r.objects) || r.attempt(r.pythonCalls)
			r.acceptSpaced("<|tool_call_end|>")
			return ok
		})
	}
}

// llama reads Llama 3's calls: objects without a marker, or after the marker of
// Python code, where calls of built-in tools stand, too.
func llama(r *reader) {
	r.bare(true)
	for {
		which, began := r.text("<|python_tag|>", "<function=")
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			if which == 1 {
				return r.functionElement()
			}
			return r.attempt(r.objects) || r.attempt(r.pythonCalls)
		})
	}
}

// functionElement reads NAME>{…}</function>.
func (r *reader) functionElement() bool {
	name, _, ok := r.word(">")
	if !ok || !r.arguments(name, "") {
		return false
	}
	r.acceptSpaced("</function>")
	return true
}
