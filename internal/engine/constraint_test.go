package engine

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/sample"
)

// allowed is a constraint that knows no grammar: of a few token ids any may come,
// some of them are followed by others that are forced, and at the very end only
// one may come. It notes what it is told.
type allowed struct {
	ids    []int32
	forced map[int32][]int32
	end    int32 // the token that must be the last; 0: any
	wait   chan struct{}
	fail   int           // Prepare panics at this call; 0: never
	slow   chan struct{} // Accept waits for it

	left     []int
	accepted []int32
	bits     [(testVocab + 63) / 64]uint64
}

func (a *allowed) Prepare(left int) error {
	if a.left = append(a.left, left); len(a.left) == a.fail {
		panic("out of grammar")
	}
	if a.wait != nil {
		<-a.wait
	}
	clear(a.bits[:])
	for _, t := range a.ids {
		a.bits[t/64] |= 1 << (t % 64)
	}
	if left == 1 && a.end != 0 {
		clear(a.bits[:])
		a.bits[a.end/64] |= 1 << (a.end % 64)
	}
	return nil
}

func (a *allowed) Allowed() []uint64 { return a.bits[:] }

func (a *allowed) Accept(t int32) ([]int32, error) {
	if a.slow != nil {
		<-a.slow
	}
	a.accepted = append(a.accepted, t)
	if !slices.Contains(a.ids, t) && t != a.end {
		return nil, errors.New("a token that is not allowed")
	}
	return a.forced[t], nil
}

func (a *allowed) make() Constraint { return a }

func TestConstraint(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		a := &allowed{ids: []int32{400, 401, 402}, end: 450}
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 6, Constraint: a.make, Params: sample.Params{Temperature: 1, TopP: 1, Seed: 3}})
		got := read(t, s)
		for _, id := range got[:5] {
			if !slices.Contains(a.ids, id) {
				t.Errorf("%d is not allowed", id)
			}
		}
		if len(got) != 6 || got[5] != 450 || !slices.Equal(a.accepted, got[:5]) || !slices.Equal(a.left[:6], []int{6, 5, 4, 3, 2, 1}) {
			t.Errorf("got %v, accepted %v, left %v", got, a.accepted, a.left)
		}
		// A constraint that panics fails its own sequence only.
		bad := &allowed{ids: []int32{400}, fail: 3}
		s = submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 9, Constraint: bad.make})
		other := submit(t, e, Request{Prompt: tokens(7, 5), MaxTokens: 9})
		if err := drainError(t, s); !errors.Is(err, ErrStep) {
			t.Errorf("got %v", err)
		}
		if len(read(t, other)) != 9 || e.Stats().Broken {
			t.Error("others were harmed")
		}
	})
}

// Forced tokens are not sampled one by one: they come with the token before them, or,
// if they were not known in time, together in the next step. The model goes on from
// them as if it had chosen them.
func TestForcedTokens(t *testing.T) {
	x := testMock(64)
	inBubble(t, x, testConfig(64), func(t *testing.T, e *Engine) {
		all := make([]int32, testVocab)
		for i := range all {
			all[i] = int32(i)
		}
		prompt := tokens(0, 5)
		first := x.Token(prompt)
		a := &allowed{ids: all, forced: map[int32][]int32{first: {400, 401, 402}}}
		other := submit(t, e, Request{Prompt: tokens(7, 5), MaxTokens: 9})
		p := sample.Params{Logprobs: true, TopLogprobs: 2}
		s := submit(t, e, Request{Prompt: prompt, MaxTokens: 8, Constraint: a.make, Params: p})
		want := []int32{first, 400, 401, 402}
		want = append(want, expect(x, append(slices.Clone(prompt), want...), 4)...)
		var got []int32
		for {
			tok, ok, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if forced := len(got) >= 1 && len(got) < 4; forced != (len(tok.Top) == 0) || forced != (tok.Logprob == 0) {
				t.Errorf("token %d: %+v", len(got), tok)
			}
			got = append(got, tok.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if f := s.Finish(); f.Timings.Steps < 5 || f.Timings.Steps > 6 || f.Usage.Completion != 8 || !slices.Equal(a.left[:2], []int{8, 4}) {
			t.Errorf("%d steps, %+v, left %v", f.Timings.Steps, f.Usage, a.left)
		}
		if got := read(t, other); !slices.Equal(got, expect(x, tokens(7, 5), 9)) {
			t.Error("the neighbour was disturbed")
		}
	})
}

// A constraint that takes long holds up its own sequence only, and costs it no
// token.
func TestSlowConstraint(t *testing.T) {
	x := NewMock(MockConfig{Vocab: testVocab, Blocks: 64, StepTime: 100 * time.Microsecond})
	e, err := New(x, nil, testConfig(64))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	a := &allowed{ids: []int32{400}, wait: make(chan struct{})}
	slow := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 3, Constraint: a.make})
	if got := read(t, submit(t, e, Request{Prompt: tokens(7, 5), MaxTokens: 9})); !slices.Equal(got, expect(x, tokens(7, 5), 9)) {
		t.Errorf("the neighbour got %v", got)
	}
	if slow.Ready() != 0 {
		t.Error("a token came before the constraint was prepared")
	}
	close(a.wait)
	if got := read(t, slow); !slices.Equal(got, []int32{400, 400, 400}) {
		t.Errorf("got %v", got)
	}
}

// What must follow a token is not waited for: where it is known too late, the
// neighbour has gone on, and the sequence gets it later, unchanged.
func TestSlowAccept(t *testing.T) {
	x := NewMock(MockConfig{Vocab: testVocab, Blocks: 64, StepTime: 100 * time.Microsecond})
	e, err := New(x, nil, testConfig(64))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	a := &allowed{ids: []int32{400}, forced: map[int32][]int32{400: {401, 402}}, slow: make(chan struct{})}
	slow := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 7, Constraint: a.make})
	if first, _, err := slow.Next(t.Context()); err != nil || first.ID != 400 {
		t.Fatalf("got %v, %v", first, err)
	}
	if got := read(t, submit(t, e, Request{Prompt: tokens(7, 5), MaxTokens: 9})); !slices.Equal(got, expect(x, tokens(7, 5), 9)) {
		t.Errorf("the neighbour got %v", got)
	}
	if slow.Ready() != 0 {
		t.Error("a token came before it was known what must follow")
	}
	close(a.slow)
	if got := read(t, slow); !slices.Equal(got, []int32{401, 402, 400, 401, 402, 400}) {
		t.Errorf("got %v", got)
	}
}

// A constraint whose making fails, or that refuses the token that was chosen, fails
// its own sequence only.
func TestConstraintErrors(t *testing.T) {
	inBubble(t, testMock(64), testConfig(64), func(t *testing.T, e *Engine) {
		for name, c := range map[string]func() Constraint{
			"no constraint":  func() Constraint { panic("no memory") },
			"a wrong Accept": func() Constraint { return &contrary{} },
		} {
			s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 9, Constraint: c})
			other := submit(t, e, Request{Prompt: tokens(7, 5), MaxTokens: 9})
			if err := drainError(t, s); err == nil {
				t.Errorf("%s: no error", name)
			}
			if len(read(t, other)) != 9 {
				t.Errorf("%s: the other was harmed", name)
			}
		}
	})
}

// contrary allows everything and accepts nothing.
type contrary struct{}

func (*contrary) Prepare(int) error             { return nil }
func (*contrary) Allowed() []uint64             { return nil }
func (*contrary) Accept(int32) ([]int32, error) { return nil, errors.New("not this one") }
