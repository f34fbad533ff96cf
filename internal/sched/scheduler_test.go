package sched

import (
	"errors"
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
)

func newTest(t *testing.T, change func(*Config)) *Scheduler {
	t.Helper()
	cfg := Config{Blocks: 64, BlockSize: 16, Context: 512, MaxSeqs: 8, MaxQueue: 64, MaxRows: 512, PrefixCache: true}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, s *Scheduler, r Request) *Seq {
	t.Helper()
	seq, err := s.Add(r)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func span(from, n int32) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = from + int32(i)
	}
	return tokens
}

// A collision of hashes must cost a hit, never serve another prompt's blocks.
func TestCollisionsServeNothingWrong(t *testing.T) {
	s := newTest(t, nil)
	s.blocks.hashMask = 0
	kv := newFakeKV(s.cfg)
	for i := range int32(8) {
		seq := add(t, s, Request{Prompt: span(1000*i, 40), MaxTokens: 1})
		p := s.Schedule(Budget{Alone: 64, Beside: 32})
		update(s, p, kv.run(p))
		if seq.Cached() != 0 {
			t.Fatalf("prompt %d found %d tokens of another", i, seq.Cached())
		}
	}
	again := add(t, s, Request{Prompt: span(3000, 40), MaxTokens: 1})
	p := s.Schedule(Budget{Alone: 64, Beside: 32})
	update(s, p, kv.run(p))
	if again.Cached() != 32 {
		t.Fatalf("cached %d tokens of the same prompt, want 32", again.Cached())
	}
}

// The content of a block is what it holds and all before it: the same sixteen
// tokens after another beginning are another block.
func TestSameTokensOtherParent(t *testing.T) {
	s := newTest(t, nil)
	s.blocks.hashMask = 0
	kv := newFakeKV(s.cfg)
	for i := range int32(2) {
		prompt := append(span(1000*i, 16), span(5000, 24)...)
		seq := add(t, s, Request{Prompt: prompt, MaxTokens: 1})
		p := s.Schedule(Budget{Alone: 64, Beside: 32})
		update(s, p, kv.run(p))
		if seq.Cached() != 0 {
			t.Fatalf("prompt %d: %d tokens cached", i, seq.Cached())
		}
	}
}

func TestTooLongHasCounts(t *testing.T) {
	s := newTest(t, nil)
	_, err := s.Add(Request{Prompt: span(0, 600)})
	var long *TooLongError
	if !errors.As(err, &long) || !errors.Is(err, ErrTooLong) || long.Prompt != 600 || long.Context != 512 {
		t.Fatalf("got %v", err)
	}
}

// A long prompt gets consecutive blocks, also when all blocks are cached ones
// that were freed in another order.
func TestLongPromptsGetConsecutiveBlocks(t *testing.T) {
	s := newTest(t, func(c *Config) { c.Blocks, c.Context = 1024, 4096 })
	kv := newFakeKV(s.cfg)
	runs := func(ids []int32) int {
		n := 1
		for i := 1; i < len(ids); i++ {
			if ids[i] != ids[i-1]+1 {
				n++
			}
		}
		return n
	}
	for round := range int32(20) {
		seq := add(t, s, Request{Prompt: span(10000*round, 1024), MaxTokens: 2})
		most := 0
		for seq.Reason() == Running {
			p := s.Schedule(Budget{Alone: 64, Beside: 32})
			most = max(most, runs(p.Batch.Blocks[0]))
			update(s, p, kv.run(p))
		}
		if most > 65/4 {
			t.Errorf("round %d: 65 blocks in %d runs", round, most)
		}
	}
	if s.Counters().Evictions == 0 {
		t.Error("nothing was evicted: the test shows too little")
	}
}

// Blocks that were released with nothing worth keeping are handed out again
// before others are touched for the first time.
func TestReleasedBlocksAreUsedFirst(t *testing.T) {
	s := newTest(t, func(c *Config) { c.PrefixCache = false })
	kv := newFakeKV(s.cfg)
	for i := range int32(10) {
		seq := add(t, s, Request{Prompt: span(1000*i, 100), MaxTokens: 1})
		for seq.Reason() == Running {
			p := s.Schedule(Budget{Alone: 32, Beside: 32})
			for j, b := range p.Batch.Blocks[0] {
				if b != int32(j) {
					t.Fatalf("prompt %d is in blocks %v", i, p.Batch.Blocks[0])
				}
			}
			update(s, p, kv.run(p))
		}
		if s.Reach() != 7 {
			t.Fatalf("after prompt %d: %d blocks were used, a prompt needs 7", i, s.Reach())
		}
	}
}

// What is cached stays: clean blocks go first, wherever they are.
func TestCleanBlocksGoBeforeCachedOnes(t *testing.T) {
	s := newTest(t, nil)
	kv := newFakeKV(s.cfg)
	for i := range int32(7) { // 7*9 of 64 blocks
		add(t, s, Request{Prompt: span(1000*i, 144), MaxTokens: 1})
		for s.Running()+s.Waiting() > 0 {
			p := s.Schedule(Budget{Alone: 64, Beside: 32})
			update(s, p, kv.run(p))
		}
	}
	if n := s.Counters().Evictions; n != 0 || s.CachedBlocks() != 63 {
		t.Errorf("%d blocks evicted, %d cached", n, s.CachedBlocks())
	}
}

