package sched

import (
	"slices"
	"testing"
)

// Blocks that a wrong guess has filled are never found by a prompt that says what was
// guessed, neither while the sequence runs nor when it has ended.
func TestWrongGuessesAreNotFound(t *testing.T) {
	t.Run("while it runs", func(t *testing.T) { testWrongGuesses(t, false) })
	t.Run("when it has ended", func(t *testing.T) { testWrongGuesses(t, true) })
}

func testWrongGuesses(t *testing.T, ended bool) {
	cfg := Config{Blocks: 32, BlockSize: 4, Context: 64, MaxSeqs: 4, MaxQueue: 4, MaxRows: 32, MaxLogits: 24, PrefixCache: true}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	kv := newFakeKV(cfg)
	step := func() (accepted int) {
		p := s.Schedule(Budget{Alone: 16, Beside: 16})
		kv.run(p)
		var tokens []int32
		starts := []int32{0}
		for i := range p.Entries {
			tokens = append(tokens, kv.given(p, i, 1000, func() int { return 0 })...)
			starts = append(starts, int32(len(tokens)))
		}
		s.Update(p, tokens, starts)
		for _, e := range p.Entries {
			accepted += e.Accepted
		}
		return accepted
	}
	a, err := s.Add(Request{Prompt: []int32{1, 2, 3, 4, 5, 6}, MaxTokens: 30})
	if err != nil {
		t.Fatal(err)
	}
	step()
	draft := guess(a, 3, 12, 1000)
	text := append(slices.Clone(a.Tokens()), draft...)
	if kept := s.Draft(a, draft); kept != len(draft) {
		t.Fatalf("%d of %d tokens kept", kept, len(draft))
	}
	if n := step(); n != 3 {
		t.Fatalf("%d tokens accepted, want 3", n)
	}
	known := a.Computed() / cfg.BlockSize * cfg.BlockSize
	if ended {
		s.Abort(a)
	}
	b, err := s.Add(Request{Prompt: text, MaxTokens: 1})
	if err != nil {
		t.Fatal(err)
	}
	step()
	if b.Cached() != known || known == 0 {
		t.Errorf("%d tokens found, %d are computed", b.Cached(), known)
	}
	s.check()
}

// What is reserved for a model that guesses is what nobody else needs, and stays within
// the sequence's own limit.
func TestReserve(t *testing.T) {
	cfg := Config{Blocks: 6, BlockSize: 4, Context: 16, MaxSeqs: 2, MaxQueue: 4, MaxRows: 16}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	kv := newFakeKV(cfg)
	a, err := s.Add(Request{Prompt: []int32{1, 2, 3}, MaxTokens: 9})
	if err != nil {
		t.Fatal(err)
	}
	p := s.Schedule(Budget{Alone: 16})
	update(s, p, kv.run(p))
	if !s.Reserve(a, 100) || len(a.blocks) != 3 {
		t.Errorf("alone: %d blocks for 12 tokens", len(a.blocks))
	}
	b, err := s.Add(Request{Prompt: []int32{4, 5, 6}, MaxTokens: 12})
	if err != nil {
		t.Fatal(err)
	}
	p = s.Schedule(Budget{Alone: 16, Beside: 16})
	update(s, p, kv.run(p))
	if s.Reserve(b, 8) || len(b.blocks) != 1 {
		t.Errorf("none is left for the other: %d blocks", len(b.blocks))
	}
	if !s.Reserve(a, 2) || !s.Reserve(b, 0) {
		t.Error("blocks that are there are not to be had")
	}
	s.check()
}
