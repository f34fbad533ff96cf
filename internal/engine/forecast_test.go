package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// rates are a step of 10 ms, 1 ms for a prompt row, and 20 rows beside streams.
func rates(slots int, jobs ...job) *forecast {
	return &forecast{slots: slots, tokens: 10000, streams: .010, row: .001, beside: 20, pace: 1, jobs: jobs}
}

func TestForecast(t *testing.T) {
	runs := func(left float64) job { return job{client: "a", left: left, running: true, held: 10} }
	waits := func(prompt, left float64) job { return job{client: "a", prompt: prompt, left: left} }
	of := func(client string, j job) job { j.client = client; return j }
	classed := func(class int, j job) job { j.class = class; return j }
	guessing := rates(1, runs(50))
	guessing.pace = 2.5
	small := rates(4, runs(100), runs(200))
	small.tokens, small.jobs[0].held, small.jobs[1].held = 1000, 900, 50
	small.jobs = append(small.jobs, waits(100, 1))
	for name, c := range map[string]struct {
		f      *forecast
		client string
		class  int
		want   time.Duration
	}{
		"nobody":                    {rates(1), "b", Normal, 0},
		"a free slot":               {rates(2, runs(50)), "a", Normal, 0},
		"one answer":                {rates(1, runs(50)), "a", Normal, 500 * time.Millisecond},
		"the shorter of two":        {rates(2, runs(50), runs(7)), "a", Normal, 70 * time.Millisecond},
		"one before":                {rates(1, runs(50), waits(100, 20)), "a", Normal, (500 + 100 + 200) * time.Millisecond},
		"a prompt beside a stream":  {rates(2, runs(50), job{client: "a", prompt: 40, left: 5, running: true}), "a", Normal, (2*30 + 5*10) * time.Millisecond},
		"several tokens a step":     {guessing, "a", Normal, 200 * time.Millisecond},
		"another one's flood":       {rates(2, runs(50), runs(50), waits(10, 50)), "b", Normal, 0},
		"a flood of one":            {rates(1, runs(50), waits(100, 20)), "b", Normal, 500 * time.Millisecond},
		"a flood above":             {rates(1, runs(50), classed(High, waits(100, 20))), "b", Normal, 800 * time.Millisecond},
		"a flood of a higher class": {rates(2, classed(High, runs(50)), classed(High, runs(50))), "b", Normal, 500 * time.Millisecond},
		"of a higher class":         {rates(1, runs(50), waits(100, 20)), "a", High, 500 * time.Millisecond},
		"his own flood":             {rates(2, runs(50), runs(50), of("b", waits(10, 10)), of("b", waits(10, 10))), "b", Normal, 620 * time.Millisecond},
		"a full cache":              {small, "a", Normal, time.Second},
	} {
		if got := c.f.starts(c.client, c.class); got.Round(time.Millisecond) != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What is foreseen is what happens, on the fake clock: each request of a long queue
// begins when it was said to when it came.
func TestForecastComesTrue(t *testing.T) {
	cfg := Config{Blocks: 512, Context: 512, MaxBatch: 4, MaxQueue: 100, StepBudget: 64, ChunkTokens: 16}
	inBubble(t, NewMock(MockConfig{Vocab: testVocab, Blocks: 512, StepTime: stepTime, RowTime: time.Millisecond}), cfg, func(t *testing.T, e *Engine) {
		send := func(i, tokens int) *Stream {
			return submit(t, e, Request{Prompt: prompt(i, 20+i%30), MaxTokens: tokens, IgnoreEOS: true, Client: "a"})
		}
		for i := range 6 { // to measure by
			finish(t, send(i, 30))
		}
		streams, said := make([]*Stream, 60), make([]time.Duration, 60)
		for i := range streams {
			e.mu.Lock()
			said[i] = e.forecast().starts("a", Normal)
			e.mu.Unlock()
			streams[i] = send(100+i, 20+i%20)
			time.Sleep(3 * time.Millisecond)
		}
		for i, s := range streams {
			was := finish(t, s).Timings.Queued()
			if off := (said[i] - was).Abs(); off > was/4+3*stepTime {
				t.Errorf("request %d began after %v, %v was foreseen", i, was, said[i])
			}
		}
	})
}

// Whoever finds the queue full is told when the request would begin, and who would
// have to wait longer than MaxWait is refused, but not those who would not.
func TestRefusedInTime(t *testing.T) {
	cfg := Config{Blocks: 512, Context: 512, MaxBatch: 2, MaxQueue: 6, MaxWait: 2500 * time.Millisecond}
	inBubble(t, testMock(512), cfg, func(t *testing.T, e *Engine) {
		finish(t, submit(t, e, Request{Prompt: prompt(999, 5), MaxTokens: 100, IgnoreEOS: true}))
		r := func(i int, client string) Request {
			return Request{Prompt: prompt(i, 5), MaxTokens: 100, IgnoreEOS: true, Client: client} // a second each
		}
		var streams []*Stream
		var busy *BusyError
		for i := range 20 {
			s, err := e.Submit(t.Context(), r(i, "a"))
			if errors.As(err, &busy) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
			synctest.Wait()
		}
		if len(streams) != 6 || busy == nil || busy.Full || errors.Is(busy, ErrQueueFull) || busy.Starts < 2500*time.Millisecond || busy.Starts > 4*time.Second {
			t.Fatalf("%d were accepted, then %v", len(streams), busy)
		}
		if err := e.Admit("b", Normal); err != nil {
			t.Errorf("a client who would begin at once is refused: %v", err)
		}
		if err := e.Admit("a", High); err != nil {
			t.Errorf("one who goes first is refused: %v", err)
		}
		streams = append(streams, submit(t, e, r(30, "b")), submit(t, e, r(31, "c")))
		err := e.Admit("d", Normal)
		if !errors.As(err, &busy) || !busy.Full || !errors.Is(err, ErrQueueFull) {
			t.Errorf("the queue is full, and the answer is %v", err)
		}
		if got := e.Stats().Refused; got != 1 {
			t.Errorf("%d refused", got)
		}
		for _, s := range streams {
			finish(t, s)
		}
		if err := e.Admit("a", Normal); err != nil {
			t.Errorf("an idle engine refuses: %v", err)
		}
	})
}
