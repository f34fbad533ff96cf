package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/prefixstore"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// keeper is a model and a folder, for one engine after the other.
type keeper struct {
	t     *testing.T
	m     *model.Model
	dir   string
	limit int64
	root  string
	cfg   Config
}

func newKeeper(t *testing.T, o tinymodel.Options) *keeper {
	f, err := tinymodel.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, model.Options{Tier: cpu.Detect(), Threads: 2, MaxRows: 128})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	cfg := Config{Blocks: 128, Context: 400, MaxBatch: 8, StepBudget: 128, ChunkTokens: 32, PrefixCache: true, Kernels: kernel.New(cpu.Detect())}
	c := company{cfg: cfg}
	if windowed(m) {
		cfg.Window, cfg.WindowBlocks = m.Config().Kept, c.windows(m)
	}
	return &keeper{t: t, m: m, dir: filepath.Join(t.TempDir(), "prefixes"), limit: 1 << 30, root: "model", cfg: cfg}
}

// with runs an engine on the folder, with a cache that is empty.
func (k *keeper) with(run func(e *Engine, s *prefixstore.Store)) {
	k.t.Helper()
	folder, err := prefixstore.Open(k.dir, k.limit)
	if err != nil {
		k.t.Fatal(err)
	}
	defer folder.Close()
	cfg := k.cfg
	cfg.Prefixes = folder.Model(prefixstore.Root(k.root))
	store, err := k.m.NewStore(kvcache.Room{Blocks: cfg.Blocks, Windows: cfg.WindowBlocks})
	if err != nil {
		k.t.Fatal(err)
	}
	defer store.Close()
	e, err := New(ForModel(k.m, store), k.m.Pool(), cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	defer e.Close()
	run(e, folder)
}

// answer is what an engine says to a request, and how much of the prompt was cached.
func (k *keeper) answer(e *Engine, r Request) (list []said, cached int) {
	s, err := e.Submit(k.t.Context(), r)
	if err != nil {
		k.t.Error(err)
		return nil, 0
	}
	for {
		tok, more, err := s.Next(k.t.Context())
		if err != nil {
			k.t.Error(err)
		}
		if !more {
			return list, s.Finish().Usage.Cached
		}
		list = append(list, said{tok.ID, tok.Logprob})
	}
}

// A new engine goes on where an earlier one's prompt was cached, and says the same to the
// bit. Another model's prompts are of no use to it.
func TestPrefixesOutlastTheEngine(t *testing.T) {
	for _, o := range []tinymodel.Options{{Arch: "llama", Type: quant.Q8_0}, {Arch: "gemma3", Type: quant.Q8_0, Window: 40}, {Arch: "lfm2", Type: quant.Q8_0}} {
		t.Run(o.Arch, func(t *testing.T) {
			k := newKeeper(t, o)
			var want []said
			k.with(func(e *Engine, _ *prefixstore.Store) {
				var cached int
				if want, cached = k.answer(e, subject(long)); cached != 0 {
					t.Errorf("the first time %d tokens were cached", cached)
				}
			})
			k.with(func(e *Engine, s *prefixstore.Store) {
				got, cached := k.answer(e, subject(long))
				if d := differ(got, want); d != "" {
					t.Error(d)
				}
				if cached != long/16*16 {
					t.Errorf("%d tokens were cached, want %d: %+v", cached, long/16*16, s.Counts())
				}
			})
			k.root = "another"
			k.with(func(e *Engine, _ *prefixstore.Store) {
				if _, cached := k.answer(e, subject(long)); cached != 0 {
					t.Errorf("%d tokens of another model were cached", cached)
				}
			})
		})
	}
}

// What requests with a salt leave in the cache is for those with the same salt, and goes to no
// folder; nor do they use what is there.
func TestSaltedPrefixes(t *testing.T) {
	k := newKeeper(t, tinymodel.Options{Arch: "llama", Type: quant.Q8_0})
	salted := func(salt string) Request {
		r := subject(long)
		r.Salt = salt
		return r
	}
	var want []said
	expect := func(e *Engine, salt string, blocks int) {
		t.Helper()
		got, cached := k.answer(e, salted(salt))
		if want == nil {
			want = got
		}
		if d := differ(got, want); d != "" || cached != 16*blocks {
			t.Errorf("salt %q: %d tokens were cached, want %d; %s", salt, cached, 16*blocks, d)
		}
	}
	k.with(func(e *Engine, _ *prefixstore.Store) {
		expect(e, "a", 0)
		expect(e, "b", 0)
		expect(e, "a", long/16)
	})
	k.with(func(e *Engine, s *prefixstore.Store) {
		expect(e, "", 0)
		if c := s.Counts(); c.Read != 0 {
			t.Errorf("salted blocks were in the folder: %+v", c)
		}
	})
	k.with(func(e *Engine, _ *prefixstore.Store) {
		expect(e, "a", 0)
		expect(e, "", long/16)
	})
}

// What the cache had to forget comes back from the folder when it is asked for.
func TestForgottenPrefixesComeBack(t *testing.T) {
	k := newKeeper(t, tinymodel.Options{Arch: "gemma3", Type: quant.Q8_0, Window: 40})
	k.with(func(e *Engine, s *prefixstore.Store) {
		want, _ := k.answer(e, subject(long))
		for s.Counts().Written < long/16 { // until the prompt is written
			time.Sleep(time.Millisecond)
		}
		if _, err := e.FlushCache(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, cached := k.answer(e, subject(long))
		if d := differ(got, want); d != "" || cached != long/16*16 {
			t.Errorf("%d tokens cached; %s", cached, d)
		}
		r := subject(long)
		if r.NoPrefix = true; true {
			if _, cached := k.answer(e, r); cached != 0 {
				t.Errorf("a request that wants nothing cached: %d tokens", cached)
			}
		}
	})
}

// A folder whose files were spoilt, or that cannot be written, costs time and no answer.
func TestSpoiltFolder(t *testing.T) {
	k := newKeeper(t, tinymodel.Options{Arch: "llama", Type: quant.Q8_0})
	var want []said
	k.with(func(e *Engine, _ *prefixstore.Store) { want, _ = k.answer(e, subject(long)) })
	spoil := func(change func(path string) error) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(k.dir, "*", "*"))
		if err != nil || len(files) < long/16 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, path := range files[:len(files)/2] {
			if err := change(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(string) error{
		"cut":     func(path string) error { return os.Truncate(path, 2000) },
		"removed": os.Remove,
	} {
		spoil(change)
		k.with(func(e *Engine, s *prefixstore.Store) {
			got, cached := k.answer(e, subject(long))
			if d := differ(got, want); d != "" || cached >= long/16*16 {
				t.Errorf("%s: %d tokens cached; %s", name, cached, d)
			}
		})
	}
	told := make(chan error, 100)
	k.cfg.OnPrefixError = func(err error) { told <- err }
	k.with(func(e *Engine, _ *prefixstore.Store) {
		if err := os.RemoveAll(k.dir); err != nil {
			t.Fatal(err)
		}
		other := subject(long)
		other.Prompt = prompt(9, long)
		k.answer(e, other)
		if err := <-told; !errors.Is(err, os.ErrNotExist) {
			t.Errorf("told %v", err)
		}
	})
}

// Many prompts that begin alike, a cache and a folder that are too small for them, and
// engines that close in the middle: all answers are what they are alone.
func TestPrefixesUnderPressure(t *testing.T) {
	k := newKeeper(t, tinymodel.Options{Arch: "gemma3", Type: quant.Q8_0, Window: 40})
	k.cfg.Blocks, k.cfg.Context, k.cfg.MaxBatch = 40, 300, 3
	var requests []Request
	for i := range 6 {
		r := subject(200)
		r.Prompt = append(slices.Clone(r.Prompt[:32*(i%3+1)]), prompt(i, 40)...)
		r.MaxTokens = 6
		requests = append(requests, r)
	}
	want := make([][]said, len(requests))
	k.cfg.PrefixCache = false
	k.with(func(e *Engine, _ *prefixstore.Store) {
		for i, r := range requests {
			want[i], _ = k.answer(e, r)
		}
	})
	k.cfg.PrefixCache = true
	k.limit = 12 << 10 * 10
	for round := range 4 {
		k.with(func(e *Engine, s *prefixstore.Store) {
			var all sync.WaitGroup
			for i := range 12 {
				all.Go(func() {
					n := (i + round) % len(requests)
					got, _ := k.answer(e, requests[n])
					if d := differ(got, want[n]); d != "" {
						t.Errorf("request %d: %s", n, d)
					}
					if i%4 == 0 {
						if _, err := e.FlushCache(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if c := s.Counts(); c.Bytes > k.limit {
				t.Errorf("%+v, the limit is %d", c, k.limit)
			}
		})
	}
	for range 10 { // closed while requests are on their way
		k.with(func(e *Engine, _ *prefixstore.Store) {
			for _, r := range requests {
				go e.Submit(t.Context(), r)
			}
		})
	}
}

// An engine that starts over with an empty scheduler waits for places that are away, and
// what was read for the old one is not taken for the new one's.
func TestStartingOverWhileFetching(t *testing.T) {
	k := newKeeper(t, tinymodel.Options{Arch: "llama", Type: quant.Q8_0})
	k.with(func(e *Engine, _ *prefixstore.Store) { k.answer(e, subject(long)) })
	folder, err := prefixstore.Open(k.dir, k.limit)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	k.cfg.Prefixes = folder.Model(prefixstore.Root(k.root))
	store, err := k.m.NewStore(kvcache.Room{Blocks: k.cfg.Blocks})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := newEngine(ForModel(k.m, store), k.m.Pool(), k.cfg) // the test is its loop
	if err != nil {
		t.Fatal(err)
	}
	fetched := make(chan struct{})
	go func() {
		defer close(fetched)
		r := subject(long)
		e.fetchFor(t.Context(), &r)
	}()
	e.answerFetch(<-e.prefixes.asks)
	if e.prefixes.away != 1 {
		t.Fatalf("%d fetches have places", e.prefixes.away)
	}
	e.renew(fmt.Errorf("a test"), e.born)
	if e.prefixes.away != 0 || e.sched.FreeBlocks() != k.cfg.Blocks || e.sched.CachedBlocks() != 0 {
		t.Errorf("%d away; %d blocks free, %d cached", e.prefixes.away, e.sched.FreeBlocks(), e.sched.CachedBlocks())
	}
	<-fetched
}
