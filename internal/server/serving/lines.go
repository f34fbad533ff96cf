package serving

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Lines writes the progress of something that is no generation, as one JSON value
// a line.
type Lines struct {
	call   *Call
	begun  bool
	broken bool // the client is gone
}

// Lines begins an answer of lines. Nothing is sent before the first one.
func (c *Call) Lines() *Lines { return &Lines{call: c} }

// Begun reports whether the status has been sent.
func (l *Lines) Begun() bool { return l.begun }

// Send sends one line at once. What a client that is gone does not get is lost.
func (l *Lines) Send(v any) *Error {
	if l.broken {
		return Gone()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return Internal(fmt.Errorf("encode a line: %w", err))
	}
	if !l.begun {
		l.begun = true
		l.call.W.Header()["Content-Type"] = NDJSON.contentType()
		l.call.W.WriteHeader(http.StatusOK)
	}
	if _, err = l.call.W.Write(append(b, '\n')); err == nil {
		err = http.NewResponseController(l.call.W).Flush()
	}
	if err != nil {
		l.broken = true
		return Gone()
	}
	return nil
}
