package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/sample"
)

const testVocab = 500

// stepTime is what a step of the mock takes on the fake clock of synctest.
const stepTime = 10 * time.Millisecond

func testMock(blocks int) *Mock {
	return NewMock(MockConfig{Vocab: testVocab, Blocks: blocks, StepTime: stepTime})
}

func testConfig(blocks int) Config {
	return Config{Blocks: blocks, Context: 4096, MaxBatch: 4, StepBudget: 64, ChunkTokens: 16, PrefixCache: true}
}

// inBubble runs a test with an engine on a fake clock, and checks at the end that
// nothing is left behind: no block, no request, no goroutine.
func inBubble(t *testing.T, x Executor, cfg Config, test func(t *testing.T, e *Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, err := New(x, nil, cfg)
		if err != nil {
			t.Fatal(err)
		}
		test(t, e)
		synctest.Wait()
		if s := e.Stats(); s.Running+s.Waiting != 0 || s.FreeBlocks != s.Blocks || len(e.streams) != 0 {
			t.Errorf("left behind: %+v", s)
		}
		e.Close() // synctest fails if the loop does not end
	})
}

func submit(t *testing.T, e *Engine, r Request) *Stream {
	t.Helper()
	s, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read drains a stream.
func read(t *testing.T, s *Stream) (ids []int32) {
	t.Helper()
	for {
		tok, ok, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return ids
		}
		ids = append(ids, tok.ID)
	}
}

func tokens(from, n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32((from + i) % testVocab)
	}
	return list
}

// expect is what the mock says n greedy tokens after a prompt are.
func expect(m *Mock, prompt []int32, n int) []int32 {
	context := slices.Clone(prompt)
	for range n {
		context = append(context, m.Token(context))
	}
	return context[len(prompt):]
}

func TestGreedy(t *testing.T) {
	m := testMock(64)
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		prompt := tokens(3, 50)
		start := time.Now()
		s := submit(t, e, Request{Prompt: prompt, MaxTokens: 300})
		if got := read(t, s); !slices.Equal(got, expect(m, prompt, 300)) {
			t.Errorf("got %v", got)
		}
		f := s.Finish()
		if f.Reason != Length || f.Usage != (Usage{Prompt: 50, Completion: 300}) || f.StopToken != -1 || f.Err != nil {
			t.Errorf("finish %+v", f)
		}
		tm := f.Timings
		if tm.Queued() != 0 || tm.Prefill() != stepTime || tm.Decode() != 299*stepTime || tm.Steps != 300 || tm.Forward != 300*stepTime ||
			tm.Submitted != start || !tm.Finished.Equal(tm.LastToken) {
			t.Errorf("timings %+v", tm)
		}
	})
}

func TestStopTokens(t *testing.T) {
	m := testMock(64)
	prompt := tokens(0, 5)
	want := expect(m, prompt, 20)
	cut := slices.Index(want, want[9])
	cfg := testConfig(64)
	cfg.EOG = []int32{want[9]}
	inBubble(t, m, cfg, func(t *testing.T, e *Engine) {
		for name, c := range map[string]struct {
			r Request
			n int
			f Finish
		}{
			"eog":          {Request{MaxTokens: 20}, cut, Finish{Reason: Stop, StopToken: want[9], Usage: Usage{5, 0, cut + 1}}},
			"ignored":      {Request{MaxTokens: 20, IgnoreEOS: true}, 20, Finish{Reason: Length, StopToken: -1, Usage: Usage{5, 0, 20}}},
			"stop token":   {Request{MaxTokens: 20, StopTokens: []int32{want[3]}}, slices.Index(want, want[3]), Finish{Reason: Stop, StopToken: want[3], Usage: Usage{5, 0, slices.Index(want, want[3]) + 1}}},
			"the context":  {Request{MaxTokens: 20, IgnoreEOS: true}, 20, Finish{Reason: Length, StopToken: -1, Usage: Usage{5, 0, 20}}},
			"nothing":      {Request{MaxTokens: 0}, 0, Finish{Reason: Length, StopToken: -1, Usage: Usage{5, 0, 0}}},
			"just the end": {Request{MaxTokens: 1}, 1, Finish{Reason: Length, StopToken: -1, Usage: Usage{5, 0, 1}}},
		} {
			c.r.Prompt = prompt
			s := submit(t, e, c.r)
			got := read(t, s)
			f := s.Finish()
			if !slices.Equal(got, want[:c.n]) || f.Reason != c.f.Reason || f.StopToken != c.f.StopToken || f.Usage != c.f.Usage {
				t.Errorf("%s: %d tokens, %+v", name, len(got), f)
			}
		}
	})
}

