package serving

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// shop is where the models of a test come from: engines over mocks, which take
// some memory and some time to load.
type shop struct {
	sources []Source
	sizes   map[string]uint64
	took    time.Duration // of a load
	ending  time.Duration // of an unloading
	broken  map[string]error
	start   func() (*engine.Engine, error) // an engine of a model

	mu     sync.Mutex
	loads  map[string]int
	inside atomic.Int64 // bytes of all models that are loaded
	peak   atomic.Int64
}

func newShop(names ...string) *shop {
	s := &shop{sizes: map[string]uint64{}, broken: map[string]error{}, loads: map[string]int{}, took: time.Second, start: startMock}
	for _, n := range names {
		s.sources = append(s.sources, Source{ID: n, Aliases: []string{n + ":latest"}, Path: n + ".gguf", Size: 100})
		s.sizes[n] = 100
	}
	return s
}

func startMock() (*engine.Engine, error) {
	const blocks = 16
	x := engine.NewMock(engine.MockConfig{Vocab: 32, Blocks: blocks, StepTime: time.Millisecond})
	return engine.New(x, nil, engine.Config{Blocks: blocks, Context: 100})
}

func (s *shop) open(src Source) (*Opened, error) {
	if err := s.broken[src.ID]; err != nil {
		time.Sleep(s.took)
		return nil, err
	}
	size := s.sizes[src.ID]
	return &Opened{
		// Half of a model's size is its cache, of which it can do with half.
		Plan: func(limit uint64) (Memory, bool, error) {
			m := Memory{Weights: size / 2, Cache: size / 2, Context: 100}
			if limit > 0 && m.Total() > limit {
				m.Cache, m.Context = size/4, 50
			}
			return m, limit == 0 || m.Total() <= limit, nil
		},
		Load: func(limit uint64) (*Deployment, error) {
			m := Memory{Weights: size / 2, Cache: size / 2, Context: 100}
			if limit > 0 && m.Total() > limit {
				m.Cache, m.Context = size/4, 50
			}
			return s.load(src, m)
		},
		Close: func() error { return nil },
	}, nil
}

func (s *shop) load(src Source, m Memory) (*Deployment, error) {
	now := s.inside.Add(int64(m.Total()))
	for p := s.peak.Load(); now > p && !s.peak.CompareAndSwap(p, now); p = s.peak.Load() {
	}
	time.Sleep(s.took)
	e, err := s.start()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.loads[src.ID]++
	s.mu.Unlock()
	return &Deployment{ID: src.ID, Aliases: src.Aliases, Engine: e, Memory: m, Close: func() error {
		time.Sleep(s.ending)
		e.Close()
		s.inside.Add(-int64(m.Total()))
		return nil
	}}, nil
}

// registry is one with the shop's models, whose first is attached.
func (s *shop) registry(t *testing.T, o Residency) *Registry {
	t.Helper()
	o.List, o.Open = func() []Source { return slices.Clone(s.sources) }, s.open
	r := &Registry{Residency: o}
	opened, err := s.open(s.sources[0])
	if err != nil {
		t.Fatal(err)
	}
	d, err := opened.Load(0)
	if err != nil {
		t.Fatal(err)
	}
	r.Attach(d)
	return r
}

func (r *Registry) closes(t *testing.T) {
	t.Helper()
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// states are those of the models in memory, in the form a:loaded.
func (r *Registry) states() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, e := range r.models {
		all = append(all, e.source.ID+":"+string(e.state))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func take(t *testing.T, r *Registry, name string) *Lease {
	t.Helper()
	l, err := r.Acquire(t.Context(), name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return l
}

// A model is loaded by the first request that names it, once for all who do; it
// stays while it is used and for its time after that; the one that the server was
// started with stays always.
func TestLoadedWhenNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop("main", "a", "b")
		r := s.registry(t, Residency{OnDemand: true, KeepAlive: time.Minute})
		defer r.closes(t)
		start := time.Now()
		var leases [8]*Lease
		var wait sync.WaitGroup
		for i := range leases {
			wait.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				leases[i] = take(t, r, []string{"a", "a:latest"}[i%2])
			})
		}
		wait.Wait()
		if time.Since(start) != time.Second || s.loads["a"] != 1 {
			t.Errorf("after %v there were %d loads", time.Since(start), s.loads["a"])
		}
		for i, l := range leases {
			if l.ID != "a" || l.Waited != time.Second-time.Duration(i)*100*time.Millisecond {
				t.Errorf("request %d has %s after %v", i, l.ID, l.Waited)
			}
			if i > 0 {
				l.Release()
			}
		}
		time.Sleep(time.Hour)
		if got := r.states(); got != "a:loaded main:loaded" {
			t.Errorf("while it is used: %s", got)
		}
		leases[0].Release()
		time.Sleep(59 * time.Second)
		take(t, r, "a").Release()
		time.Sleep(59 * time.Second)
		if got := r.states(); got != "a:loaded main:loaded" {
			t.Errorf("before its time is over: %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := r.states(); got != "main:loaded" {
			t.Errorf("after its time: %s", got)
		}
		if _, err := r.Acquire(t.Context(), "c"); err == nil || err.Status != 404 || !strings.Contains(err.Message, "main, main:latest, a, b") {
			t.Errorf("a model that is not there: %v", err)
		}
		if l := take(t, r, ""); l.ID != "main" || l.Waited != 0 {
			t.Errorf("no name is %s after %v", l.ID, l.Waited)
		} else {
			l.Release()
		}
	})
}

