package engine

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// chunkTokens is the number of tokens of one link of a stream's ring.
const chunkTokens = 256

// chunk is a link of the ring. Whoever has read one gives it back for reuse.
type chunk struct {
	ids      []int32
	logprobs []float32        // nil unless wanted
	top      []sample.Logprob // [len(ids)*n]
	next     *chunk
}

// Stream is a request that was accepted. The engine writes, one reader reads.
// The writer never waits: what the reader leaves lying stays in memory, which
// the request's token limit bounds.
type Stream struct {
	engine  *Engine
	request Request
	number  uint64
	stop    func() bool // ends the watch over the context

	constraint *constrained // nil: none
	pooled     *pooled      // nil: it wants tokens, not an embedding
	guesser    *guesser     // nil: none of its tokens was guessed yet

	// The engine's.
	seq     *sched.Seq
	at      int // index in engine.streams; -1: not there
	place   int // index in engine.places; -1: not there
	rnd     rand.PCG
	tail    *chunk
	written int
	unwoken int // tokens since the reader was last roused
	started bool
	failure error
	late    error // to fail with in the next step
	timings Timings
	stepped time.Time // end of the last step that it was part of; before that, its admission

	// Between both.
	published atomic.Int64 // tokens that may be read
	ended     atomic.Bool  // finish is valid
	begun     atomic.Bool  // it has taken part in a step
	cached    atomic.Int64 // prompt tokens from the prefix cache, once it has begun
	computed  atomic.Int64 // prompt tokens that are computed
	prefill   atomic.Int64 // ns from the first step to the first token
	finish    Finish
	aborted   atomic.Bool
	sleeping  atomic.Bool
	wake      chan struct{}
	spare     atomic.Pointer[chunk]

	// The reader's.
	head *chunk
	read int
	told int // prompt tokens that it knows to be computed
}

func newStream(e *Engine, r Request) *Stream {
	s := &Stream{engine: e, request: r, at: -1, place: -1, told: -1, wake: make(chan struct{}, 1)}
	s.request.Params = r.Params.Clone()
	s.request.Params.Logprobs = r.Params.Logprobs || r.EchoLogprobs
	s.rnd.Seed(r.Params.Seed, 0x9e3779b97f4a7c15)
	expect := r.MaxTokens
	if expect < 0 || expect > e.cfg.Context {
		expect = e.cfg.Context
	}
	if r.EchoLogprobs {
		expect += len(r.Prompt)
	}
	if r.Pooling != model.NoPooling {
		s.pooled = newPooled(e.x.(stater).Dim())
	}
	s.tail = s.newChunk(min(max(expect, 1), chunkTokens))
	s.head = s.tail
	return s
}

// tops is the number of likeliest tokens reported with each.
func (s *Stream) tops() int {
	if !s.request.Params.Logprobs {
		return 0
	}
	return min(s.request.Params.TopLogprobs, s.engine.x.Vocab())
}

func (s *Stream) newChunk(n int) *chunk {
	c := &chunk{ids: make([]int32, n)}
	if s.request.Params.Logprobs {
		c.logprobs = make([]float32, n)
		c.top = make([]sample.Logprob, n*s.tops())
	}
	return c
}

// write appends a token; publish makes it readable.
func (s *Stream) write(out *sample.Output) {
	at := s.written % len(s.tail.ids)
	if at == 0 && s.written > 0 {
		c := s.spare.Swap(nil)
		if c == nil {
			c = s.newChunk(len(s.tail.ids))
		}
		c.next = nil
		s.tail.next = c
		s.tail = c
	}
	s.tail.ids[at] = out.Token
	if s.tail.logprobs != nil {
		s.tail.logprobs[at] = out.Logprob
		n := s.tops()
		top := s.tail.top[at*n : (at+1)*n]
		for i := copy(top, out.Top); i < n; i++ {
			top[i].Token = -1 // nothing; what is there is an older token's
		}
	}
	s.written++
	s.unwoken++
}

// publish makes what was written readable, and rouses a sleeping reader if it
// is time.
func (s *Stream) publish() {
	s.published.Store(int64(s.written))
	if s.unwoken >= int(max(s.request.Wake, 1)) {
		s.rouse()
	}
}

func (s *Stream) rouse() {
	s.unwoken = 0
	if s.sleeping.Load() && s.sleeping.CompareAndSwap(true, false) {
		signal(s.wake)
	}
}

// Next waits for the next token, or with Request.Progress until more of the prompt
// is computed. After the last it returns false, and the error
// of a request that failed. It also returns ctx's error; that alone does not
// end the request.
func (s *Stream) Next(ctx context.Context) (Token, bool, error) {
	for {
		if s.news() {
			return Token{Progress: true}, true, nil
		}
		if s.read < int(s.published.Load()) {
			return s.take(), true, nil
		}
		if s.ended.Load() {
			if s.read < int(s.published.Load()) {
				continue
			}
			s.unwatch()
			return Token{}, false, s.finish.Err
		}
		s.sleeping.Store(true)
		if s.read < int(s.published.Load()) || s.ended.Load() || s.hasNews() { // since the look above
			s.sleeping.Store(false)
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			s.sleeping.Store(false)
			return Token{}, false, ctx.Err()
		}
	}
}

// Cached is the number of prompt tokens that the prefix cache had, once the
// request has begun.
func (s *Stream) Cached() int { return int(s.cached.Load()) }

// Ready is the number of tokens that Next returns without waiting.
func (s *Stream) Ready() int { return int(s.published.Load()) - s.read }

func (s *Stream) take() Token {
	at := s.read % len(s.head.ids)
	if at == 0 && s.read > 0 {
		old := s.head
		s.head = old.next
		s.spare.Store(old)
	}
	t := Token{ID: s.head.ids[at]}
	if s.head.logprobs != nil {
		t.Logprob = s.head.logprobs[at]
		t.Prompt = s.request.EchoLogprobs && s.read < len(s.request.Prompt)
		n := s.tops()
		t.Top = s.head.top[at*n : (at+1)*n : (at+1)*n]
		for len(t.Top) > 0 && t.Top[len(t.Top)-1].Token < 0 {
			t.Top = t.Top[:len(t.Top)-1]
		}
	}
	s.read++
	return t
}

// Finish is how the request ended. It is valid once Next has returned false
// without ctx's error.
func (s *Stream) Finish() *Finish {
	if !s.ended.Load() {
		return &Finish{StopToken: -1}
	}
	return &s.finish
}

// Close aborts the request unless it has ended. The engine sees to it within a
// step. It may be called from any goroutine, and more than once.
func (s *Stream) Close() {
	s.abort()
	s.unwatch()
}

func (s *Stream) abort() {
	if !s.ended.Load() && s.aborted.CompareAndSwap(false, true) {
		s.engine.aborts.Store(true)
		if s.engine.broken.Load() {
			s.engine.rouse() // no step looks at the flag
		}
	}
}

func (s *Stream) unwatch() {
	if s.stop != nil {
		s.stop()
	}
}
