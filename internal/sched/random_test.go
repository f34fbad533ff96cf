package sched

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// machine drives a scheduler at random. fakeKV checks on every row that its
// context is the sequence's own, check (compiled in with -race or -tags
// invariants, called here in any case) that the books balance.
type machine struct {
	s    *Scheduler
	kv   fakeKV
	live []*Seq
	all  []*Seq
	plan *Plan
	copy Contents
}

// observe brings the copy up to date, which must then be what the index has: each
// content with its parent, and no change twice.
func (m *machine) observe(t *rapid.T) {
	if m.plan != nil {
		return
	}
	before := slices.Clone(m.copy.seen)
	m.s.Observe(&m.copy)
	seen := map[uint64]bool{}
	for _, c := range m.copy.Changes {
		if c.Was == c.Is || c.Is != 0 && (seen[c.Is] || c.Is <= c.Parent && c.Parent < salted || len(c.Tokens) != m.s.cfg.BlockSize) {
			t.Fatalf("change %+v", c)
		}
		seen[c.Is] = true
		if c.Is == 0 {
			continue
		}
		if i := slices.Index(m.s.blocks.id, c.Is); i < 0 || before[i] != c.Was || !slices.Equal(m.s.blocks.content(int32(i)), c.Tokens) {
			t.Fatalf("change %+v of block %d, which had %d", c, i, before[i])
		}
	}
	if !slices.Equal(m.copy.seen, m.s.blocks.id) {
		t.Fatal("the copy is not what is cached")
	}
}

// vocab is small, so that stop tokens come often.
const vocab = 40

func drawConfig(t *rapid.T) Config {
	seqs := rapid.IntRange(1, 5).Draw(t, "maxseqs")
	size := rapid.IntRange(1, 5).Draw(t, "blocksize")
	context := rapid.IntRange(2, 60).Draw(t, "context")
	cfg := Config{
		Blocks:      (context+size-1)/size + rapid.IntRange(0, 6).Draw(t, "blocks"), // few: they run out
		BlockSize:   size,
		Context:     context,
		MaxSeqs:     seqs,
		MaxQueue:    rapid.IntRange(0, 8).Draw(t, "maxqueue"),
		MaxRows:     seqs + rapid.IntRange(0, 20).Draw(t, "rows"),
		Align:       rapid.IntRange(1, 4).Draw(t, "align"),
		MaxLogits:   seqs + rapid.IntRange(0, 3).Draw(t, "logits"),
		AgeSteps:    rapid.IntRange(1, 10).Draw(t, "age"),
		PrefixCache: rapid.Bool().Draw(t, "cache"),
		EOG:         []int32{7},
	}
	if rapid.Bool().Draw(t, "windows") {
		cfg.Window = rapid.IntRange(1, context+5).Draw(t, "window")
		all := min((context+size-1)/size, WindowBlocks(cfg.Window, size))
		cfg.WindowBlocks = all + rapid.IntRange(0, 6).Draw(t, "windowblocks")
	}
	return cfg
}

func (m *machine) add(t *rapid.T) {
	most := m.s.cfg.Context
	if rapid.Bool().Draw(t, "short") {
		most = min(most, 12)
	}
	n := rapid.IntRange(1, most).Draw(t, "prompt")
	label := rapid.Int32Range(0, 2).Draw(t, "label")
	fork := rapid.IntRange(0, n).Draw(t, "fork")
	r := Request{
		MaxTokens:    rapid.IntRange(-1, 40).Draw(t, "max"),
		IgnoreEOS:    rapid.Bool().Draw(t, "ignore"),
		Priority:     rapid.IntRange(-2, 2).Draw(t, "class"),
		Client:       rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "client"),
		PromptLogits: rapid.IntRange(0, 4).Draw(t, "echo") == 0,
		Salt:         rapid.SampledFrom([]uint64{0, 0, 1, 2 << 60}).Draw(t, "salt"),
	}
	for i := range n {
		token := label
		if i >= fork {
			token = int32(len(m.all)) + 10
		}
		r.Prompt = append(r.Prompt, token)
	}
	seq, err := m.s.Add(r)
	if err != nil {
		return
	}
	m.all = append(m.all, seq)
	m.live = append(m.live, seq)
}