// What a request says about how long the model stays, and what an operator does.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop("main", "a", "b")
		s.sources[2].Pinned = true
		r := s.registry(t, Residency{OnDemand: true, KeepAlive: time.Minute})
		defer r.closes(t)
		for _, c := range []struct {
			model string
			keep  time.Duration
			after time.Duration
			want  string
		}{
			{"a", 0, 0, "main:loaded"},
			{"a", -1, 100 * time.Hour, "a:loaded main:loaded"},
			{"a", 5 * time.Second, 4 * time.Second, "a:loaded main:loaded"},
			{"a", 5 * time.Second, 6 * time.Second, "main:loaded"},
			{"main", 0, time.Hour, "main:loaded"},
			{"b", 0, time.Hour, "b:loaded main:loaded"},
		} {
			l := take(t, r, c.model)
			l.KeepFor(c.keep)
			l.Release()
			time.Sleep(c.after)
			synctest.Wait()
			if got := r.states(); got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
		}
		if gone, err := r.Unload(t.Context(), "b"); !gone || err != nil {
			t.Errorf("unload a pinned model: %v, %v", gone, err)
		}
		l := take(t, r, "")
		if gone, err := r.Unload(t.Context(), "main"); gone || err != nil {
			t.Errorf("unload a model in use: %v, %v", gone, err)
		}
		l.Release()
		synctest.Wait()
		if got := r.states(); got != "" {
			t.Errorf("after all were unloaded: %s", got)
		}
		if _, err := r.Unload(t.Context(), "main"); err == nil || err.Status != 409 {
			t.Errorf("unload what is not loaded: %v", err)
		}
		if _, err := r.Unload(t.Context(), "c"); err == nil || err.Status != 404 {
			t.Errorf("unload what is not there: %v", err)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("a server that can load is ready: %v", err)
		}
		l = take(t, r, "")
		if l.ID != "main" || l.Waited != time.Second {
			t.Errorf("got %s after %v", l.ID, l.Waited)
		}
		l.Release()
	})
}

// A client that goes does not wait any longer, and the others still get the model.
// One that nobody waits for stays for its time.
func TestClientsThatDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop("main", "a", "b")
		r := s.registry(t, Residency{OnDemand: true, KeepAlive: time.Minute})
		defer r.closes(t)
		start := time.Now()
		impatient, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		gone := make(chan *Error, 2)
		for _, name := range []string{"a", "b"} {
			go func() {
				_, err := r.Acquire(impatient, name)
				gone <- err
			}()
		}
		done := make(chan *Lease)
		go func() { done <- take(t, r, "a") }()
		for range 2 {
			if err := <-gone; err == nil || err.Status != 504 || time.Since(start) != 300*time.Millisecond {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
		(<-done).Release()
		synctest.Wait()
		if got := r.states(); got != "a:loaded b:loaded main:loaded" {
			t.Errorf("loaded are %s", got)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if got := r.states(); got != "main:loaded" || r.leases != 0 {
			t.Errorf("after their time: %s, %d leases", got, r.leases)
		}
	})
}