func TestUsageCountsCachedTokens(t *testing.T) {
	m := testMock(64)
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		read(t, submit(t, e, Request{Prompt: tokens(0, 40), MaxTokens: 2}))
		s := submit(t, e, Request{Prompt: tokens(0, 40), MaxTokens: 5})
		if got := read(t, s); !slices.Equal(got, expect(m, tokens(0, 40), 5)) || s.Finish().Usage.Cached != 32 {
			t.Errorf("got %v, %+v", got, s.Finish().Usage)
		}
		synctest.Wait()
		if st := e.Stats(); st.PrefixHitTokens != 32 || st.PrefixQueryTokens != 80 || st.PromptTokens != 80 || st.GeneratedTokens != 7 {
			t.Errorf("stats %+v", st)
		}
	})
}

// Many requests, more than run at once, through preemptions: every one gets its
// own tokens.
func TestCrowd(t *testing.T) {
	m := testMock(20)
	cfg := testConfig(20)
	cfg.Context = 200
	inBubble(t, m, cfg, func(t *testing.T, e *Engine) {
		var streams []*Stream
		for i := range 30 {
			streams = append(streams, submit(t, e, Request{Prompt: tokens(i%5*7, 20+i), MaxTokens: 10 + i*3, Client: string(rune('a' + i%3))}))
		}
		for i, s := range streams {
			if got := read(t, s); !slices.Equal(got, expect(m, tokens(i%5*7, 20+i), 10+i*3)) {
				t.Errorf("request %d got %v", i, got)
			}
		}
		synctest.Wait()
		if st := e.Stats(); st.Preemptions == 0 || st.PrefixHitTokens == 0 {
			t.Errorf("the test shows too little: %+v", st)
		}
	})
}

func TestRefusals(t *testing.T) {
	cfg := testConfig(64)
	cfg.MaxBatch, cfg.MaxQueue, cfg.Context = 1, 1, 100
	inBubble(t, testMock(64), cfg, func(t *testing.T, e *Engine) {
		refused := func(r Request, want error) {
			t.Helper()
			if _, err := e.Submit(t.Context(), r); !isError(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		refused(Request{}, ErrEmpty)
		refused(Request{Prompt: []int32{1, testVocab}}, ErrToken)
		refused(Request{Prompt: []int32{-1}}, ErrToken)
		refused(Request{Prompt: tokens(0, 101), MaxTokens: 1}, ErrTooLong)
		refused(Request{Prompt: tokens(0, 5), Params: sample.Params{Temperature: -1}}, &sample.ParamError{})
		a := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 3})
		b := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 3})
		refused(Request{Prompt: tokens(0, 5)}, ErrQueueFull)
		if len(read(t, a)) != 3 || len(read(t, b)) != 3 {
			t.Error("the accepted ones were harmed")
		}
		if e.Stats().Refused != 1 {
			t.Error("refusals are not counted")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.Submit(ctx, Request{Prompt: tokens(0, 5)}); err != context.Canceled {
			t.Errorf("cancelled before: %v", err)
		}
	})
}

// WakeEnd rouses the reader once; a number every so many tokens.
func TestWake(t *testing.T) {
	m := testMock(64)
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		for wake, first := range map[Wake]time.Duration{0: stepTime, WakeEach: stepTime, 8: 8 * stepTime, WakeEnd: 50 * stepTime} {
			start := time.Now()
			s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 50, Wake: wake})
			if _, ok, err := s.Next(t.Context()); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if got := time.Since(start); got != first {
				t.Errorf("wake %d: the first token was seen after %v, want %v", wake, got, first)
			}
			if got := len(read(t, s)); got != 49 {
				t.Errorf("wake %d: %d more tokens", wake, got)
			}
		}
	})
}

