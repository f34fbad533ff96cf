package engine

import (
	"context"
	"time"
)

// Progress is how far a request has come. It may be asked for at any time, and
// costs the step nothing.
type Progress struct {
	Begun    bool // it has taken part in a step
	Prompt   int  // tokens of its prompt
	Cached   int  // of which the prefix cache had so many
	Computed int  // and so many are computed, the cached ones included
	Decoded  int  // tokens that were generated
	Limit    int  // tokens that may be generated; negative: until the context is full

	Prefill time.Duration // from the first step to the first token, once that has come
}

// Progress is how far the request has come.
func (s *Stream) Progress() Progress {
	p := Progress{
		Begun:    s.begun.Load(),
		Prompt:   len(s.request.Prompt),
		Cached:   s.Cached(),
		Computed: int(s.computed.Load()),
		Decoded:  int(s.published.Load()),
		Limit:    s.request.MaxTokens,
		Prefill:  time.Duration(s.prefill.Load()),
	}
	if s.request.EchoLogprobs {
		p.Decoded = max(0, p.Decoded-p.Prompt)
	}
	return p
}

// advance notes how much of the prompt is computed, and rouses a reader that wants
// to know.
func (s *Stream) advance(computed int) {
	s.computed.Store(int64(min(computed, len(s.request.Prompt))))
	if s.request.Progress && s.written == 0 {
		s.rouse()
	}
}

// hasNews reports whether more of the prompt is computed than the reader was last
// told, if it wants to be told.
func (s *Stream) hasNews() bool {
	return s.request.Progress && s.read == 0 && s.begun.Load() && int(s.computed.Load()) > s.told
}

// news is hasNews, and takes note that the reader is told.
func (s *Stream) news() bool {
	some := s.hasNews()
	if some {
		s.told = int(s.computed.Load())
	}
	return some
}

// Running is a request that takes part in the steps.
type Running struct {
	Place  int    // a number below Config.MaxBatch, which no other request has meanwhile
	Number uint64 // of the request; they are counted from 1
	Tag    any    // of its Request
	Progress
}

// Running lists the requests that take part in the steps, by place. It takes no
// lock and does not disturb the step.
func (e *Engine) Running() []Running {
	var list []Running
	for i := range e.places {
		if s := e.places[i].Load(); s != nil {
			list = append(list, Running{Place: i, Number: s.number, Tag: s.request.Tag, Progress: s.Progress()})
		}
	}
	return list
}

// settle gives a request a place when it begins. There is none for it while others
// keep theirs although they lost their blocks.
func (e *Engine) settle(s *Stream) {
	for i := range e.places {
		if e.places[i].Load() == nil {
			e.places[i].Store(s)
			s.place = i
			return
		}
	}
}

// unsettle takes the place back.
func (e *Engine) unsettle(s *Stream) {
	if s.place >= 0 {
		e.places[s.place].Store(nil)
		s.place = -1
	}
}

// FlushCache empties the prefix cache between two steps, but for what running
// requests hold, and returns how many blocks it had.
func (e *Engine) FlushCache(ctx context.Context) (blocks int, err error) {
	reply := make(chan int, 1)
	select {
	case e.flushes <- reply:
	case <-e.done:
		return 0, ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	e.rouse()
	select {
	case n := <-reply:
		return n, nil
	case <-e.done:
		return 0, ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// flush empties the prefix cache for those who asked.
func (e *Engine) flush() {
	for len(e.flushes) > 0 {
		reply := <-e.flushes
		n := e.sched.ForgetCached()
		e.stats.publish(e)
		reply <- n
	}
}
