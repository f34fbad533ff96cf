package serving

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
)

// Call is one HTTP request on its way through a handler.
type Call struct {
	App      *App
	W        http.ResponseWriter
	R        *http.Request
	ID       string // of the request: the answer repeats it in x-request-id
	Client   Principal
	Address  string // of the client, as far as it is known
	Start    time.Time
	BodyRead bool // the whole body has been read

	Record Record // of what the engine did

	opening   *Opening  // of a stream that has begun without an answer; nil: none has
	standings Standings // how limits are told
	Trace     string    // the traceparent that the log and the answer have; "": none
}

// Principal is who asks: the owner of an API key, or where there are no keys, an
// address. Requests of different principals get equal shares of the machine.
type Principal struct {
	Name     string
	Priority int         // of its requests, unless they ask for a lower one
	Key      *access.Key // nil: there are no keys, or the route needs none

	visit *access.Visit // what the request may use; nil: anything
}

// mayAsk returns nil if the client may use the model that a name stands for. A model
// that does not exist is for others to refuse, unless the client may not know which
// others there are.
func (c *Call) mayAsk(name string) *Error {
	if !c.Client.limited() {
		return nil
	}
	names := c.App.Models.namesOf(name)
	if c.Client.mayUse(names) {
		return nil
	}
	if len(names) == 0 {
		_, err := c.App.Models.Lookup(name)
		if err != nil && err.Code == noModelCode {
			return NoModel(name, c.mayName())
		}
		return err
	}
	return forbiddenModel(c.Client.Key, cmp.Or(name, names[0]))
}

// MayKnow reports whether the client may use the model that a name stands for.
func (c *Call) MayKnow(name string) bool { return c.mayAsk(name) == nil }

// mayName are the names of all models that the client may use.
func (c *Call) mayName() (all []string) {
	for _, l := range c.Listing() {
		all = append(all, l.Names()...)
	}
	return all
}

// limited reports whether there may be models that the client may not use.
func (p *Principal) limited() bool { return p.Key != nil && len(p.Key.Models) > 0 }

// mayUse reports whether the client may use the model that has these names.
func (p *Principal) mayUse(names []string) bool {
	return !p.limited() || slices.ContainsFunc(p.Key.Models, func(m string) bool { return slices.Contains(names, m) })
}

// Handler answers a request, or returns what went wrong. While nothing has been
// written, the server answers with that error; a stream that has begun has told
// its client already, and the error is for the log and the metrics.
type Handler func(c *Call) *Error

// Shape writes an error in the form of one protocol.
type Shape func(w http.ResponseWriter, e *Error)

// Route is one method of one path.
type Route struct {
	Method string
	Path   string // a pattern of http.ServeMux without method
	Shape  Shape
	Handle Handler
	Limits Standings // how it says what a key may still use; nil: as OpenAI's API
	Public bool      // needs no API key
	About  string    // one line for the index

	Metrics bool // it has figures about the server: keys have a scope for them

	Contract Contract

	// Trusted routes change what is on the machine. A key needs the scope admin for
	// them; where there are no keys, only a server on a loopback address has them.
	Trusted bool
}

// buffers hold request bodies while they are decoded, and events of streams.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPooled = 1 << 16 // bytes; larger buffers are not kept, so that rare large bodies do not hold memory

func release(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		b.Reset()
		buffers.Put(b)
	}
}

// read takes in the whole body, so that net/http can watch the connection from
// then on and cancel the request's context when the client goes away. The server
// has limited the time for it.
func (c *Call) read(b *bytes.Buffer) *Error {
	if kind := c.R.Header.Get("Content-Encoding"); kind != "" && !strings.EqualFold(kind, "identity") {
		return compressed(kind)
	}
	limit := c.App.MaxBody
	if c.R.ContentLength > limit {
		return BodyTooLarge(limit)
	}
	// A client may announce a large body and send none, so memory for more than
	// this many bytes is only taken as they arrive.
	const trusted = 64 << 10
	if n := c.R.ContentLength; n > 0 {
		b.Grow(int(min(n, trusted)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(c.W, c.R.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		c.BodyRead = true
		// net/http goes on reading, to notice when the client goes away.
		http.NewResponseController(c.W).SetReadDeadline(time.Time{})
		return nil
	case errors.As(err, &tooLarge):
		return BodyTooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return BodyTooSlow()
	case errors.Is(err, io.ErrUnexpectedEOF), c.R.Context().Err() != nil:
		return Gone()
	}
	return Bad("", "the request body could not be read")
}

// JSON writes an answer.
func (c *Call) JSON(status int, body any) *Error {
	b, err := json.Marshal(body)
	if err != nil {
		return Internal(fmt.Errorf("encode the answer: %w", err))
	}
	WriteJSON(c.W, status, b)
	return nil
}

// WriteJSON writes a JSON text as the whole answer.
func WriteJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	w.Write(body) // an error means that the client is gone, and nobody is left to tell
}

var jsonType = []string{"application/json"}

// Headers sets the headers that go with an error: whether and when the client
// should try again, how it can prove who it is, and that the connection ends.
func (e *Error) Headers(h http.Header) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(e.RetryAfter))
	}
	if e.Final {
		h.Set("X-Should-Retry", "false")
	}
	if e.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if e.Status == http.StatusRequestEntityTooLarge || e.Status == http.StatusRequestTimeout {
		h.Set("Connection", "close")
	}
}
