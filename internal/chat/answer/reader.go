package answer

import (
	"bytes"
	"strings"
)

// reader is what formats read an answer with. Its methods wait for more input
// where they need it, so that a format is written as if the whole answer were
// there: the parser runs it as a coroutine.
type reader struct{ *Parser }

const spaces = " \t\r\n"

// more waits until more was fed. It returns false at the end of the answer.
func (r *reader) more() bool {
	if r.ended {
		return false
	}
	before := len(r.in) - r.pos
	for !r.ended && len(r.in)-r.pos == before {
		if !r.wait(struct{}{}) {
			panic(closed{})
		}
	}
	return len(r.in)-r.pos > before
}

// has waits for n bytes.
func (r *reader) has(n int) bool {
	for len(r.in)-r.pos < n {
		if !r.more() {
			return false
		}
	}
	return true
}

// peek returns the next byte, or 0 at the end.
func (r *reader) peek() byte {
	if !r.has(1) {
		return 0
	}
	return r.in[r.pos]
}

// space skips white space.
func (r *reader) space() {
	for r.has(1) && strings.IndexByte(spaces, r.in[r.pos]) >= 0 {
		r.pos++
	}
}

// accept consumes a marker if it comes next, and reports whether it did.
func (r *reader) accept(marker string) bool {
	for i := range len(marker) {
		if !r.has(i+1) || r.in[r.pos+i] != marker[i] {
			return false
		}
	}
	if !r.genuine(marker, r.pos) {
		return false
	}
	r.pos += len(marker)
	return true
}

// acceptSpaced is accept after white space, which stays where the marker does
// not follow.
func (r *reader) acceptSpaced(marker string) bool {
	return r.attempt(func() bool {
		r.space()
		return r.accept(marker)
	})
}

// genuine reports whether the marker that is spelled at an offset is one: a
// marker that the vocabulary has as a control token must have come as that
// token, not as text that looks like it.
func (r *reader) genuine(marker string, at int) bool {
	if r.o.Control == nil || !r.o.Control(marker) {
		return true
	}
	for _, c := range r.controls {
		if c.at == at {
			return c.size == len(marker)
		}
	}
	return false
}

// attempt runs a part of a format. If it returns false before a call has begun,
// the input is as if it had not been read.
func (r *reader) attempt(parse func() bool) bool {
	start, calls := r.pos, r.calls
	r.pinned++
	defer func() { r.pinned-- }()
	if parse() {
		return true
	}
	if r.calls == calls {
		r.pos = start
		return false
	}
	return true
}

// search looks for markers in input that comes in piece by piece. It remembers
// how far it has looked, so that a model that writes nothing but white space, or
// one endless argument, does not make every piece cost as much as all before it.
type search struct {
	*reader
	markers []string
	longest int // bytes of the longest marker
	seen    int // bytes after the reader's position in which no marker begins
	blank   int // bytes after the reader's position that are white space
}

func (r *reader) search(markers ...string) *search {
	s := &search{reader: r, markers: markers}
	for _, m := range markers {
		s.longest = max(s.longest, len(m))
	}
	return s
}

// find returns the first marker in what was fed, and where it is; -1 if there
// is none.
func (s *search) find() (which, at int) {
	which, at = -1, len(s.in)
	for i, m := range s.markers {
		for from := s.pos + s.seen; ; {
			k := bytes.Index(s.in[from:], []byte(m))
			if k < 0 || from+k >= at {
				break
			}
			if s.genuine(m, from+k) {
				which, at = i, from+k
				break
			}
			from += k + 1
		}
	}
	if which < 0 {
		s.seen = max(s.seen, len(s.in)-s.pos-s.longest+1)
	}
	return which, at
}

// held returns where the end of the input begins that may become a marker,
// with the white space before it. The reader must go on from there.
func (s *search) held() int {
	at := len(s.in)
	for _, m := range s.markers {
		for n := min(len(m)-1, len(s.in)-s.pos); n > 0; n-- {
			if from := len(s.in) - n; from < at && string(s.in[from:]) == m[:n] {
				at = from
				break
			}
		}
	}
	to := s.trimmed(at)
	s.seen, s.blank = max(0, s.seen-(to-s.pos)), at-to
	return to
}

// trimmed returns where the white space begins that ends at an offset.
func (s *search) trimmed(to int) int {
	known := s.pos + s.blank
	for to > known && strings.IndexByte(spaces, s.in[to-1]) >= 0 {
		to--
	}
	if to <= known {
		return s.pos
	}
	return to
}

// until gives out the input as text or reasoning up to one of the markers, and
// consumes the marker. It returns the marker's index, or -1 at the end of the
// answer, and where the marker began, with the white space before it.
func (r *reader) until(k Kind, markers ...string) (which, began int) {
	s := r.search(markers...)
	for {
		i, at := s.find()
		if i >= 0 {
			r.out(k, s.trimmed(at))
			began = r.pos
			r.pos = at + len(markers[i])
			return i, began
		}
		r.out(k, s.held())
		if !r.more() {
			r.out(k, len(r.in))
			return -1, r.pos
		}
	}
}

// out consumes the input up to an offset and gives it out, without the control
// tokens in it.
func (r *reader) out(k Kind, to int) {
	from := r.pos
	r.pos = to
	if r.fresh {
		from += len(r.in[from:to]) - len(bytes.TrimLeft(r.in[from:to], spaces))
		if from == to {
			return
		}
		r.fresh = false
	}
	for _, c := range r.controls {
		if c.at >= from && c.at < to {
			r.emit(k, 0, r.in[from:c.at])
			from = min(c.at+c.size, to)
		}
	}
	r.emit(k, 0, r.in[from:to])
}

// text gives out text up to the beginning of a call: one of the openers. What
// the model thinks before that is given out as reasoning. It returns the
// opener's index, or -1 at the end of the answer.
//
// The caller reads the call with block, which needs to know where it began.
func (r *reader) text(openers ...string) (which, began int) {
	markers := openers
	if r.o.Reasoning != nil {
		markers = append(markers[:len(markers):len(markers)], r.o.Reasoning.Open)
	}
	for {
		which, began = r.until(Text, markers...)
		if which < len(openers) {
			return which, began
		}
		r.reasoning()
	}
}

// reasoning gives out what the model thinks, up to the marker that ends it.
func (r *reader) reasoning() {
	r.fresh = true
	r.until(Reasoning, r.o.Reasoning.Close)
	r.fresh = true
}

// block reads what follows the opener of a call. If it is no call, what was
// read since the opener began is text.
func (r *reader) block(began int, parse func() bool) bool {
	after := r.pos
	fresh := r.fresh
	ok := r.attempt(parse)
	if ok {
		r.fresh = true
		return true
	}
	r.pos, r.fresh = began, fresh
	r.out(Text, after)
	return false
}

// rest gives out what is left as text.
func (r *reader) rest() {
	for which := 0; which >= 0; {
		which, _ = r.text()
	}
}

// argument gives out a fragment of the arguments of the call that was begun
// last.
func (r *reader) argument(text string) { r.emit(Call, r.calls-1, []byte(text)) }
