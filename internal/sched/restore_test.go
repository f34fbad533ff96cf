package sched

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// shelf keeps what blocks had, as a folder on disk would: their slots by all tokens up to
// their end.
type shelf struct {
	kept    map[string]kept
	text    map[uint64][]int32 // tokens up to the end of the content with an identity
	pending []pending          // places that are set aside
	seen    Contents
}

type kept struct{ slots, recent []uint64 }

type pending struct {
	Place
	parent []int32 // tokens before the block
	tokens []int32
}

func name(tokens []int32) string { return fmt.Sprint(tokens) }

// keep takes in what has become findable.
func (d *shelf) keep(s *Scheduler, kv fakeKV) {
	d.seen.Fit(s.cfg.Blocks, s.cfg.BlockSize)
	s.Observe(&d.seen)
	slices.SortFunc(d.seen.Changes, func(a, b Change) int { return cmp.Compare(a.Is, b.Is) })
	for _, b := range d.seen.Changes {
		at, ok := s.Find(b.Is)
		if !ok || d.text[b.Is] != nil {
			continue // it is lost, or was put here
		}
		before, known := d.text[b.Parent]
		if b.Parent != 0 && !known {
			continue // its parent was gone before it was kept
		}
		text := append(slices.Clone(before), b.Tokens...)
		d.text[b.Is] = text
		k := kept{slots: slices.Clone(kv.slot[int(at.Block)*kv.size:][:kv.size])}
		if at.Window != none {
			k.recent = slices.Clone(kv.recent[int(at.Window)*kv.size:][:kv.size])
		}
		d.kept[name(text)] = k
	}
}

// matching finds the leading blocks of a text whose content the cache has: their number,
// and the identity of the last; 0: there are none.
func matching(s *Scheduler, tokens []int32) (blocks int, tail uint64) {
	size, hash := s.cfg.BlockSize, uint64(0)
	for ; (blocks+1)*size <= len(tokens); blocks++ {
		block := tokens[blocks*size : (blocks+1)*size]
		hash = chainHash(hash, block)
		b := s.blocks.find(tail, hash, block)
		if b == none {
			break
		}
		tail = s.blocks.id[b]
	}
	return blocks, tail
}

// fetch sets places aside for what the cache lacks of a text.
func (d *shelf) fetch(s *Scheduler, text []int32, windows int, evict bool) {
	size := s.cfg.BlockSize
	n, _ := matching(s, text)
	stored := n
	for (stored+1)*size <= len(text) && d.kept[name(text[:(stored+1)*size])].slots != nil {
		stored++
	}
	for i, p := range s.SetAside(stored-n, windows, evict) {
		at := (n + i) * size
		d.pending = append(d.pending, pending{Place: p, parent: text[:at], tokens: text[at : at+size]})
	}
}

// put fills the first place and makes it findable, or gives it back.
func (d *shelf) put(s *Scheduler, kv fakeKV, good bool) {
	if len(d.pending) == 0 {
		return
	}
	p := d.pending[0]
	d.pending = d.pending[1:]
	text := slices.Concat(p.parent, p.tokens)
	k := d.kept[name(text)]
	copy(kv.slot[int(p.Block)*kv.size:][:kv.size], k.slots)
	if p.Window != none {
		copy(kv.recent[int(p.Window)*kv.size:][:kv.size], k.recent)
	}
	blocks, tail := matching(s, p.parent)
	if !good || blocks*s.cfg.BlockSize != len(p.parent) {
		s.Return(p.Place)
		return
	}
	if id := s.Adopt(p.Place, tail, p.tokens, k.recent != nil); id != 0 {
		d.text[id] = text
	}
}

func newShelf() *shelf { return &shelf{kept: map[string]kept{}, text: map[uint64][]int32{}} }

