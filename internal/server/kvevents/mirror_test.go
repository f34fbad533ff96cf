package kvevents

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sched"
)

// listener is a router: it knows of a server what events tell it.
type listener struct {
	t      *rapid.T
	tokens map[uint64]string // hash -> all tokens up to the block's end
}

func text(tokens []int32) string {
	b := make([]byte, len(tokens))
	for i, n := range tokens {
		b[i] = byte(n)
	}
	return string(b)
}

func (l *listener) hear(events []event, size int) {
	for _, e := range events {
		switch e.kind {
		case cleared:
			clear(l.tokens)
		case removed:
			for _, h := range e.hashes {
				if _, ok := l.tokens[h]; !ok {
					l.t.Fatalf("%x is removed, and was never stored", h)
				}
				delete(l.tokens, h)
			}
		case stored:
			before := ""
			if e.parent != 0 {
				known, ok := l.tokens[e.parent]
				if !ok {
					l.t.Fatalf("stored after %x, which is not known", e.parent)
				}
				before = known
			}
			if len(e.tokens) != size*len(e.hashes) {
				l.t.Fatalf("%d tokens of %d blocks", len(e.tokens), len(e.hashes))
			}
			for i, h := range e.hashes {
				if _, ok := l.tokens[h]; ok {
					l.t.Fatalf("%x is stored twice", h)
				}
				before += text(e.tokens[i*size : (i+1)*size])
				l.tokens[h] = before
			}
		}
	}
}

// Whatever a scheduler does between two looks, a listener's picture is what can be
// found in its cache by prompts without a salt, and a listener's events are never at odds with what he knows.
func TestListenersKnowTheCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size, blocks = 2, 12
		cfg := sched.Config{Blocks: blocks, BlockSize: size, Context: 12, MaxSeqs: 3, MaxQueue: 8, MaxRows: 16, PrefixCache: true}
		s, err := sched.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		m := &mirror{}
		m.copy.Fit(blocks, size)
		l := &listener{t: t, tokens: map[uint64]string{}}
		found := map[uint64]string{} // identity -> tokens up to the block's end, of all that can be reached
		look := func() {
			s.Observe(&m.copy.Contents)
			reach(found, m.copy.Changes)
			l.hear(m.events(), size)
			want := slices.Sorted(maps.Values(found))
			if got := slices.Sorted(maps.Values(l.tokens)); !slices.Equal(got, slices.Compact(want)) {
				t.Fatalf("the listener knows %q, the cache has %q", got, want)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			for range rapid.IntRange(0, 3).Draw(t, "requests") {
				prompt := rapid.SliceOfN(rapid.Int32Range(1, 2), 1, 11).Draw(t, "prompt")
				if _, err := s.Add(sched.Request{Prompt: prompt, MaxTokens: rapid.IntRange(0, 3).Draw(t, "tokens"), Salt: rapid.Uint64Range(0, 2).Draw(t, "salt")}); err != nil {
					continue
				}
			}
			for range rapid.IntRange(0, 6).Draw(t, "steps") {
				step(s)
			}
			if rapid.IntRange(0, 9).Draw(t, "flush") == 0 {
				s.ForgetCached()
			}
			look()
		}
		for s.Running()+s.Waiting() > 0 {
			step(s)
		}
		s.ForgetCached()
		look()
		if len(l.tokens) != 0 {
			t.Fatalf("the cache is empty, and the listener knows of %d blocks", len(l.tokens))
		}
	})
}

func step(s *sched.Scheduler) {
	p := s.Schedule(sched.Budget{Alone: 8, Beside: 4})
	if len(p.Entries) == 0 {
		return
	}
	starts := []int32{0}
	var tokens []int32
	for i := range p.Entries {
		if p.Entries[i].Sample {
			tokens = append(tokens, 1)
		}
		starts = append(starts, int32(len(tokens)))
	}
	s.Update(p, tokens, starts)
}

// reach follows changes as a search in the cache would: from parents to children.
func reach(found map[uint64]string, changes []sched.Change) {
	changes = slices.Clone(changes)
	slices.SortFunc(changes, func(a, b sched.Change) int { return int(a.Is) - int(b.Is) })
	for _, c := range changes {
		delete(found, c.Was)
	}
	for _, c := range changes {
		if before, ok := found[c.Parent]; c.Is != 0 && (ok || c.Parent == 0) {
			found[c.Is] = before + text(c.Tokens)
		}
	}
}

// An engine that has started over is told as a cleared cache, and what it has since.
func TestStartedAnew(t *testing.T) {
	m := &mirror{}
	change := sched.Change{Is: 1, Tokens: []int32{1, 2}}
	m.copy.Fit(4, 2)
	m.copy.Changes = []sched.Change{change}
	m.copy.Contents = filled(t, m.copy.Contents)
	if got := m.events(); len(got) != 1 || got[0].kind != stored {
		t.Fatalf("first %+v", got)
	}
	m.copy.Anew = true
	if got := m.events(); len(got) != 2 || got[0].kind != cleared || got[1].kind != stored || got[1].hashes[0] != hash(0, change.Tokens) {
		t.Errorf("anew %+v", got)
	}
	m.copy = engine.Contents{Anew: true}
	if got := m.events(); len(got) != 1 || got[0].kind != cleared {
		t.Errorf("anew and empty %+v", got)
	}
}

// filled is contents that are those of a cache with one block, which begins a prompt.
func filled(t *testing.T, c sched.Contents) sched.Contents {
	t.Helper()
	s, err := sched.New(sched.Config{Blocks: 4, BlockSize: 2, Context: 4, MaxSeqs: 1, MaxQueue: 1, MaxRows: 4, PrefixCache: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(sched.Request{Prompt: []int32{1, 2}}); err != nil {
		t.Fatal(err)
	}
	step(s)
	s.Observe(&c)
	if len(c.Changes) != 1 {
		t.Fatalf("changes %+v", c.Changes)
	}
	return c
}
