package serving

import (
	"encoding/json"
	"fmt"
)

// Framing is how the messages of a stream are set apart from each other.
type Framing int

const (
	// SSE sends server-sent events: "data: …" and an empty line.
	SSE Framing = iota
	// NDJSON sends one JSON value a line.
	NDJSON
)

// contentType is the value of the header, ready to be put into a http.Header.
func (f Framing) contentType() []string {
	if f == NDJSON {
		return []string{"application/x-ndjson"}
	}
	return []string{"text/event-stream"}
}

// Frames gathers the messages of a stream until they are sent with one write.
// An Encoder appends to Buf between Open and Close, or calls JSON.
type Frames struct {
	Buf     []byte
	framing Framing
	err     error // the first message that could not be encoded
}

// Open appends what comes before a message.
func (f *Frames) Open() {
	if f.framing == SSE {
		f.Buf = append(f.Buf, "data: "...)
	}
}

// Event names the message that is opened next, in protocols whose events have
// names.
func (f *Frames) Event(name string) {
	f.Buf = append(append(append(f.Buf, "event: "...), name...), '\n')
}

// Close appends what comes after a message.
func (f *Frames) Close() {
	f.Buf = append(f.Buf, '\n')
	if f.framing == SSE {
		f.Buf = append(f.Buf, '\n')
	}
}

// JSON appends a message that is the JSON of v. It is for messages that come
// once or rarely: those of every token are appended by hand.
func (f *Frames) JSON(v any) {
	f.Open()
	f.Value(v)
	f.Close()
}

// Value appends the JSON of v to an open message.
func (f *Frames) Value(v any) {
	b, err := json.Marshal(v)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("encode a message of the stream: %w", err)
	}
	f.Buf = append(f.Buf, b...)
}

// Text appends a message that is not JSON, such as [DONE].
func (f *Frames) Text(text string) {
	f.Open()
	f.Buf = append(f.Buf, text...)
	f.Close()
}

// Comment appends a line that clients skip. A stream of lines has none.
func (f *Frames) Comment(text string) {
	if f.framing == SSE {
		f.Buf = append(append(append(f.Buf, ": "...), text...), "\n\n"...)
	}
}
