package jinja

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const maxJSONDepth = 200

var errJSON = errors.New("not valid JSON")

// fromJSON converts a JSON text to a value, keeping the order of keys and the
// difference between 1 and 1.0 as Python does. Every chat request passes here,
// and encoding/json's tokens cost ten allocations a message.
func fromJSON(data []byte) (Value, error) { return parseJSON(jsonReader{data: data}) }

// FromClientJSON is fromJSON for a text that a client wrote: all strings in the
// value are marked as the client's, those that are keys too.
func FromClientJSON(data []byte) (Value, error) {
	return parseJSON(jsonReader{data: data, client: true})
}

func parseJSON(p jsonReader) (Value, error) {
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, fmt.Errorf("%w at byte %d", err, p.pos)
	}
	if p.space(); p.pos < len(p.data) {
		return nil, fmt.Errorf("data after the JSON value at byte %d", p.pos)
	}
	return v, nil
}

type jsonReader struct {
	data   []byte
	pos    int
	client bool // mark the strings
}

// mark makes the value of a string.
func (p *jsonReader) mark(s string, err error) (Value, error) {
	if err == nil && p.client {
		return Client(s), nil
	}
	return s, err
}

func (p *jsonReader) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peek is the next byte, 0 at the end.
func (p *jsonReader) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

func (p *jsonReader) value(depth int) (Value, error) {
	if depth > maxJSONDepth {
		return nil, errors.New("JSON nested too deeply")
	}
	switch c := p.peek(); {
	case c == '"':
		return p.mark(p.str())
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '-' || isDigit(c):
		return p.number()
	}
	for _, word := range []struct {
		text string
		v    Value
	}{{"null", nil}, {"true", true}, {"false", false}} {
		if end := p.pos + len(word.text); end <= len(p.data) && string(p.data[p.pos:end]) == word.text {
			p.pos = end
			return word.v, nil
		}
	}
	return nil, errJSON
}

// next skips a comma and tells whether another element follows, or ends at the
// closing bracket.
func (p *jsonReader) next(end byte) (more bool, err error) {
	p.space()
	switch p.peek() {
	case ',':
		p.pos++
		p.space()
		return true, nil
	case end:
		p.pos++
		return false, nil
	}
	return false, errJSON
}

func (p *jsonReader) array(depth int) (Value, error) {
	l := NewList()
	p.pos++
	if p.space(); p.peek() == ']' {
		p.pos++
		return l, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
		if more, err := p.next(']'); err != nil || !more {
			return l, err
		}
	}
}

func (p *jsonReader) object(depth int) (Value, error) {
	d := NewDict(4)
	p.pos++
	if p.space(); p.peek() == '}' {
		p.pos++
		return d, nil
	}
	for {
		if p.peek() != '"' {
			return nil, errJSON
		}
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		if p.space(); p.peek() != ':' {
			return nil, errJSON
		}
		p.pos++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		d.setMarked(key, v, p.client)
		if more, err := p.next('}'); err != nil || !more {
			return d, err
		}
	}
}

// number reads -?(0|[1-9]d*)(.d+)?([eE][+-]?d+)?
func (p *jsonReader) number() (Value, error) {
	start, whole := p.pos, true
	digits := func() bool {
		from := p.pos
		for isDigit(p.peek()) {
			p.pos++
		}
		return p.pos > from
	}
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !digits() {
		return nil, errJSON
	}
	if p.peek() == '.' {
		p.pos++
		whole = false
		if !digits() {
			return nil, errJSON
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		whole = false
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !digits() {
			return nil, errJSON
		}
	}
	text := string(p.data[start:p.pos])
	if !whole {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, errJSON
		}
		return f, nil
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	return BigInt(text), nil
}

// str reads a quoted string; most have no escapes and are one copy.
func (p *jsonReader) str() (string, error) {
	p.pos++
	start := p.pos
	plain := true
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			raw := p.data[start:p.pos]
			p.pos++
			if plain || utf8.Valid(raw) {
				return string(raw), nil
			}
			return string([]rune(string(raw))), nil // bad bytes become U+FFFD
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", errJSON
		case c >= utf8.RuneSelf:
			plain = false
		}
		p.pos++
	}
	return "", errJSON
}

// escaped reads the rest of a string that has escapes and began at start.
func (p *jsonReader) escaped(start int) (string, error) {
	b := append([]byte(nil), p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string([]rune(string(b))), nil
		case c < ' ':
			return "", errJSON
		case c != '\\':
			b = append(b, c)
			continue
		}
		c = p.peek()
		p.pos++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := p.hex4()
			if !ok {
				return "", errJSON
			}
			b = utf8.AppendRune(b, p.pair(r))
		default:
			return "", errJSON
		}
	}
	return "", errJSON
}

// pair completes a surrogate pair; a lone half becomes U+FFFD.
func (p *jsonReader) pair(r rune) rune {
	if !utf16.IsSurrogate(r) {
		return r
	}
	if p.peek() == '\\' && p.pos+1 < len(p.data) && p.data[p.pos+1] == 'u' {
		before := p.pos
		p.pos += 2
		if low, ok := p.hex4(); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full
			}
		}
		p.pos = before
	}
	return utf8.RuneError
}

func (p *jsonReader) hex4() (rune, bool) {
	if p.pos+4 > len(p.data) {
		return 0, false
	}
	var r rune
	for _, c := range p.data[p.pos : p.pos+4] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.pos += 4
	return r, true
}
