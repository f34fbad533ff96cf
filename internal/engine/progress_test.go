package engine

import (
	"context"
	"slices"
	"testing"
	"time"
)

// A reader that wants to know is told after each step how much of the prompt is
// computed, and what the prefix cache had of it before the first.
func TestProgress(t *testing.T) {
	cfg := testConfig(256)
	inBubble(t, testMock(256), cfg, func(t *testing.T, e *Engine) {
		watch := func(r Request) (computed []int, tokens int) {
			s := submit(t, e, r)
			defer s.Close()
			for {
				tok, ok, err := s.Next(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return computed, tokens
				}
				p := s.Progress()
				if !tok.Progress {
					tokens++
					continue
				}
				if tokens > 0 || !p.Begun || p.Prompt != len(r.Prompt) || p.Limit != r.MaxTokens {
					t.Errorf("after %d tokens: %+v", tokens, p)
				}
				computed = append(computed, p.Computed)
			}
		}
		got, tokens := watch(Request{Prompt: spread(200, 0), MaxTokens: 3, Progress: true})
		if len(got) < 4 || !slices.IsSorted(got) || got[0] != 0 || got[len(got)-1] != 200 || tokens != 3 {
			t.Errorf("computed %v, then %d tokens", got, tokens)
		}
		got, _ = watch(Request{Prompt: spread(200, 0), MaxTokens: 3, Progress: true})
		if want := []int{192, 200}; !slices.Equal(got, want) {
			t.Errorf("with the cache: computed %v, want %v", got, want)
		}
		if got, tokens = watch(Request{Prompt: spread(200, 7), MaxTokens: 3}); len(got) != 0 || tokens != 3 {
			t.Errorf("told %v without having asked", got)
		}
	})
}

// Running tells who takes part in the steps, and how far they have come.
func TestRunning(t *testing.T) {
	inBubble(t, testMock(256), testConfig(256), func(t *testing.T, e *Engine) {
		if list := e.Running(); len(list) != 0 {
			t.Errorf("an idle engine runs %v", list)
		}
		a := submit(t, e, Request{Prompt: spread(30, 0), MaxTokens: 100, Tag: "a"})
		b := submit(t, e, Request{Prompt: spread(10, 3), MaxTokens: 5, Tag: "b"})
		time.Sleep(4*stepTime + stepTime/2)
		list := e.Running()
		if len(list) != 2 || list[0].Tag != "a" || list[1].Tag != "b" || list[0].Place != 0 || list[1].Place != 1 || list[0].Number == list[1].Number {
			t.Fatalf("%+v", list)
		}
		if r := list[0]; r.Computed != 30 || r.Prompt != 30 || r.Decoded < 2 || r.Decoded > 4 || r.Limit != 100 || !r.Begun || r.Prefill != stepTime {
			t.Errorf("%+v", r)
		}
		read(t, b)
		if list = e.Running(); len(list) != 1 || list[0].Tag != "a" {
			t.Errorf("%+v", list)
		}
		c := submit(t, e, Request{Prompt: spread(10, 9), MaxTokens: 2, Tag: "c"})
		time.Sleep(stepTime + stepTime/2)
		if list = e.Running(); len(list) != 2 || list[1].Tag != "c" || list[1].Place != 1 {
			t.Errorf("a place is not used again: %+v", list)
		}
		a.Close()
		read(t, c)
		time.Sleep(2 * stepTime)
		if list = e.Running(); len(list) != 0 {
			t.Errorf("%+v", list)
		}
	})
}

// FlushCache works on an idle engine, beside running requests, and on a closed one.
func TestFlushCache(t *testing.T) {
	inBubble(t, testMock(256), testConfig(256), func(t *testing.T, e *Engine) {
		cached := func() int {
			s := submit(t, e, Request{Prompt: spread(100, 0), MaxTokens: 2})
			read(t, s)
			return s.Cached()
		}
		cached()
		if n := cached(); n == 0 {
			t.Fatal("nothing is cached")
		}
		if n, err := e.FlushCache(t.Context()); err != nil || n == 0 || e.Stats().CachedBlocks != 0 {
			t.Errorf("%d, %v; %d left", n, err, e.Stats().CachedBlocks)
		}
		if n := cached(); n != 0 {
			t.Errorf("%d tokens are cached after a flush", n)
		}
		long := submit(t, e, Request{Prompt: spread(50, 200), MaxTokens: 50})
		time.Sleep(2 * stepTime)
		if n, err := e.FlushCache(t.Context()); err != nil || n == 0 {
			t.Errorf("beside a request: %d, %v", n, err)
		}
		if ids := read(t, long); len(ids) != 50 {
			t.Errorf("%d tokens", len(ids))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.FlushCache(ctx); err == nil && e.Stats().CachedBlocks > 0 {
			t.Error("no error, and nothing flushed")
		}
	})
	e, err := New(testMock(16), nil, testConfig(16))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if _, err := e.FlushCache(t.Context()); err == nil {
		t.Error("a closed engine flushes")
	}
}

// spread is a prompt of n tokens, which differs from those that begin elsewhere.
func spread(n, from int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((from + i) % testVocab)
	}
	return ids
}
