package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/sample"
)

// The benchmark that this server answers measured one with these defects. Each
// is a test; those of the sampler and of HTTP are in their packages.

// A batch ended only as a whole: nobody joined it, and short requests waited for
// long ones.
func TestSeedDefectBatchesEndTogether(t *testing.T) {
	m := testMock(64)
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		long := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 100})
		time.Sleep(20*stepTime + 1)
		start := time.Now()
		short := submit(t, e, Request{Prompt: tokens(9, 5), MaxTokens: 5})
		read(t, short)
		if d := time.Since(start); d > 6*stepTime {
			t.Errorf("the short request took %v beside a long one", d)
		}
		if long.Finish().Reason != 0 || long.Ready() > 30 {
			t.Error("the long one is not running any more")
		}
		if got := read(t, long); !slices.Equal(got, expect(m, tokens(0, 5), 100)) {
			t.Error("the long one was disturbed")
		}
	})
}

// A priority that starves the others.
func TestSeedDefectPriorityStarves(t *testing.T) {
	cfg := testConfig(64)
	cfg.MaxBatch, cfg.AgeSteps = 1, 10
	inBubble(t, testMock(64), cfg, func(t *testing.T, e *Engine) {
		flood := func() *Stream {
			return submit(t, e, Request{Prompt: tokens(3, 3), MaxTokens: 1, Priority: High})
		}
		urgent := []*Stream{flood(), flood(), flood()}
		low := submit(t, e, Request{Prompt: tokens(0, 3), MaxTokens: 1, Priority: Low})
		served := 0
		for low.Finish().Reason == 0 {
			if served++; served > 50 {
				t.Fatal("the low request starves")
			}
			read(t, urgent[0])
			urgent = append(urgent[1:], flood())
		}
		if served < 5 {
			t.Errorf("only %d urgent requests went first", served)
		}
		for _, s := range urgent {
			read(t, s)
		}
		read(t, low)
	})
}

// Sequence ids were freed before their KV: blocks of a request that is aborted
// while they are written must not go to another before the pass has ended.
func TestSeedDefectBlocksFreedWhileWritten(t *testing.T) {
	m := testMock(12)
	cfg := testConfig(12)
	cfg.Context = 100
	var e *Engine
	var doomed *Stream
	x := &countingMock{Mock: m}
	x.hook = func(b *batch.Batch) {
		if x.steps.Load() == 2 {
			before := e.sched.FreeBlocks()
			doomed.Close()
			e.applyAborts() // as early as can be: in the pass itself
			if free := e.sched.FreeBlocks(); free != before {
				t.Errorf("%d blocks were freed in the pass that writes them", free-before)
			}
		}
	}
	e, err := newEngine(x, nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	doomed = submit(t, e, Request{Prompt: tokens(0, 70), MaxTokens: 10}) // two chunks
	e.collect()
	e.step()
	other := submit(t, e, Request{Prompt: tokens(100, 70), MaxTokens: 10})
	for e.collect(); e.step(); e.collect() {
	}
	read(t, doomed)
	if doomed.Finish().Reason != Aborted || e.sched.FreeBlocks() != 12 {
		t.Errorf("%v, %d blocks free", doomed.Finish().Reason, e.sched.FreeBlocks())
	}
	if got := read(t, other); !slices.Equal(got, expect(m, tokens(100, 70), 10)) {
		t.Errorf("the next request got %v", got)
	}
}

// Results were never freed.
func TestSeedDefectResultsNeverFreed(t *testing.T) {
	m := NewMock(MockConfig{Vocab: testVocab, Blocks: 64})
	e, err := New(m, nil, testConfig(64))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	before := runtime.NumGoroutine()
	var kept []weak.Pointer[Stream]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range 50 {
		s, err := e.Submit(ctx, Request{Prompt: tokens(i, 20), MaxTokens: 10})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			read(t, s)
		} else {
			s.Close()
		}
		kept = append(kept, weak.Make(s))
	}
	deadline := time.Now().Add(2 * time.Minute)
	for left := 1; left > 0; {
		runtime.GC()
		left = 0
		for _, w := range kept {
			if w.Value() != nil {
				left++
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 50 streams are still referenced", left)
		}
		time.Sleep(time.Millisecond)
	}
	if st := e.Stats(); st.FreeBlocks != 64 || st.Running+st.Waiting != 0 {
		t.Errorf("stats %+v", st)
	}
	for n := runtime.NumGoroutine(); n > before; n = runtime.NumGoroutine() { // those that ended may still be counted
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", n, before)
		}
		time.Sleep(time.Millisecond)
	}
}

// A slow reader stalled everyone.
func TestSeedDefectSlowReaderStallsEveryone(t *testing.T) {
	m := testMock(256)
	inBubble(t, m, testConfig(256), func(t *testing.T, e *Engine) {
		slow := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 2000})
		start := time.Now()
		quick := submit(t, e, Request{Prompt: tokens(9, 5), MaxTokens: 1000})
		if got := read(t, quick); !slices.Equal(got, expect(m, tokens(9, 5), 1000)) {
			t.Error("the quick reader got other tokens")
		}
		if d := time.Since(start); d != 1000*stepTime && d != 1001*stepTime { // the first step may begin before the second request is there
			t.Errorf("1000 tokens took %v", d)
		}
		time.Sleep(2 * time.Hour)
		if got := read(t, slow); !slices.Equal(got, expect(m, tokens(0, 5), 2000)) {
			t.Error("the slow reader lost tokens")
		}
	})
}