// What cannot be loaded is told to all who wait, and tried again after pauses that
// grow. A file that has changed is tried at once.
func TestFailedLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop("main", "a")
		s.broken["a"] = errors.New("the file is cut")
		s.took = 100 * time.Millisecond
		r := s.registry(t, Residency{OnDemand: true})
		defer r.closes(t)
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() {
				_, err := r.Acquire(t.Context(), "a")
				if err == nil || err.Status != 503 || err.RetryAfter != 1 || !strings.Contains(err.Message, "the file is cut") {
					t.Errorf("got %+v", err)
				}
			})
		}
		wait.Wait()
		for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			start := time.Now()
			if _, err := r.Acquire(t.Context(), "a"); err == nil || time.Since(start) != 0 || err.RetryAfter != int(pause) {
				t.Errorf("at once, pause %d: %+v after %v", pause, err, time.Since(start))
			}
			time.Sleep(pause * time.Second)
			if _, err := r.Acquire(t.Context(), "a"); err == nil || time.Since(start) != pause*time.Second+s.took {
				t.Errorf("after the pause %d: %+v after %v", pause, err, time.Since(start))
			}
		}
		if l, err := r.Lookup("a"); err != nil || l.State != StateUnloaded || !strings.Contains(l.Failure, "cut") {
			t.Errorf("listed as %+v, %v", l, err)
		}
		delete(s.broken, "a")
		s.sources[1].Size++
		take(t, r, "a").Release()
		if l, err := r.Lookup("a"); err != nil || l.Failure != "" {
			t.Errorf("listed as %+v, %v", l, err)
		}
		if a := r.Usage().Models["a"]; a.Failures != 9 || a.Loads != 1 {
			t.Errorf("%d failures, %d loads", a.Failures, a.Loads)
		}
	})
}

// Where memory is short, the idle model that was used least recently goes; those in
// use and those that are pinned stay, and whoever asks for more is told.
func TestMemoryIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop("main", "a", "b", "c", "huge")
		s.sizes["huge"] = 500
		s.sources[4].Size = 500
		r := s.registry(t, Residency{OnDemand: true, KeepAlive: time.Hour, Budget: 310})
		defer r.closes(t)
		for _, name := range []string{"a", "b", "a"} {
			take(t, r, name).Release()
			time.Sleep(time.Second)
		}
		c := take(t, r, "c")
		if got := r.states(); got != "a:loaded c:loaded main:loaded" {
			t.Errorf("loaded are %s: b was used least recently", got)
		}
		a := take(t, r, "a")
		_, err := r.Acquire(t.Context(), "b")
		if err == nil || err.Status != 503 || err.Code != "no_memory" || err.RetryAfter == 0 || err.Final {
			t.Fatalf("without room: %+v", err)
		}
		for _, part := range []string{`"b"`, "main (0 MB, pinned)", "a (0 MB, in use)", "c (0 MB, in use)"} {
			if !strings.Contains(err.Message, part) {
				t.Errorf("%s: no %s", err.Message, part)
			}
		}
		a.Release()
		c.Release()
		_, err = r.Acquire(t.Context(), "huge")
		if err == nil || err.Status != 503 || !err.Final || !strings.Contains(err.Message, "these may fit: b") {
			t.Errorf("what can never fit: %+v", err)
		}
		if got := r.states(); got != "a:loaded c:loaded main:loaded" {
			t.Errorf("nobody goes for what does not fit: %s", got)
		}
		if s.peak.Load() > 310 {
			t.Errorf("%d bytes were taken of 310", s.peak.Load())
		}
		if u := r.Usage(); u.Models["b"].Evictions != 1 || u.All.Loads != 3 {
			t.Errorf("%+v", u.All)
		}
	})
}