// What sequences filled can be put back after it was evicted, in any order of events;
// fakeKV sees to it that nobody gets what is not his.
func TestRestoreAtRandom(t *testing.T) {
	for range 15 { // times rapid's 100
		rapid.Check(t, func(t *rapid.T) {
			cfg := drawConfig(t)
			cfg.PrefixCache = true
			s, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			m, d := &machine{s: s, kv: newFakeKV(cfg)}, newShelf()
			t.Repeat(map[string]func(*rapid.T){
				"add": m.add, "step": m.step, "steps": m.steps, "abort": m.abort,
				"keep":   func(*rapid.T) { d.keep(s, m.kv) },
				"forget": func(*rapid.T) { s.ForgetCached() },
				"fetch": func(t *rapid.T) {
					text := slices.Repeat([]int32{rapid.Int32Range(0, 2).Draw(t, "label")}, rapid.IntRange(0, cfg.Context).Draw(t, "n"))
					d.fetch(s, text, rapid.IntRange(0, 9).Draw(t, "windows"), rapid.Bool().Draw(t, "evict"))
				},
				"put": func(t *rapid.T) { d.put(s, m.kv, rapid.IntRange(0, 4).Draw(t, "good") > 0) },
				"":    func(*rapid.T) { s.check() },
			})
			for steps := 0; len(m.live) > 0; steps++ { // places that are set aside hold nobody up for ever
				if steps > 20000 {
					t.Fatalf("%d sequences never end", len(m.live))
				}
				m.step(t)
			}
			for len(d.pending) > 0 {
				d.put(s, m.kv, true)
			}
			s.Schedule(Budget{})
			s.check()
			if s.FreeBlocks() != cfg.Blocks || s.FreeWindowBlocks() != cfg.WindowBlocks || len(s.reserved) != 0 {
				t.Fatalf("left: %d of %d blocks free", s.FreeBlocks(), cfg.Blocks)
			}
		})
	}
}

// A prompt that was evicted is found again when it was put back.
func TestRestore(t *testing.T) {
	for _, window := range []int{0, 6} {
		cfg := Config{Blocks: 16, BlockSize: 4, Context: 40, MaxSeqs: 2, MaxRows: 64, PrefixCache: true, Window: window}
		if window > 0 {
			cfg.WindowBlocks = 16
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		kv, d := newFakeKV(cfg), newShelf()
		text := make([]int32, 33)
		for i := range text {
			text[i] = int32(i)
		}
		cached := func() int {
			seq, err := s.Add(Request{Prompt: text, MaxTokens: 0})
			if err != nil {
				t.Fatal(err)
			}
			for s.Running()+s.Waiting() > 0 {
				p := s.Schedule(Budget{Alone: 64})
				kv.run(p)
				s.Update(p, nil, make([]int32, len(p.Entries)+1))
			}
			return seq.Cached()
		}
		if n := cached(); n != 0 {
			t.Errorf("window %d: the first time %d tokens are cached", window, n)
		}
		d.keep(s, kv)
		s.ForgetCached()
		if n, _ := matching(s, text); n != 0 {
			t.Errorf("window %d: %d blocks after they were forgotten", window, n)
		}
		d.fetch(s, text, 16, true)
		if len(d.pending) != 6 { // 16 blocks, and a context of 10 stays possible
			t.Errorf("window %d: %d places", window, len(d.pending))
		}
		for len(d.pending) > 0 {
			d.put(s, kv, true)
		}
		if n := cached(); n != 24 {
			t.Errorf("window %d: %d tokens are cached, want 24", window, n)
		}
		s.check()
	}
}

// Without a sequence's own parent a block cannot be found, and is not kept.
func TestAdoptWithoutItsParent(t *testing.T) {
	s, err := New(Config{Blocks: 8, BlockSize: 2, Context: 4, MaxSeqs: 1, MaxRows: 8, PrefixCache: true})
	if err != nil {
		t.Fatal(err)
	}
	places := s.SetAside(3, 0, false)
	id := s.Adopt(places[0], 0, []int32{1, 2}, false)
	if at, ok := s.Find(id); !ok || at != places[0] {
		t.Errorf("%+v, %v", at, ok)
	}
	s.ForgetCached()
	if _, ok := s.Find(id); ok {
		t.Error("a block that is forgotten is found by its identity")
	}
	if id := s.Adopt(places[1], id, []int32{3, 4}, true); id != 0 {
		t.Errorf("identity %d", id)
	}
	s.Return(places[2])
	s.check()
	if s.FreeBlocks() != 8 || s.CachedBlocks() != 0 {
		t.Errorf("%d free, %d cached", s.FreeBlocks(), s.CachedBlocks())
	}
}
