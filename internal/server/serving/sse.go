package serving

import (
	"bytes"
	"net/http"
	"time"
)

// Events is a stream of server-sent events. Events gather in Buf until Flush
// sends them with one write.
type Events struct {
	Buf []byte

	w       http.ResponseWriter
	flusher http.Flusher
	control *http.ResponseController
	pooled  *bytes.Buffer
	timeout time.Duration
	renew   time.Time // when the write deadline has to be moved
	begun   bool
	failed  bool
}

var (
	eventStream = []string{"text/event-stream"}
	noCache     = []string{"no-cache"}
	noBuffering = []string{"no"}
)

// Events begins a stream. Nothing is sent before the first Flush.
func (c *Call) Events() *Events {
	b := buffers.Get().(*bytes.Buffer)
	s := &Events{w: c.W, control: http.NewResponseController(c.W), pooled: b, timeout: c.App.WriteTimeout}
	s.flusher, _ = c.W.(http.Flusher)
	b.Grow(2048)
	s.Buf = b.AvailableBuffer()
	return s
}

// Begun tells whether something was sent, so that an error has to be an event.
func (s *Events) Begun() bool { return s.begun }

// Flush sends what has gathered; it returns false once the client is gone.
func (s *Events) Flush() bool {
	if len(s.Buf) == 0 || s.failed {
		return !s.failed
	}
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h["Content-Type"], h["Cache-Control"], h["X-Accel-Buffering"] = eventStream, noCache, noBuffering
		s.w.WriteHeader(http.StatusOK)
	}
	s.deadline()
	_, err := s.w.Write(s.Buf)
	s.Buf = s.Buf[:0]
	if err == nil && s.flusher != nil {
		s.flusher.Flush()
	}
	s.failed = err != nil
	return !s.failed
}

// deadline gives the client time to take what is written; moving it at each
// write would cost more than the write's share of a token.
func (s *Events) deadline() {
	if s.timeout <= 0 {
		return
	}
	if now := time.Now(); now.After(s.renew) {
		s.renew = now.Add(s.timeout / 4)
		s.control.SetWriteDeadline(now.Add(s.timeout)) // not all writers have one
	}
}

// Close ends the stream.
func (s *Events) Close() {
	if s.timeout > 0 && s.begun {
		s.control.SetWriteDeadline(time.Time{}) // the connection may live on
	}
	if cap(s.Buf) <= s.pooled.Cap() {
		release(s.pooled)
	}
	s.Buf = nil
}