// The fewest idle models go that leave the new one as much as it would have
// without all of them.
func TestChoose(t *testing.T) {
	plan := func(least, context, wish uint64) func(uint64) (Memory, bool, error) {
		return func(limit uint64) (Memory, bool, error) {
			m := Memory{Weights: least, Context: int(wish)}
			if limit > 0 {
				m.Context = int(min(wish, limit-min(limit, least)))
			}
			return m, limit == 0 || limit >= least+context, nil
		}
	}
	idle := []uint64{100, 50, 200}
	for _, c := range []struct {
		budget, taken        uint64
		least, context, wish uint64
		evicted              int
		limit                uint64
		fits                 bool
	}{
		{0, 1000, 100, 10, 20, 0, 0, true},
		{1000, 400, 100, 10, 20, 0, 600, true},
		{500, 400, 100, 10, 20, 1, 200, true},
		{500, 400, 220, 10, 20, 2, 250, true},
		{500, 400, 230, 10, 40, 3, 450, true}, // with two gone it would have half of its context
		{500, 400, 300, 10, 1000, 3, 450, true},
		{500, 400, 460, 10, 20, 3, 450, false},
		{500, 800, 40, 10, 20, 3, 50, true},
	} {
		got, err := choose(c.budget, c.taken, idle, plan(c.least, c.context, c.wish))
		if err != nil || got.evicted != c.evicted || got.limit != c.limit || got.fits != c.fits {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

// Requests may be forbidden to load; an operator still can.
func TestNotOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop("main", "a")
		r := s.registry(t, Residency{KeepAlive: time.Minute})
		defer r.closes(t)
		if _, err := r.Acquire(t.Context(), "a"); err == nil || err.Status != 503 || err.Code != "model_not_loaded" || !err.Final {
			t.Errorf("got %+v", err)
		}
		if n := len(r.Listing()); n != 1 {
			t.Errorf("%d models are listed", n)
		}
		if err := r.Load(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		take(t, r, "a").Release()
		if n := len(r.Listing()); n != 2 {
			t.Errorf("%d models are listed", n)
		}
	})
}

// When the server shuts down, those who wait for a load are told so, also where the
// model goes again as soon as it is there.
func TestShutdownDuringLoad(t *testing.T) {
	for _, keep := range []time.Duration{time.Minute, 0} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop("main", "a")
			r := s.registry(t, Residency{OnDemand: true, KeepAlive: keep})
			got := make(chan *Error)
			go func() {
				_, err := r.Acquire(t.Context(), "a")
				got <- err
			}()
			time.Sleep(time.Millisecond)
			r.StartDraining()
			if err := <-got; err == nil || err.Status != 503 || err.Code != "draining" {
				t.Errorf("got %+v", err)
			}
			r.closes(t)
			if s.inside.Load() != 0 || r.states() != "" {
				t.Errorf("%d bytes are left, %s", s.inside.Load(), r.states())
			}
		})
	}
}

// Random loads, aborted requests and unloads at the same time leave nothing behind,
// never take more memory than there is, and no request gets a model that is not
// there.
func TestStorm(t *testing.T) {
	s := newShop("main", "a", "b", "c", "d", "bad")
	s.took = 200 * time.Microsecond
	s.broken["bad"] = errors.New("no model")
	before := runtime.NumGoroutine()
	const budget = 330
	r := s.registry(t, Residency{OnDemand: true, KeepAlive: 2 * time.Millisecond, Budget: budget, Process: 10})
	var answered, refused atomic.Int64
	var clients sync.WaitGroup
	for c := range 16 {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(c), 1))
			for range 60 {
				s.visit(t, r, rng, &answered, &refused)
			}
		})
	}
	clients.Wait()
	r.closes(t)
	if r.leases != 0 || s.inside.Load() != 0 || r.taken() != 0 || len(r.models) != 0 {
		t.Errorf("left: %d leases, %d bytes, %d promised, %s", r.leases, s.inside.Load(), r.taken(), r.states())
	}
	if p := s.peak.Load(); p > budget {
		t.Errorf("%d bytes were taken of %d", p, budget)
	}
	if answered.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d requests were answered, %d refused", answered.Load(), refused.Load())
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// visit is one of the things that clients and operators do.
func (s *shop) visit(t *testing.T, r *Registry, rng *rand.Rand, answered, refused *atomic.Int64) {
	name := s.sources[rng.IntN(len(s.sources))].ID
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(5000))*time.Microsecond)
	defer cancel()
	switch rng.IntN(12) {
	case 0:
		r.Unload(ctx, name)
		return
	case 1:
		r.Listing()
		r.Usage()
		return
	case 2:
		time.Sleep(3 * time.Millisecond)
		return
	}
	l, err := r.Acquire(ctx, name)
	if err != nil {
		refused.Add(1)
		return
	}
	defer l.Release()
	if l.ID != name || l.Engine == nil {
		t.Errorf("%s is %s", name, l.ID)
	}
	if rng.IntN(3) == 0 {
		l.KeepFor(time.Duration(rng.IntN(3)) * time.Millisecond)
	}
	stream, failed := l.Engine.Submit(ctx, engine.Request{Prompt: []int32{1, 2, 3}, MaxTokens: 1 + rng.IntN(3), IgnoreEOS: true})
	if failed != nil {
		return
	}
	defer stream.Close()
	for {
		if _, more, err := stream.Next(ctx); err != nil || !more {
			break
		}
	}
	if f := stream.Finish(); f != nil && f.Reason == engine.Length {
		answered.Add(1)
	}
}

