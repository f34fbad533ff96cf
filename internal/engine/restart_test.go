package engine

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Panics that follow each other break the engine. It says so and refuses requests,
// restarts by itself, and answers those that had been waiting and those that come.
func TestBrokenEngineRestarts(t *testing.T) {
	x := &faultyMock{Mock: testMock(64), panics: 3}
	cfg := testConfig(64)
	cfg.MaxBatch = 1
	inBubble(t, x, cfg, func(t *testing.T, e *Engine) {
		var streams []*Stream
		for i := range 6 {
			streams = append(streams, submit(t, e, Request{Prompt: tokens(i, 20), MaxTokens: 20}))
		}
		for _, s := range streams[:3] {
			if err := drainError(t, s); !errors.Is(err, ErrStep) {
				t.Errorf("got %v", err)
			}
		}
		synctest.Wait() // the loop pauses; the last stream may have ended a moment before that
		var broken *BrokenError
		_, err := e.Submit(t.Context(), Request{Prompt: tokens(0, 5)})
		if !errors.As(err, &broken) || !errors.Is(err, ErrBroken) || broken.Retry != firstPause {
			t.Errorf("Submit: %v", err)
		}
		if s := e.Stats(); !s.Broken || s.RestartIn != firstPause || s.Waiting != 3 || e.draining.Load() {
			t.Errorf("while it is broken: %+v, draining %v", s, e.draining.Load())
		}
		streams[3].Close() // also now
		if f := finish(t, streams[3]); f.Reason != Aborted {
			t.Errorf("aborted during the pause: %+v", f)
		}
		start := time.Now()
		for i, s := range streams[4:] {
			if got := read(t, s); !slices.Equal(got, expect(x.Mock, tokens(i+4, 20), 20)) {
				t.Errorf("request %d, which was waiting: %v", i+4, got)
			}
		}
		if waited := time.Since(start); waited < firstPause || waited > firstPause+2*time.Second {
			t.Errorf("the restart took %v", waited)
		}
		if got := read(t, submit(t, e, Request{Prompt: tokens(9, 20), MaxTokens: 5})); !slices.Equal(got, expect(x.Mock, tokens(9, 20), 5)) {
			t.Errorf("a request after the restart: %v", got)
		}
		synctest.Wait()
		if s := e.Stats(); s.Broken || s.RestartIn != 0 || s.Restarts != 1 || s.GeneratedTokens < 45 {
			t.Errorf("after the restart: %+v", s)
		}
	})
}

func finish(t *testing.T, s *Stream) *Finish {
	t.Helper()
	for {
		if _, ok, err := s.Next(t.Context()); !ok {
			if err != nil {
				t.Error(err)
			}
			return s.Finish()
		}
	}
}

// While it keeps breaking the pauses grow, and no request hangs. Close ends one.
func TestBrokenAgainAndAgain(t *testing.T) {
	x := &faultyMock{Mock: testMock(64), panics: 1 << 30}
	cfg := testConfig(64)
	inBubble(t, x, cfg, func(t *testing.T, e *Engine) {
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			for range panicsToBreak {
				if err := drainError(t, submit(t, e, Request{Prompt: tokens(0, 20), MaxTokens: 20})); !errors.Is(err, ErrStep) {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if got := e.Stats().RestartIn; got != want*time.Second {
				t.Errorf("a pause of %v, want %v", got, want*time.Second)
			}
			time.Sleep(want*time.Second + stepTime)
		}
		time.Sleep(calmAfter)
		for range panicsToBreak {
			drainError(t, submit(t, e, Request{Prompt: tokens(0, 20), MaxTokens: 20}))
		}
		synctest.Wait()
		if got := e.Stats().RestartIn; got != firstPause {
			t.Errorf("after a long calm a pause of %v", got)
		}
	})
}

// Panics with time or steps between them are their requests' own affair.
func TestPanicsFarApart(t *testing.T) {
	x := &faultyMock{Mock: testMock(64)}
	inBubble(t, x, testConfig(64), func(t *testing.T, e *Engine) {
		for i := range 10 {
			x.panics = 1
			if err := drainError(t, submit(t, e, Request{Prompt: tokens(0, 20), MaxTokens: 20})); !errors.Is(err, ErrStep) {
				t.Fatal(err)
			}
			if i%2 == 0 {
				time.Sleep(closeTime)
			} else {
				read(t, submit(t, e, Request{Prompt: tokens(1, 20), MaxTokens: 20}))
			}
			synctest.Wait()
			if s := e.Stats(); s.Broken || s.Restarts != 0 {
				t.Fatalf("broken by panic %d: %+v", i, s)
			}
		}
	})
}
