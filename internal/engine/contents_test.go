package engine

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/sched"
)

// A copy of the cache's contents has what was computed, block after block, and loses
// what is flushed; while nothing changes, the turnover says so.
func TestContents(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		var c Contents
		look := func() {
			t.Helper()
			if err := e.Contents(t.Context(), &c); err != nil {
				t.Fatal(err)
			}
		}
		look()
		if len(c.Changes) != 0 || c.Anew || !c.Empty() || e.Turnover() != 0 {
			t.Fatalf("an empty cache: %+v, turnover %d", c, e.Turnover())
		}
		prompt := tokens(3, 40)
		read(t, submit(t, e, Request{Prompt: prompt, MaxTokens: 2}))
		synctest.Wait()
		if e.Turnover() != 2 {
			t.Errorf("turnover %d", e.Turnover())
		}
		look()
		slices.SortFunc(c.Changes, func(a, b sched.Change) int { return int(a.Is) - int(b.Is) })
		if len(c.Changes) != 2 || c.Changes[0].Parent != 0 || c.Changes[1].Parent != c.Changes[0].Is ||
			!slices.Equal(slices.Concat(c.Changes[0].Tokens, c.Changes[1].Tokens), prompt[:32]) {
			t.Errorf("changes %+v", c.Changes)
		}
		look()
		if len(c.Changes) != 0 || c.Empty() {
			t.Errorf("nothing has changed, but %+v", c.Changes)
		}
		if n, err := e.FlushCache(t.Context()); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		look()
		if len(c.Changes) != 2 || c.Changes[0].Is != 0 || !c.Empty() || c.Anew || e.Turnover() != 4 {
			t.Errorf("flushed: %+v, turnover %d", c.Changes, e.Turnover())
		}
	})
}

// An engine that starts over has an empty cache, and whoever holds a copy learns it,
// though identities begin anew.
func TestContentsAnew(t *testing.T) {
	x := &faultyMock{Mock: testMock(64)}
	cfg := testConfig(64)
	inBubble(t, x, cfg, func(t *testing.T, e *Engine) {
		var c Contents
		read(t, submit(t, e, Request{Prompt: tokens(1, 40), MaxTokens: 2}))
		if err := e.Contents(t.Context(), &c); err != nil || len(c.Changes) != 2 {
			t.Fatal(c.Changes, err)
		}
		before := e.Turnover()
		x.panics = panicsToBreak
		for i := range panicsToBreak {
			if err := drainError(t, submit(t, e, Request{Prompt: tokens(i, 20), MaxTokens: 1})); !errors.Is(err, ErrStep) {
				t.Error(err)
			}
		}
		time.Sleep(2 * firstPause)
		synctest.Wait()
		if e.Turnover() == before {
			t.Error("the turnover says that nothing has changed")
		}
		read(t, submit(t, e, Request{Prompt: tokens(5, 20), MaxTokens: 2}))
		if err := e.Contents(t.Context(), &c); err != nil || !c.Anew || len(c.Changes) != 1 || c.Changes[0].Was != 0 || !slices.Equal(c.Changes[0].Tokens, tokens(5, 20)[:16]) {
			t.Errorf("after the restart: %+v, %v", c, err)
		}
		if err := e.Contents(t.Context(), &c); err != nil || c.Anew || len(c.Changes) != 0 {
			t.Errorf("and then: %+v, %v", c, err)
		}
	})
}