// Accounts are bounded in number, and survive the models.
func TestAccounts(t *testing.T) {
	var b books
	for i := range 2 * mostAccounts {
		b.loaded(fmt.Sprint(i), time.Second)
	}
	if len(b.models) != mostAccounts+1 || b.models[others].Loads != mostAccounts || b.models["0"].LoadTime != time.Second {
		t.Errorf("%d accounts, %+v", len(b.models), b.models[others])
	}
	synctest.Test(t, func(t *testing.T) {
		s := newShop("main", "a")
		s.ending = time.Second
		r := s.registry(t, Residency{OnDemand: true})
		defer r.closes(t)
		for n := range 2 {
			l := take(t, r, "a")
			stream, err := l.Engine.Submit(t.Context(), engine.Request{Prompt: []int32{1, 2}, MaxTokens: 3, IgnoreEOS: true})
			if err != nil {
				t.Fatal(err)
			}
			for more := true; more; _, more, err = stream.Next(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
			}
			l.Release()
			time.Sleep(s.ending / 2)
			if u, state := r.Usage(), r.states(); u.Models["a"].Stats.GeneratedTokens != uint64(3*(n+1)) || !strings.Contains(state, "a:unloading") {
				t.Errorf("while it is unloaded, %s, the totals are %+v", state, u.Models["a"].Stats)
			}
			time.Sleep(s.ending)
			synctest.Wait()
			u := r.Usage()
			if a := u.Models["a"]; a.Stats.GeneratedTokens != uint64(3*(n+1)) || a.Stats.Blocks != 0 || a.Loads != uint64(n+1) {
				t.Errorf("after %d loads: %+v", n+1, a)
			}
			if h := u.Histograms.Total.Snapshot(); h.Count != uint64(n+1) {
				t.Errorf("%d requests in the histogram after %d", h.Count, n+1)
			}
		}
	})
}

// A file that cannot be read at present has a shape all the same: what was found out
// then is not remembered.
func TestConfigOfUnreadableFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	l := &Listed{Source: Source{ID: "m", Path: path, Size: 1}}
	r := &Registry{}
	if err := os.Symlink(path, path); err != nil {
		t.Fatal(err)
	}
	if c := r.Config(l); c.Dim != 0 {
		t.Fatalf("a file that leads to itself: %+v", c)
	}
	if err := errors.Join(os.Remove(path), tinymodel.Write(path, tinymodel.Options{Arch: "llama", Type: quant.Q8_0})); err != nil {
		t.Fatal(err)
	}
	if c := r.Config(l); c.Dim == 0 {
		t.Error("the file can be read again, and has no shape")
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("no model"), 0o600)); err != nil {
		t.Fatal(err)
	}
	broken := &Listed{Source: Source{ID: "m", Path: path, Size: 2}}
	if c := r.Config(broken); c.Dim != 0 || r.described[path].size != 2 {
		t.Errorf("a file that is no model: %+v, remembered %+v", c, r.described)
	}
}

// A panic before the loading, as one of reading a file that is cut, closes the file.
func TestPanicWhilePlanning(t *testing.T) {
	s := newShop("a", "b")
	r := s.registry(t, Residency{OnDemand: true})
	defer r.closes(t)
	closed := 0
	r.Open = func(src Source) (*Opened, error) {
		o, err := s.open(src)
		o.Plan = func(uint64) (Memory, bool, error) { panic("cut") }
		o.Close = func() error { closed++; return nil }
		return o, err
	}
	if _, err := r.Acquire(t.Context(), "b"); err == nil || err.Code != loadFailedCode || closed != 1 {
		t.Errorf("%v, closed %d times", err, closed)
	}
}

// A request whose model has been loaded just when the server begins to drain is refused:
// nobody would wait for its end.
func TestArrivalWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop("a", "b")
		r := s.registry(t, Residency{OnDemand: true})
		defer r.closes(t)
		l, done, failed := r.try("b", true)
		if failed != nil || done == nil {
			t.Fatal(failed)
		}
		defer l.Release()
		<-done
		r.StartDraining()
		if err := l.arrived(); err == nil || err.Status != 503 {
			t.Errorf("it may begin: %v", err)
		}
	})
}