func TestNextReturnsContextError(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 5, Wake: WakeEnd})
		ctx, cancel := context.WithTimeout(t.Context(), stepTime/2)
		defer cancel()
		if _, ok, err := s.Next(ctx); ok || err != context.DeadlineExceeded {
			t.Errorf("got %v, %v", ok, err)
		}
		if n := len(read(t, s)); n != 5 { // the request itself goes on
			t.Errorf("%d tokens", n)
		}
	})
}

// An idle engine sleeps; the first token comes after one step.
func TestIdle(t *testing.T) {
	x := &countingMock{Mock: testMock(64)}
	inBubble(t, x, testConfig(64), func(t *testing.T, e *Engine) {
		time.Sleep(time.Hour) // returns only because every goroutine is blocked
		if x.steps.Load() != 0 {
			t.Error("steps without a request")
		}
		start := time.Now()
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 1})
		read(t, s)
		if d := time.Since(start); d != stepTime {
			t.Errorf("first token after %v", d)
		}
	})
}

type countingMock struct {
	*Mock
	steps atomic.Int64
	hook  func(b *batch.Batch)
}

func (m *countingMock) Forward(b *batch.Batch) []float32 {
	m.steps.Add(1)
	if m.hook != nil {
		m.hook(b)
	}
	return m.Mock.Forward(b)
}

func TestDrain(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 20})
		drained := make(chan error)
		go func() { drained <- e.Drain(context.Background()) }()
		time.Sleep(5 * stepTime)
		if _, err := e.Submit(t.Context(), Request{Prompt: tokens(0, 5)}); err != ErrDraining {
			t.Errorf("while draining: %v", err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if n := len(read(t, s)); n != 20 {
			t.Errorf("the running stream got %d tokens", n)
		}
	})
}

// Whoever drains learns that it is done, also when several do.
func TestDrainTwiceAtOnce(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 20})
		ctx, cancel := context.WithTimeout(t.Context(), 100*stepTime)
		defer cancel()
		drained := make(chan error)
		for range 2 {
			go func() { drained <- e.Drain(ctx) }()
		}
		for range 2 {
			if err := <-drained; err != nil {
				t.Error(err)
			}
		}
		read(t, s)
	})
}

func TestDrainGivesUp(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 500})
		ctx, cancel := context.WithTimeout(t.Context(), 10*stepTime)
		defer cancel()
		if err := e.Drain(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		if n := len(read(t, s)); n > 11 || s.Finish().Reason != Aborted {
			t.Errorf("%d tokens, %v", n, s.Finish().Reason)
		}
	})
}

func TestNonsensicalConfig(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.MaxBatch = -1 },
		func(c *Config) { c.MaxBatch, c.MaxQueue = -2, 1 },
		func(c *Config) { c.StepBudget = -1 },
		func(c *Config) { c.Context = -1 },
		func(c *Config) { c.Blocks = 0 },
	} {
		cfg := testConfig(64)
		change(&cfg)
		if e, err := New(testMock(64), nil, cfg); err == nil {
			e.Close()
			t.Errorf("accepted %+v", cfg)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(testMock(64), nil, testConfig(64))
		if err != nil {
			t.Fatal(err)
		}
		var streams []*Stream
		for range 9 {
			streams = append(streams, submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 500}))
		}
		time.Sleep(3*stepTime + 1)
		e.Close()
		for _, s := range streams {
			read(t, s)
			if s.Finish().Reason != Aborted {
				t.Errorf("ended as %v", s.Finish().Reason)
			}
		}
		if _, err := e.Submit(t.Context(), Request{Prompt: tokens(0, 5)}); err != ErrClosed {
			t.Error(err)
		}
		if err := e.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHistograms(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		read(t, submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 11}))
		h := e.Histograms()
		if first, between := h.FirstToken.Snapshot(), h.Interval.Snapshot(); first.Count != 1 || between.Count != 10 || between.Sum < 0.0999 || between.Sum > 0.1001 {
			t.Errorf("first %+v, between %+v", first, between)
		}
		if h.Queue.Snapshot().Count != 1 || h.Total.Snapshot().Count != 1 || h.StepTokens.Snapshot().Sum != 15 {
			t.Error("queue, total or step histogram")
		}
	})
}