func (m *machine) schedule(t *rapid.T) {
	if m.plan != nil {
		return
	}
	cfg := m.s.cfg
	for _, seq := range m.live {
		if rapid.Bool().Draw(t, "drafts") {
			right, wrong := rapid.IntRange(0, 9).Draw(t, "right"), rapid.IntRange(0, 3).Draw(t, "wrong")
			m.s.Draft(seq, guess(seq, right, wrong, vocab))
		}
	}
	b := Budget{Alone: rapid.IntRange(1, 30).Draw(t, "alone"), Beside: rapid.IntRange(0, 10).Draw(t, "beside")}
	p := m.s.Schedule(b)
	if len(p.Entries) == 0 {
		if len(m.live) > 0 {
			t.Fatalf("idle with %d live sequences", len(m.live))
		}
		return
	}
	rows := p.Batch.Rows()
	if rows > cfg.MaxRows || len(p.Batch.Logits) > cfg.MaxLogits || len(p.Entries) > cfg.MaxSeqs {
		t.Fatalf("%d rows, %d logits, %d sequences", rows, len(p.Batch.Logits), len(p.Entries))
	}
	allowed := b.Alone
	if p.Streams > 0 {
		allowed = p.StreamRows + b.Beside + b.Beside/4
	}
	if rows > allowed {
		t.Fatalf("%d rows with %d of streams and %+v", rows, p.StreamRows, b)
	}
	if !slices.IsSorted(p.Batch.Logits) {
		t.Fatal("logits are not ascending")
	}
	m.plan = p
}

func (m *machine) update(t *rapid.T) {
	if m.plan == nil {
		return
	}
	var tokens []int32
	starts := []int32{0}
	m.kv.run(m.plan)
	for i := range m.plan.Entries {
		tokens = append(tokens, m.kv.given(m.plan, i, vocab, func() int {
			return rapid.SampledFrom([]int{0, 0, 0, -1, 1, 4, 11}).Draw(t, "forced")
		})...)
		starts = append(starts, int32(len(tokens)))
	}
	before := map[*Seq]int{}
	for _, e := range m.plan.Entries {
		before[e.Seq] = e.Seq.Len()
	}
	m.s.Update(m.plan, tokens, starts)
	for _, e := range m.plan.Entries {
		if e.Seq.Len() != before[e.Seq]+e.Taken || e.Accepted > min(e.Draft, e.Taken) {
			t.Fatalf("%d tokens, then %d; taken %d, %d of a draft of %d", before[e.Seq], e.Seq.Len(), e.Taken, e.Accepted, e.Draft)
		}
	}
	for _, seq := range m.plan.Finished {
		if seq.Reason() == Running || len(seq.blocks)+len(seq.windows) != 0 {
			t.Fatalf("finished as %v with %d and %d blocks", seq.Reason(), len(seq.blocks), len(seq.windows))
		}
		if seq.Reason() == Length && seq.Len() != seq.prompt+seq.limit {
			t.Fatalf("length after %d of %d", seq.Len()-seq.prompt, seq.limit)
		}
	}
	m.plan = nil
	m.forget()
}

func (m *machine) step(t *rapid.T) {
	m.schedule(t)
	m.update(t)
}

func (m *machine) steps(t *rapid.T) {
	for range rapid.IntRange(1, 10).Draw(t, "n") {
		m.step(t)
	}
}

func (m *machine) forget() {
	m.live = slices.DeleteFunc(m.live, func(q *Seq) bool { return q.Reason() != Running })
}

func (m *machine) abort(t *rapid.T) {
	if len(m.live) == 0 {
		return
	}
	seq := rapid.SampledFrom(m.live).Draw(t, "seq")
	if rapid.Bool().Draw(t, "fail") {
		m.s.Fail(seq)
	} else {
		m.s.Abort(seq)
	}
	m.forget()
}

// apart checks that sequences of different salts share no block.
func (m *machine) apart(t *rapid.T) {
	root := map[int32]uint64{}
	for _, seq := range m.live {
		for _, b := range seq.blocks {
			if other, ok := root[b]; ok && other != seq.root {
				t.Fatalf("block %d is shared by the roots %x and %x", b, other, seq.root)
			}
			root[b] = seq.root
		}
	}
}

func TestRandom(t *testing.T) {
	for range 30 { // times rapid's 100; each is quick
		rapid.Check(t, random)
	}
}

func random(t *rapid.T) {
	cfg := drawConfig(t)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "collide") {
		s.blocks.hashMask = 1 // nearly all hashes collide
	}
	m := &machine{s: s, kv: newFakeKV(cfg)}
	m.copy.Fit(cfg.Blocks, cfg.BlockSize)
	t.Repeat(map[string]func(*rapid.T){
		"add":      m.add,
		"schedule": m.schedule,
		"update":   m.update,
		"step":     m.step,
		"steps":    m.steps,
		"abort":    m.abort,
		"observe":  m.observe,
		"":         func(t *rapid.T) { s.check(); m.apart(t) },
	})
	m.update(t)
	for steps := 0; len(m.live) > 0; steps++ {
		if steps > 20000 {
			t.Fatalf("%d sequences never end", len(m.live))
		}
		m.step(t)
	}
	s.Schedule(Budget{})
	s.check()
	if s.FreeBlocks() != cfg.Blocks || s.FreeWindowBlocks() != cfg.WindowBlocks || len(s.clients) != 0 || s.Running()+s.Waiting() != 0 {
		t.Fatalf("left: %d of %d blocks free, %d clients, %d sequences",
			s.FreeBlocks(), cfg.Blocks, len(s.clients), s.Running()+s.Waiting())
	}
}
