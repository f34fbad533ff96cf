package serving

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// Encoder puts the course of one request into the words of a protocol. Each
// method appends whole messages to f; none, where the protocol has nothing to
// say at that point. The stream calls one method at a time, from any goroutine.
type Encoder interface {
	Voice
	// Begin comes before the first Delta of a choice.
	Begin(f *Frames, choice int)
	// Delta is what a choice has got further by; with Job.Progress that may be more
	// of the prompt. It is called for every step of the engine, so it appends by
	// hand and allocates nothing.
	Delta(f *Frames, choice int, d Delta)
	// End comes after the last Delta of a choice.
	End(f *Frames, choice int, r *Result)
	// Finish comes when all choices have ended.
	Finish(f *Frames, results []*Result)
}

// Voice is what a protocol says in a stream besides the answer. It may speak before
// there is one, while the model is being loaded.
type Voice interface {
	// Fail ends a stream that has begun, and that cannot go on.
	Fail(f *Frames, e *Error)
	// Ping shows that the connection is alive while there is nothing to send.
	Ping(f *Frames)
}

// stream writes the answer of one request while its generations run.
type stream struct {
	call     *Call
	gens     []*Generation
	enc      Encoder
	control  *http.ResponseController
	pooled   *bytes.Buffer // backs frames.Buf
	interval time.Duration // between pings
	cancel   context.CancelFunc

	mu      sync.Mutex // held while messages are appended and sent
	frames  Frames
	whole   int  // bytes of frames.Buf that are whole messages
	begun   bool // the status and the first message were sent
	broken  bool // a write failed: the client is gone, or does not read
	over    bool // no more pings
	silent  bool // nothing was sent since the timer last fired
	pings   *time.Timer
	running int    // choices that have not ended
	first   *Error // what ended the stream early
}

// Stream sends what the generations produce, in the words of enc, until all of
// them have ended: one write and flush for whatever a step of the engine brought.
//
// An error is returned in any case, for the log and the metrics. Before the
// first message nothing has been written, and the caller answers with the
// error's status; after it, the client has been told by Encoder.Fail.
func (c *Call) Stream(ctx context.Context, gens []*Generation, framing Framing, enc Encoder) *Error {
	pooled := buffers.Get().(*bytes.Buffer)
	pooled.Grow(2048)
	s := &stream{
		call: c, gens: gens, enc: enc, control: http.NewResponseController(c.W), pooled: pooled, interval: c.App.PingInterval,
		frames: Frames{Buf: pooled.AvailableBuffer(), framing: framing}, silent: true, running: len(gens), begun: c.opening != nil,
	}
	c.opening = nil // from here on, the stream itself tells the client what goes wrong
	ctx, s.cancel = context.WithCancel(ctx)
	defer s.cancel()
	s.startPings()
	s.pumpAll(ctx)
	return s.finish()
}

// pumpAll pumps all generations at once. The first error ends them all.
func (s *stream) pumpAll(ctx context.Context) {
	if len(s.gens) == 1 { // the usual request needs no other goroutine
		s.pump(ctx, 0)
		return
	}
	var wait sync.WaitGroup
	for i := range s.gens {
		wait.Go(func() { s.pump(ctx, i) })
	}
	wait.Wait()
}

// pump sends what one generation produces. A panic ends the request, not the
// process.
func (s *stream) pump(ctx context.Context, choice int) {
	defer func() {
		if v := recover(); v != nil {
			s.abort(Panicked(v))
		}
	}()
	for begun := false; ; begun = true {
		d, err := s.gens[choice].Next(ctx)
		if err == nil {
			err = s.send(choice, d, !begun)
		}
		if err != nil {
			s.abort(err)
			return
		}
		if d.Done {
			return
		}
	}
}

// send appends the messages for one Delta and sends them. The very last ones
// wait for those of Finish, so that both leave in one write.
func (s *stream) send(choice int, d Delta, first bool) *Error {
	s.mu.Lock()
	defer s.unlock()
	if first {
		s.enc.Begin(&s.frames, choice)
	}
	if len(d.Parts) > 0 || len(d.Tokens) > 0 || d.Progress {
		s.enc.Delta(&s.frames, choice, d)
	}
	if d.Done {
		s.enc.End(&s.frames, choice, s.gens[choice].Result())
		if s.running--; s.running == 0 {
			return s.complete()
		}
	}
	return s.flush()
}

