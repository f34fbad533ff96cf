package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestStorm: requests come, are cancelled, closed from elsewhere, abandoned and
// read in part, while the engine drains and closes. For the race detector, and
// for whoever might be left waiting.
func TestStorm(t *testing.T) {
	before := runtime.NumGoroutine()
	for round := range uint64(30) {
		x := NewMock(MockConfig{Vocab: testVocab, Blocks: 24, StepTime: time.Microsecond})
		cfg := testConfig(24)
		cfg.MaxQueue = 3
		e, err := New(x, nil, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var clients, stops sync.WaitGroup
		for c := range uint64(8) {
			clients.Go(func() { client(t, e, rand.New(rand.NewPCG(round, c))) })
		}
		time.Sleep(time.Duration(round%5) * time.Millisecond)
		for i := range 4 {
			stops.Go(func() {
				if i%2 == 0 && round%3 == 0 {
					e.Close()
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*time.Millisecond)
				defer cancel()
				e.Drain(ctx)
			})
		}
		stops.Wait()
		e.Close()
		clients.Wait()
		if s := e.Stats(); e.requests.live() != 0 || s.Running+s.Waiting != 0 || s.FreeBlocks != s.Blocks {
			t.Fatalf("round %d left %d requests: %+v", round, e.requests.live(), s)
		}
	}
	for deadline := time.Now().Add(2 * time.Minute); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

// client submits until the engine refuses for good.
func client(t *testing.T, e *Engine, r *rand.Rand) {
	for {
		ctx, cancel := context.WithCancel(context.Background())
		s, err := e.Submit(ctx, Request{
			Prompt: tokens(r.IntN(3), 1+r.IntN(100)), MaxTokens: r.IntN(300) - 1, EchoLogprobs: r.IntN(4) == 0,
			Wake: Wake(r.IntN(5)), Client: string(rune('a' + r.IntN(5))),
		})
		switch {
		case errors.Is(err, ErrQueueFull):
			cancel()
			time.Sleep(10 * time.Microsecond)
			continue
		case err != nil:
			cancel()
			if !errors.Is(err, ErrDraining) && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			return
		}
		leave := [...]func(){cancel, s.Close, func() {}}[r.IntN(3)]
		left := r.IntN(200)
		for ; left > 0; left-- {
			if _, ok, err := s.Next(context.Background()); !ok {
				if err != nil {
					t.Error(err)
				}
				break
			}
		}
		var elsewhere sync.WaitGroup
		elsewhere.Go(leave)
		if r.IntN(2) == 0 { // the rest, however it ends
			for ok := true; ok; {
				_, ok, _ = s.Next(context.Background())
			}
			if f := s.Finish(); f.Reason == Failed || f.Usage.Completion > 300 {
				t.Errorf("ended with %+v", f)
			}
		}
		elsewhere.Wait()
		cancel()
	}
}
