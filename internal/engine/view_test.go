package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/sched"
)

// see looks at the engine, which is between two steps or will be.
func see(t *testing.T, e *Engine, v *View) {
	t.Helper()
	if err := e.View(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

// A viewer sees the batch, its rows, the queue, who shares which blocks, and
// afterwards what became of each request.
func TestView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := NewMock(MockConfig{Vocab: 64, Blocks: 64, StepTime: 10 * time.Millisecond})
		e, err := New(mock, nil, Config{Blocks: 64, Context: 512, MaxBatch: 2, PrefixCache: true})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		prefix := make([]int32, 40) // two full blocks, and some
		ask := func(last int32) *Stream {
			s, err := e.Submit(t.Context(), Request{Prompt: append(prefix[:len(prefix):len(prefix)], last), MaxTokens: 20})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := ask(1)
		time.Sleep(25 * time.Millisecond)
		streams := []*Stream{first, ask(2), ask(3)}
		time.Sleep(20 * time.Millisecond)
		var v View
		see(t, e, &v)
		if len(v.Sequences) != 2 || v.Queued != 1 || len(v.Waiting) != 1 || v.Waiting[0].Number != 3 || v.Waiting[0].Prompt != 41 {
			t.Fatalf("sequences %+v, waiting %+v of %d", v.Sequences, v.Waiting, v.Queued)
		}
		if a, b := v.Sequences[0], v.Sequences[1]; a.Number != 1 || !a.Decoding() || a.Rows != 1 || b.Number != 2 || b.Cached != 32 || a.Place == b.Place {
			t.Errorf("sequences %+v", v.Sequences)
		}
		shared, held := 0, 0
		both := uint64(1)<<v.Sequences[0].Place | 1<<v.Sequences[1].Place
		for _, b := range v.Blocks {
			if b.Use > 0 {
				held++
			}
			if b.Use == 2 && b.Holders == both {
				shared++
			}
		}
		if shared != 2 || held != v.Sequences[0].Blocks+v.Sequences[1].Blocks-2 {
			t.Errorf("%d blocks are shared, %d held: %+v", shared, held, v.Sequences)
		}
		if v.Step.Rows < 2 || v.Step.Whole < 10*time.Millisecond || v.Step.Forward < 10*time.Millisecond {
			t.Errorf("step %+v", v.Step)
		}
		for _, s := range streams {
			drainStream(t, s)
		}
		see(t, e, &v)
		if len(v.Sequences) != 0 || v.Queued != 0 || len(v.Recent) != 3 {
			t.Fatalf("at rest: %+v", v)
		}
		for i, r := range v.Recent {
			if r.Number != uint64(i+1) || r.Reason != Length || r.Usage.Completion != 20 || r.Timings.Finished.IsZero() {
				t.Errorf("recent %+v", r)
			}
		}
		cached := 0
		for _, b := range v.Blocks {
			if b.Use == sched.BlockCached {
				cached++
			}
		}
		if want := e.Stats().CachedBlocks; cached != want || cached == 0 {
			t.Errorf("%d blocks are cached, want %d", cached, want)
		}
	})
}

func drainStream(t *testing.T, s *Stream) {
	t.Helper()
	for {
		if _, ok, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		} else if !ok {
			return
		}
	}
}

// A viewer who gives up leaves nothing behind, and one who comes too late is told.
func TestViewEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := NewMock(MockConfig{Vocab: 64, Blocks: 64, StepTime: time.Minute})
		e, err := New(mock, nil, Config{Blocks: 64, Context: 512, MaxBatch: 2})
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.Submit(t.Context(), Request{Prompt: []int32{1}, MaxTokens: 2})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the first step runs
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var v View
		if err := e.View(ctx, &v); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("within a step: %v", err)
		}
		drainStream(t, s)
		see(t, e, &v)
		e.Close()
		if err := e.View(t.Context(), &v); err != ErrClosed {
			t.Errorf("after the end: %v", err)
		}
	})
}
