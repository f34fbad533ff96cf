package server

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// response carries one request's answer to the socket. It bounds what a client
// that stalls may cost, on every route and in both directions: the request's
// body has to arrive in time, and the client has to take what is written. It
// also remembers the status, and notes how long the answer took to begin.
type response struct {
	http.ResponseWriter
	*exchange

	control *http.ResponseController
	status  int       // 0: nothing was sent yet
	renew   time.Time // when the write deadline has to be moved
}

// lateBody is how long an answer waits for the next piece of a body that its handler
// did not read. Such a body is read before the answer is sent: most clients send
// everything before they read anything, and if the connection ended before, they
// would see that it was reset, and no answer. A client that announces a body and
// never sends it would then wait for ever.
const lateBody = time.Second

// lateBytes is how much of such a body is read: many times what a body may have.
// A client that sends even more loses its connection.
const lateBytes = 64 << 20

// piece is how many bytes the client has to take within one write time-out.
const piece = 64 << 10

// begin sets the first deadlines.
func (r *response) begin() {
	r.control = http.NewResponseController(r.ResponseWriter)
	if d := r.server.cfg.BodyTimeout; d > 0 && r.hasBody() {
		r.control.SetReadDeadline(time.Now().Add(d)) // not all writers have one
	}
	if !r.shared() {
		r.extend() // net/http itself may have to write 100 Continue
	}
}

func (r *response) hasBody() bool { return r.call.R.Body != nil && r.call.R.Body != http.NoBody }

// shared says that the connection carries other requests, too: it is HTTP/2.
func (r *response) shared() bool { return r.call.R.ProtoMajor >= 2 }

// extend gives the client time to take what is written next. Moving the
// deadline at each write would cost more than a write's share of a token.
func (r *response) extend() {
	d := r.server.cfg.WriteTimeout
	if d <= 0 {
		return
	}
	if now := time.Now(); now.After(r.renew) {
		r.renew = now.Add(d / 4)
		r.control.SetWriteDeadline(now.Add(d))
	}
}

// pause ends the write deadline. HTTP/1.1 does not need that: a deadline that
// passes while nobody writes has no effect there. A request of HTTP/2 ends at
// its deadline even if it is only waiting for the next token.
func (r *response) pause() {
	if r.shared() && r.server.cfg.WriteTimeout > 0 {
		r.renew = time.Time{}
		r.control.SetWriteDeadline(time.Time{})
	}
}

// late bounds the wait for a body that the handler has not read. The wait is
// part of the first write's time.
func (r *response) late() {
	if !r.hasBody() || r.call.BodyRead {
		return
	}
	d := lateBody
	if limit := r.server.cfg.BodyTimeout; limit > 0 {
		d = min(d, limit)
	}
	if limit := r.server.cfg.WriteTimeout; limit > 0 {
		d = min(d, limit/2)
	}
	r.control.SetReadDeadline(time.Now().Add(d))
	// In HTTP/2 an answer may come before the end of the body, and a client that
	// expects 100 Continue waits for the answer before it sends any.
	if !r.shared() && r.call.R.Header.Get("Expect") == "" {
		r.discard(d)
	}
}

// discard reads the body for as long as its pieces come within d each, and all of
// it within its time.
func (r *response) discard(d time.Duration) {
	end := r.call.Start.Add(r.server.cfg.BodyTimeout)
	for range lateBytes / piece {
		_, err := io.CopyN(io.Discard, r.call.R.Body, piece)
		if err == io.EOF {
			r.call.BodyRead = true
			r.control.SetReadDeadline(time.Time{})
		}
		now := time.Now()
		if err != nil || now.After(end) {
			return
		}
		r.control.SetReadDeadline(now.Add(d))
	}
}

// WriteHeader notes the status.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
		ms := strconv.FormatInt(time.Since(r.call.Start).Milliseconds(), 10)
		r.Header()["Openai-Processing-Ms"] = []string{ms}
		r.late()
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write sends b in pieces, so that a client has the whole time for each.
func (r *response) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	for sent := 0; ; {
		r.extend()
		n, err := r.ResponseWriter.Write(b[sent:min(sent+piece, len(b))])
		if sent += n; err != nil || sent == len(b) {
			return sent, err
		}
	}
}

// FlushError sends what was written.
func (r *response) FlushError() error {
	r.extend()
	err := r.control.Flush()
	r.pause()
	return err
}

// Flush sends what was written; net/http's own handlers call it.
func (r *response) Flush() { _ = r.FlushError() }

// end is called when the handler has returned. net/http then sends what is left,
// for which the client gets its time, too.
func (r *response) end() {
	if r.status == 0 {
		r.late()
	}
	r.renew = time.Time{}
	r.extend()
}

// Unwrap is for http.ResponseController.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
