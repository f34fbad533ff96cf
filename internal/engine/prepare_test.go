package engine

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kvcache"
)

// preparingMock has memory to be provided, in pieces of a block that take
// pieceTime each.
type preparingMock struct {
	*Mock
	ready atomic.Int64 // blocks
	calls atomic.Int64
	steps []int64 // calls that had been made when a step began
}

const pieceTime = 2 * time.Millisecond

func (m *preparingMock) Prepare(room kvcache.Room) bool {
	n := room.Blocks
	m.calls.Add(1)
	if m.ready.Load() >= int64(n) {
		return false
	}
	time.Sleep(pieceTime)
	return m.ready.Add(1) < int64(n)
}

func (m *preparingMock) Forward(b *batch.Batch) []float32 {
	m.steps = append(m.steps, m.calls.Load())
	return m.Mock.Forward(b)
}

// An idle engine has memory provided for so many blocks beyond those that were
// ever used, then sleeps.
func TestIdlePrepares(t *testing.T) {
	const all = stock + 128
	x := &preparingMock{Mock: testMock(256)}
	inBubble(t, x, testConfig(all), func(t *testing.T, e *Engine) {
		idle := func(want int64) {
			t.Helper()
			time.Sleep(time.Hour) // returns only because every goroutine is blocked
			if n := x.ready.Load(); n != want {
				t.Errorf("memory of %d blocks is ready, want %d", n, want)
			}
			calls := x.calls.Load()
			time.Sleep(time.Hour)
			if x.calls.Load() != calls {
				t.Error("the engine does not sleep")
			}
		}
		idle(stock)
		for i := range 4 { // 40 blocks stay cached, one is used again
			read(t, submit(t, e, Request{Prompt: tokens(70*i, 640), MaxTokens: 2}))
			idle([]int64{41 + stock, 81 + stock, 121 + stock, all}[i])
		}
	})
}

// A request that comes while memory is being provided waits for one piece, and
// nothing is provided until it has ended.
func TestRequestsGoBeforePreparing(t *testing.T) {
	x := &preparingMock{Mock: testMock(256)}
	inBubble(t, x, testConfig(256), func(t *testing.T, e *Engine) {
		time.Sleep(10*pieceTime + pieceTime/2)
		start := time.Now()
		if s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 8}); len(read(t, s)) != 8 {
			t.Error("too few tokens")
		} else if d := s.Finish().Timings.Scheduled.Sub(start); d > pieceTime {
			t.Errorf("the request waited %v", d)
		}
		synctest.Wait()
		for _, calls := range x.steps {
			if calls != x.steps[0] {
				t.Errorf("calls before each step: %d", x.steps)
			}
		}
	})
}

// An engine that is closed does not prepare to the end.
func TestCloseEndsPreparing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &preparingMock{Mock: testMock(256)}
		e, err := New(x, nil, testConfig(256))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(pieceTime / 2)
		e.Close()
		if n := x.calls.Load(); n != 1 {
			t.Errorf("%d pieces", n)
		}
	})
}
