package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/nn"
)

// pooledMock does part of its pass in the pool, where it goes wrong once.
type pooledMock struct {
	*Mock
	pool   *nn.Pool
	worker int // that panics in the next pass; -1: none
}

func (m *pooledMock) Forward(b *batch.Batch) []float32 {
	j := &poolFault{m.worker}
	m.worker = -1
	m.pool.Run(j)
	return m.Mock.Forward(b)
}

type poolFault struct{ worker int }

func (j *poolFault) Do(worker, _ int) {
	if worker == j.worker {
		panic("a worker tripped")
	}
}

// A panic in the pool, of whichever worker, fails the requests of its step. The
// engine, the pool and the blocks are there for the next ones.
func TestPanicInThePoolFailsTheStep(t *testing.T) {
	for worker := range 2 {
		pool := nn.NewPool(2)
		x := &pooledMock{Mock: testMock(64), pool: pool, worker: worker}
		cfg := testConfig(64)
		var stack string
		cfg.OnPanic = func(_ any, s []byte) { stack = string(s) }
		e, err := New(x, pool, cfg)
		if err != nil {
			t.Fatal(err)
		}
		failed := submit(t, e, Request{Prompt: tokens(0, 40), MaxTokens: 20})
		if err := drainError(t, failed); !errors.Is(err, ErrStep) || !strings.Contains(err.Error(), "tripped") {
			t.Errorf("worker %d: got %v", worker, err)
		}
		if !strings.Contains(stack, "poolFault).Do") {
			t.Errorf("worker %d: the stack is not the job's: %s", worker, stack)
		}
		var streams []*Stream
		for i := range 4 {
			streams = append(streams, submit(t, e, Request{Prompt: tokens(i, 20), MaxTokens: 20}))
		}
		for i, s := range streams {
			if got := read(t, s); !slices.Equal(got, expect(x.Mock, tokens(i, 20), 20)) {
				t.Errorf("worker %d: request %d after the panic: %v", worker, i, got)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		if err := e.Drain(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		e.Close()
		if s := e.Stats(); s.Broken || s.FreeBlocks != s.Blocks || s.Running+s.Waiting != 0 {
			t.Errorf("worker %d: left behind: %+v", worker, s)
		}
		pool.Close()
	}
}