// Sequences that grow side by side do not interleave.
func TestNeighboursHaveRoom(t *testing.T) {
	s := newTest(t, func(c *Config) { c.Blocks, c.Context, c.PrefixCache = 256, 512, false })
	kv := newFakeKV(s.cfg)
	for i := range int32(4) {
		add(t, s, Request{Prompt: span(1000*i, 20), MaxTokens: 400})
	}
	for s.Running()+s.Waiting() > 0 {
		p := s.Schedule(Budget{Alone: 64, Beside: 32})
		for _, blocks := range p.Batch.Blocks {
			for i := 1; i < len(blocks); i++ {
				if blocks[i] != blocks[i-1]+1 {
					t.Fatalf("a sequence is in blocks %v", blocks)
				}
			}
		}
		update(s, p, kv.run(p))
	}
}

// With a client for every request nobody who stays is passed over for ever.
func TestNewcomersDoNotStarveAClient(t *testing.T) {
	s := newTest(t, func(c *Config) { c.MaxSeqs = 1 })
	kv := newFakeKV(s.cfg)
	add(t, s, Request{Prompt: span(0, 300), MaxTokens: 1, Client: "heavy"})
	heavy := add(t, s, Request{Prompt: span(9000, 300), MaxTokens: 1, Client: "heavy"})
	for i := range int32(2000) {
		add(t, s, Request{Prompt: span(i*10, 4), MaxTokens: 1, Client: string(rune('A' + i))})
		p := s.Schedule(Budget{Alone: 64, Beside: 32})
		update(s, p, kv.run(p))
		if heavy.Reason() != Running {
			return
		}
	}
	t.Fatal("the heavy client's second request never ran")
}

// The steady step allocates nothing: decoding with joins from the queue aside.
func TestStepAllocs(t *testing.T) {
	s := newTest(t, func(c *Config) { c.Blocks, c.Context = 1024, 1000 })
	for i := range int32(8) {
		add(t, s, Request{Prompt: span(i*100, 20), MaxTokens: 900})
	}
	tokens := make([]int32, 8)
	step := func() {
		p := s.Schedule(Budget{Alone: 64, Beside: 32})
		for i := range p.Entries {
			tokens[i] = int32(i) + 100000
		}
		update(s, p, tokens)
	}
	for range 20 {
		step()
	}
	if n := alloctest.PerRun(500, step); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
	if s.Running() != 8 {
		t.Errorf("%d running", s.Running())
	}
}

// What has ended is not referenced any more once the scheduler is idle.
func TestIdleHoldsNothing(t *testing.T) {
	s := newTest(t, nil)
	kv := newFakeKV(s.cfg)
	add(t, s, Request{Prompt: span(0, 20), MaxTokens: 2})
	for {
		p := s.Schedule(Budget{Alone: 64, Beside: 32})
		if len(p.Entries) == 0 {
			break
		}
		update(s, p, kv.run(p))
	}
	for _, list := range [][]*Seq{s.plan.Finished[:cap(s.plan.Finished)], s.plan.Admitted[:cap(s.plan.Admitted)], s.waiting[:cap(s.waiting)], s.running[:cap(s.running)]} {
		for _, q := range list {
			if q != nil {
				t.Fatal("an ended sequence is still referenced")
			}
		}
	}
	for _, e := range s.plan.Entries[:cap(s.plan.Entries)] {
		if e.Seq != nil {
			t.Fatal("an ended sequence is still referenced by the plan")
		}
	}
}

// What a flushed cache held is computed again; what sequences hold stays.
func TestForgetCached(t *testing.T) {
	s := newTest(t, func(c *Config) { c.PrefixCache = true })
	kv := newFakeKV(s.cfg)
	run := func() *Seq {
		seq := add(t, s, Request{Prompt: span(0, 20), MaxTokens: 2})
		for {
			p := s.Schedule(Budget{Alone: 64, Beside: 32})
			if len(p.Entries) == 0 {
				return seq
			}
			update(s, p, kv.run(p))
		}
	}
	run()
	if seq := run(); seq.Cached() == 0 {
		t.Fatal("nothing was found in the cache")
	}
	free, cached := s.FreeBlocks(), s.CachedBlocks()
	if n := s.ForgetCached(); n != cached || n == 0 || s.CachedBlocks() != 0 || s.FreeBlocks() != free {
		t.Errorf("forgot %d of %d blocks, %d left, %d of %d free", n, cached, s.CachedBlocks(), s.FreeBlocks(), free)
	}
	s.check()
	if seq := run(); seq.Cached() != 0 {
		t.Errorf("%d tokens were found after all was forgotten", seq.Cached())
	}
	if n := s.ForgetCached(); n == 0 {
		t.Error("nothing was cached again")
	}
}

func BenchmarkStep(b *testing.B) {
	s, err := New(Config{Blocks: 4096, BlockSize: 16, Context: 1 << 14, MaxSeqs: 8, MaxQueue: 64, MaxRows: 512, PrefixCache: true})
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([]int32, 8)
	for b.Loop() {
		if s.Running()+s.Waiting() == 0 {
			for i := range int32(8) {
				if _, err := s.Add(Request{Prompt: span(i*100, 20), MaxTokens: 4000}); err != nil {
					b.Fatal(err)
				}
			}
		}
		p := s.Schedule(Budget{Alone: 64, Beside: 32})
		update(s, p, tokens)
	}
}
