package answer

import (
	"encoding/json"
	"unicode/utf8"
)

// maxDepth is how deeply values may be nested; a model that goes further writes
// nonsense.
const maxDepth = 64

// value reads one JSON value. With stream, its bytes are given out as arguments
// as they come, whether or not the value ends.
func (r *reader) value(stream bool) bool {
	s := jsonScan{reader: r, stream: stream, from: r.pos}
	r.pinned++
	ok := s.value(0)
	r.pinned--
	s.flush()
	return ok
}

// jsonScan checks a JSON text byte by byte.
type jsonScan struct {
	*reader
	stream bool
	from   int // what is before it was given out
}

// flush gives out what was checked.
func (s *jsonScan) flush() {
	if s.stream && s.pos > s.from {
		s.emit(Call, s.calls-1, s.in[s.from:s.pos])
	}
	s.from = s.pos
}

// byte returns the next byte without consuming it; 0 at the end.
func (s *jsonScan) byte() byte {
	if s.pos == len(s.in) {
		s.flush()
	}
	return s.peek()
}

func (s *jsonScan) spaces() {
	for {
		switch s.byte() {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *jsonScan) value(depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch c := s.byte(); {
	case c == '{':
		return s.list('}', func() bool {
			if s.byte() != '"' || !s.text() {
				return false
			}
			s.spaces()
			if s.byte() != ':' {
				return false
			}
			s.pos++
			s.spaces()
			return s.value(depth + 1)
		})
	case c == '[':
		return s.list(']', func() bool { return s.value(depth + 1) })
	case c == '"':
		return s.text()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

// list reads the items of an object or array, and its brackets.
func (s *jsonScan) list(end byte, item func() bool) bool {
	s.pos++
	s.spaces()
	if s.byte() == end {
		s.pos++
		return true
	}
	for {
		if !item() {
			return false
		}
		s.spaces()
		switch s.byte() {
		case end:
			s.pos++
			return true
		case ',':
			s.pos++
			s.spaces()
		default:
			return false
		}
	}
}

func (s *jsonScan) word(w string) bool {
	for i := range len(w) {
		if s.byte() != w[i] {
			return false
		}
		s.pos++
	}
	return true
}

// text reads a string. Line ends in it, which JSON forbids, make it no string.
func (s *jsonScan) text() bool {
	s.pos++
	for {
		switch c := s.byte(); {
		case c == '"':
			s.pos++
			return true
		case c < ' ':
			return false
		case c == '\\':
			s.pos++
			if !s.escape() {
				return false
			}
		default:
			s.pos++
		}
	}
}

func (s *jsonScan) escape() bool {
	switch s.byte() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		s.pos++
		for range 4 {
			c := s.byte() | 0x20
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
			s.pos++
		}
		return true
	}
	return false
}

func (s *jsonScan) number() bool {
	if s.byte() == '-' {
		s.pos++
	}
	if s.byte() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.byte() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if s.byte()|0x20 == 'e' {
		s.pos++
		if c := s.byte(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

func (s *jsonScan) digits() bool {
	from := s.pos
	for c := s.byte(); c >= '0' && c <= '9'; c = s.byte() {
		s.pos++
	}
	return s.pos > from
}

// str reads a JSON string and returns what it says.
func (r *reader) str() (string, bool) {
	if r.peek() != '"' {
		return "", false
	}
	r.pinned++
	defer func() { r.pinned-- }()
	from := r.pos
	if !r.value(false) {
		return "", false
	}
	var text string
	if json.Unmarshal(r.in[from:r.pos], &text) != nil {
		return "", false
	}
	return text, true
}

// appendEscaped appends text as the inside of a JSON string.
func appendEscaped(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			_, n := utf8.DecodeRuneInString(text[i:])
			dst = append(dst, text[i:i+n]...)
			i += n
			continue
		}
		i++
	}
	return dst
}

// quoted returns text as a JSON string.
func quoted(text string) string {
	return string(append(appendEscaped([]byte{'"'}, text), '"'))
}