// The first tokens were lost if the callback was registered late.
func TestSeedDefectFirstTokensLost(t *testing.T) {
	m := testMock(64)
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		for _, wake := range []Wake{WakeEach, 3, WakeEnd} {
			s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 30, Wake: wake})
			time.Sleep(time.Minute) // it has ended long ago
			if s.Ready() != 30 {
				t.Errorf("%d tokens are ready", s.Ready())
			}
			if got := read(t, s); !slices.Equal(got, expect(m, tokens(0, 5), 30)) {
				t.Errorf("wake %d: got %v", wake, got)
			}
		}
	})
}

// Cancellation was ignored. It takes effect within one step, wherever the
// request is: in the queue, in prefill, while it decodes.
func TestSeedDefectCancellationIgnored(t *testing.T) {
	for name, after := range map[string]time.Duration{"prefill": stepTime / 2, "prefill, later": 10*stepTime + stepTime/2, "decode": 60*stepTime + stepTime/2} {
		t.Run(name, func(t *testing.T) {
			x := &countingMock{Mock: testMock(256)}
			inBubble(t, x, testConfig(256), func(t *testing.T, e *Engine) {
				ctx, cancel := context.WithCancel(t.Context())
				s, err := e.Submit(ctx, Request{Prompt: tokens(0, 3000), MaxTokens: 1000}) // 47 steps of prompt
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(after)
				steps := x.steps.Load()
				cancel()
				for s.Finish().Reason == 0 {
					time.Sleep(stepTime / 10)
				}
				if x.steps.Load() > steps {
					t.Errorf("%d more steps were taken", x.steps.Load()-steps)
				}
				synctest.Wait()
				if st := e.Stats(); st.FreeBlocks != 256 || s.Finish().Reason != Aborted {
					t.Errorf("%v, %d blocks free", s.Finish().Reason, st.FreeBlocks)
				}
			})
		})
	}
	t.Run("queue", func(t *testing.T) {
		cfg := testConfig(64)
		cfg.MaxBatch = 1
		inBubble(t, testMock(64), cfg, func(t *testing.T, e *Engine) {
			first := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 100})
			queued := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 100})
			time.Sleep(stepTime / 2)
			queued.Close()
			queued.Close()
			time.Sleep(stepTime)
			if f := queued.Finish(); f.Reason != Aborted || !f.Timings.Scheduled.IsZero() || e.Stats().Waiting != 0 {
				t.Errorf("%+v", f)
			}
			if n := len(read(t, first)); n != 100 {
				t.Errorf("the other got %d tokens", n)
			}
		})
	})
}

// Temperature 0 was replaced by a default, and top_k ignored.
func TestSeedDefectParametersIgnored(t *testing.T) {
	m := testMock(64)
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		want := expect(m, tokens(0, 5), 40)
		for name, p := range map[string]sample.Params{
			"temperature 0": {TopP: 0.9, Seed: 1},
			"top_k 1":       {Temperature: 50, TopK: 1, TopP: 1, Seed: 2},
		} {
			if got := read(t, submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 40, Params: p})); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		hot := sample.Params{Temperature: 50, TopP: 1, Seed: 3}
		if got := read(t, submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 40, Params: hot})); slices.Equal(got, want) {
			t.Error("temperature 50 changed nothing: the test shows nothing")
		}
	})
}

// Prompts were cut silently.
func TestSeedDefectPromptsCut(t *testing.T) {
	cfg := testConfig(64)
	cfg.Context = 100
	inBubble(t, testMock(64), cfg, func(t *testing.T, e *Engine) {
		_, err := e.Submit(t.Context(), Request{Prompt: tokens(0, 100), MaxTokens: 1})
		var long *TooLongError
		if !errors.As(err, &long) || long.Prompt != 100 || long.Context != 100 {
			t.Errorf("got %v", err)
		}
		s := submit(t, e, Request{Prompt: tokens(0, 99), MaxTokens: 50})
		if n := len(read(t, s)); n != 1 || s.Finish().Reason != Length {
			t.Errorf("%d tokens, %v", n, s.Finish().Reason)
		}
	})
}

// A seed reproduces whatever else runs.
func TestSeedReproducesInAnyCompany(t *testing.T) {
	m := testMock(256)
	var alone []int32
	r := Request{Prompt: tokens(0, 5), MaxTokens: 60, Params: sample.Params{Temperature: 30, TopP: 1, Seed: 7}}
	inBubble(t, m, testConfig(256), func(t *testing.T, e *Engine) {
		alone = read(t, submit(t, e, r))
	})
	inBubble(t, m, testConfig(256), func(t *testing.T, e *Engine) {
		other := r
		other.Params.Seed = 8
		a, b := submit(t, e, other), submit(t, e, r)
		c := submit(t, e, Request{Prompt: tokens(1, 200), MaxTokens: 5, Params: other.Params})
		if slices.Equal(read(t, a), alone) {
			t.Error("another seed gives the same")
		}
		if !slices.Equal(read(t, b), alone) {
			t.Error("the same seed gives something else in company")
		}
		read(t, c)
	})
}

// One client's flood does not delay another's single request.
func TestFloodDelaysOnlyItself(t *testing.T) {
	inBubble(t, testMock(256), testConfig(256), func(t *testing.T, e *Engine) {
		var flood []*Stream
		for range 100 {
			flood = append(flood, submit(t, e, Request{Prompt: tokens(5, 20), MaxTokens: 20, Client: "flood"}))
		}
		time.Sleep(5 * stepTime)
		start := time.Now()
		read(t, submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 5, Client: "other"}))
		if d := time.Since(start); d > 30*stepTime {
			t.Errorf("it took %v", d)
		}
		for _, s := range flood {
			s.Close()
		}
		synctest.Wait()
		time.Sleep(2 * stepTime)
	})
}
