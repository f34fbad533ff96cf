package engine

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
)

// hangingMock hangs in a pass until it is let go.
type hangingMock struct {
	*Mock
	hang  bool
	until chan struct{}
}

func (m *hangingMock) Forward(b *batch.Batch) []float32 {
	if m.hang {
		<-m.until
	}
	return m.Mock.Forward(b)
}

// TestWatchdog: a step that does not end is noticed within the limit and a quarter,
// with what it computes; requests are refused meanwhile; and when it ends after all,
// everything goes on.
func TestWatchdog(t *testing.T) {
	const limit = time.Minute
	var mu sync.Mutex
	var all []Stuck
	cfg := testConfig(64)
	cfg.StepLimit, cfg.OnStuck = limit, func(s Stuck) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
	}
	told := func() []Stuck {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
	x := &hangingMock{Mock: testMock(64)}
	inBubble(t, x, cfg, func(t *testing.T, e *Engine) {
		x.until = make(chan struct{}) // of the bubble
		a := submit(t, e, Request{Prompt: tokens(7, 20), MaxTokens: 3})
		if err := drainError(t, a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * limit) // an engine without work is not stuck
		x.hang = true
		b := submit(t, e, Request{Prompt: tokens(9, 30), MaxTokens: 3})
		began := time.Now()
		time.Sleep(limit - time.Second)
		synctest.Wait()
		reports := told()
		if len(reports) > 0 || e.Room() != nil {
			t.Fatalf("%d reports after %v: %v", len(reports), time.Since(began), e.Room())
		}
		time.Sleep(limit/watchParts + 2*time.Second)
		synctest.Wait()
		if reports = told(); len(reports) != 1 || !errors.Is(e.Room(), ErrStuck) || e.Stats().Stuck < limit {
			t.Fatalf("%d reports after %v: %v, %v", len(reports), time.Since(began), e.Room(), e.Stats().Stuck)
		}
		r := reports[0]
		if r.Rows != 30 || r.Streams != 0 || len(r.Running) != 1 || r.Running[0].Prompt != 30 || r.Over {
			t.Errorf("it computes %+v", r)
		}
		if _, err := e.Submit(t.Context(), Request{Prompt: tokens(1, 3)}); !errors.Is(err, ErrStuck) {
			t.Errorf("a request was answered %v", err)
		}
		time.Sleep(10 * limit)
		synctest.Wait()
		if reports = told(); len(reports) != 2 || !bytes.Contains(reports[1].Stack, []byte("hangingMock")) || bytes.Contains(reports[1].Stack, []byte("TestWatchdog(")) {
			t.Fatalf("%d reports, the last with the stack\n%s", len(reports), reports[len(reports)-1].Stack)
		}
		x.hang = false
		close(x.until)
		if err := drainError(t, b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(limit)
		synctest.Wait()
		if reports = told(); len(reports) != 3 || !reports[2].Over || e.Room() != nil || e.Stats().Stuck != 0 {
			t.Errorf("afterwards: %d reports, %v", len(reports), e.Room())
		}
	})
}
