package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// A flood of 300 requests from one client delays another one's request by at most 3
// steps.
func TestFloodOfOneClient(t *testing.T) {
	const step = 10 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		x := NewMock(MockConfig{Vocab: 64, Blocks: 512, StepTime: step})
		e, err := New(x, nil, Config{Blocks: 512, Context: 256, MaxBatch: 8, MaxQueue: 400, PrefixCache: true})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		submit := func(client string, first, prompt, tokens int) *Stream {
			ids := make([]int32, prompt)
			for i := range ids {
				ids[i] = int32((first + i) % 64)
			}
			s, err := e.Submit(t.Context(), Request{Prompt: ids, MaxTokens: tokens, IgnoreEOS: true, Client: client})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		finish := func(s *Stream) *Finish {
			for {
				if _, ok, err := s.Next(t.Context()); err != nil || !ok {
					return s.Finish()
				}
			}
		}
		alone := finish(submit("other", 0, 30, 4))
		flood := make([]*Stream, 300)
		for i := range flood {
			flood[i] = submit("flood", i, 5+i%60, 40)
		}
		for wait := range 12 {
			time.Sleep(time.Duration(wait) * 7 * time.Millisecond)
			f := finish(submit("other", 2*wait+1, 30, 4))
			if f.Reason != Length {
				t.Fatalf("ended with %v, %v", f.Reason, f.Err)
			}
			if late := f.Timings.Queued() - alone.Timings.Queued(); late > 3*step {
				t.Errorf("request %d starts %v later than alone, a step takes %v", wait, late, step)
			}
		}
		for i, s := range flood {
			if f := finish(s); f.Reason != Length || f.Usage.Completion != 40 {
				t.Errorf("request %d of the flood: %v, %d tokens", i, f.Reason, f.Usage.Completion)
			}
		}
	})
}