// unlock drops what an encoder that failed has left of a message, so that the
// next message does not continue it.
func (s *stream) unlock() {
	s.frames.Buf, s.frames.err = s.frames.Buf[:s.whole], nil
	s.mu.Unlock()
}

// complete notes that frames.Buf holds whole messages.
func (s *stream) complete() *Error {
	if s.frames.err != nil {
		return Internal(s.frames.err)
	}
	s.whole = len(s.frames.Buf)
	return nil
}

// flush sends what has gathered.
func (s *stream) flush() *Error {
	if err := s.complete(); err != nil {
		return err
	}
	switch {
	case s.broken:
		return Gone()
	case s.whole == 0:
		return nil
	case !s.begun:
		s.begun = true
		s.call.beginStream(s.frames.framing)
	}
	s.silent = false
	_, err := s.call.W.Write(s.frames.Buf)
	s.frames.Buf, s.whole = s.frames.Buf[:0], 0
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.broken = true
		return Gone()
	}
	return nil
}

// beginStream sends the status and the headers of a stream.
func (c *Call) beginStream(framing Framing) {
	h := c.W.Header()
	h["Content-Type"], h["Cache-Control"], h["X-Accel-Buffering"] = framing.contentType(), noCache, noBuffering
	c.W.WriteHeader(http.StatusOK)
}

var (
	noCache     = []string{"no-cache"}
	noBuffering = []string{"no"} // nginx collects answers otherwise
)

// abort ends the generations because of err, unless something else already has.
func (s *stream) abort(err *Error) {
	s.mu.Lock()
	if s.first == nil {
		s.first = err
	}
	s.mu.Unlock()
	s.cancel()
}

// startPings begins to watch for silence. Proxies and clients give up
// connections on which nothing happens, as while a long prompt is computed.
func (s *stream) startPings() {
	if s.interval <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pings = time.AfterFunc(s.interval, s.ping)
}

// ping runs at every interval, and sends a sign of life if nothing else was
// sent since the last time.
func (s *stream) ping() {
	defer func() {
		if v := recover(); v != nil {
			s.abort(Panicked(v))
		}
	}()
	if err := s.signOfLife(); err != nil {
		s.abort(err)
	}
}

func (s *stream) signOfLife() *Error {
	s.mu.Lock()
	defer s.unlock()
	if s.over {
		return nil
	}
	var err *Error
	if s.silent {
		s.enc.Ping(&s.frames)
		err = s.flush()
	}
	s.silent = true
	s.pings.Reset(s.interval)
	return err
}

// finish sends the last messages, and returns what ended the stream early.
func (s *stream) finish() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.release()
	s.over = true
	if s.pings != nil {
		s.pings.Stop()
	}
	if s.first == nil {
		s.first = s.conclude()
	}
	if s.first != nil && s.begun && !s.broken {
		s.frames.Buf, s.frames.err = s.frames.Buf[:s.whole], nil
		s.enc.Fail(&s.frames, s.first)
		s.flush()
	}
	return s.first
}

// conclude sends the messages of a stream whose generations all have ended.
func (s *stream) conclude() (err *Error) {
	defer func() {
		if v := recover(); v != nil {
			err = Panicked(v)
		}
	}()
	results := make([]*Result, len(s.gens))
	for i, g := range s.gens {
		results[i] = g.Result()
	}
	s.enc.Finish(&s.frames, results)
	return s.flush()
}

func (s *stream) release() {
	if cap(s.frames.Buf) <= s.pooled.Cap() {
		release(s.pooled)
	}
	s.frames.Buf = nil
}

// PanicError is the cause of an error that was a panic.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Panicked turns what recover returned into a 500. The stack is for the log.
func Panicked(v any) *Error { return Internal(&PanicError{Value: v, Stack: debug.Stack()}) }
