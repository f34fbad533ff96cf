package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	maxBody = 64 << 20 // bytes of an answer that is not streamed, or of one line of a stream
	maxText = 4 << 10  // bytes of an error's body that are kept
)

// answer collects an HTTP answer piece by piece. To cost little while the clock runs, it only looks for line ends and events with text;
// JSON is parsed after the last byte, and only in the few lines that carry usage or the end.
type answer struct {
	dialect  Dialect
	stream   bool
	keepText bool
	keys     [][]byte

	status int
	resent bool
	last   time.Time   // when the latest bytes arrived
	events []time.Time // when each event with text arrived
	body   []byte      // of a stream: the line that is not complete yet; otherwise the whole body
	kept   [][]byte    // lines that carry usage, a finish reason or an error
	pieces []string    // text, only if keepText
	ended  bool        // the stream said that it was complete
	tooBig bool
}

func newAnswer(t Target, keepText bool) *answer {
	a := &answer{dialect: t.Dialect, stream: t.Stream, keepText: keepText}
	for _, k := range t.Dialect.content() {
		a.keys = append(a.keys, []byte(k))
	}
	if t.Stream {
		a.events = make([]time.Time, 0, t.MaxTokens+1)
	}
	return a
}

// restart forgets what came before the connection failed, so that the request can be sent again.
func (a *answer) restart() {
	a.status, a.events, a.body, a.kept, a.pieces, a.ended, a.resent = 0, a.events[:0], a.body[:0], nil, nil, false, true
}

// data takes the next bytes of the body. p is only valid during the call.
func (a *answer) data(p []byte, at time.Time) error {
	a.last = at
	if len(a.body)+len(p) > maxBody {
		a.tooBig = true
		return errors.New("the answer is larger than 64 MiB")
	}
	if !a.stream || a.status != 200 {
		a.body = append(a.body, p...)
		return nil
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			a.body = append(a.body, p...)
			return nil
		}
		line := p[:i]
		if len(a.body) > 0 {
			a.body = append(a.body, line...)
			line = a.body
		}
		a.line(line, at)
		a.body, p = a.body[:0], p[i+1:]
	}
}

var (
	dataPrefix = []byte("data:")
	doneMark   = []byte("[DONE]")
	usageKey   = []byte(`"usage":`)
	finishKey  = []byte(`"finish_reason":`)
	doneKey    = []byte(`"done":`)
	errorKey   = []byte(`"error":`)
	trueWord   = []byte("true")
	nullWord   = []byte("null")
	errEmpty   = errors.New("the server sent an empty answer")
)

// line takes one line of a stream: an SSE field or a JSON object.
func (a *answer) line(line []byte, at time.Time) {
	line = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(line), dataPrefix))
	if len(line) == 0 {
		return
	}
	if bytes.Equal(line, doneMark) {
		a.ended = true
		return
	}
	if line[0] != '{' {
		return
	}
	full := false
	for _, k := range a.keys {
		if v := valueAfter(line, k); len(v) > 1 && v[0] == '"' && v[1] != '"' {
			full = true
			break
		}
	}
	if full {
		a.events = append(a.events, at)
	}
	done := bytes.HasPrefix(valueAfter(line, doneKey), trueWord)
	a.ended = a.ended || done
	if done || carries(line, usageKey) || carries(line, finishKey) || !full && carries(line, errorKey) {
		a.kept = append(a.kept, bytes.Clone(line))
	}
	if a.keepText && full {
		var r reply
		if json.Unmarshal(line, &r) == nil {
			a.pieces = append(a.pieces, r.text())
		}
	}
}

// valueAfter returns what follows a key (quotes and colon included) and blanks, nil when the key isn't there.
func valueAfter(line, key []byte) []byte {
	i := bytes.Index(line, key)
	if i < 0 {
		return nil
	}
	return bytes.TrimLeft(line[i+len(key):], " \t")
}

func carries(line, key []byte) bool {
	v := valueAfter(line, key)
	return len(v) > 0 && !bytes.HasPrefix(v, nullWord)
}

// sample sums up the answer after its last byte. start is the moment that times are relative to.
func (a *answer) sample(start time.Time, failure error) *Sample {
	if a.last.IsZero() {
		a.last = time.Now()
	}
	s := &Sample{End: a.last.Sub(start), Status: a.status, Resent: a.resent}
	if a.stream {
		if len(a.body) > 0 && a.status == 200 { // the last line has no newline
			a.line(a.body, a.last)
		}
		for _, at := range a.events {
			s.Events = append(s.Events, at.Sub(start))
		}
		if len(s.Events) > 0 {
			s.First = s.Events[0]
		}
	}
	if failure == nil {
		failure = a.parse(s)
	}
	if failure != nil {
		s.Err = failure.Error()
	}
	return s
}

func (a *answer) parse(s *Sample) error {
	if a.status != 200 {
		return a.statusError()
	}
	if !a.stream {
		if len(bytes.TrimSpace(a.body)) == 0 {
			return errEmpty
		}
		r, err := parseReply(a.body)
		if err != nil {
			return fmt.Errorf("the answer %w", err)
		}
		if a.keepText {
			a.pieces = append(a.pieces, r.text())
		}
		return r.into(s)
	}
	for _, line := range a.kept {
		r, err := parseReply(line)
		if err != nil {
			return fmt.Errorf("an event %w", err)
		}
		if err := r.into(s); err != nil {
			return err
		}
	}
	if !a.ended {
		return errors.New("the stream ended before it was complete")
	}
	return nil
}

func (a *answer) statusError() error {
	var r reply
	text := ""
	if json.Unmarshal(a.body, &r) == nil {
		text = r.errorText()
	}
	if text == "" {
		text = string(a.body[:min(len(a.body), maxText)])
	}
	return fmt.Errorf("HTTP %d: %s", a.status, strings.Join(strings.Fields(text), " "))
}

func (a *answer) text() string { return strings.Join(a.pieces, "") }
