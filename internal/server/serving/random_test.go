package serving

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/nn"
)

// TestRandomModels drives several engines that share one pool of workers and one
// budget of memory, at random: requests of all classes come to any model, leave,
// models are unloaded and loaded anew. The clock is a fake one, so that a seed
// is always the same run, and the machine is looked at while everything stands still.
func TestRandomModels(t *testing.T) {
	var m machine
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { m.run(t, seed) })
		})
	}
	if m.answered == 0 || m.left == 0 || m.refused == 0 || m.evicted == 0 || m.preempted == 0 {
		t.Errorf("not all was met: %d answered, %d left, %d refused, %d models evicted, %d sequences preempted",
			m.answered, m.left, m.refused, m.evicted, m.preempted)
	}
}

// The machine's measures: small, so that all of them run out.
const (
	machineBudget  = 270 // of three models of 100 and the process of 10, two fit and a small third
	machineProcess = 10
	machineBlocks  = 10
	machineContext = 100
	machineBatch   = 3
	machineQueue   = 4
	machineVocab   = 32
)

// machine is one run, and what all runs have met.
type machine struct {
	t    *testing.T
	rng  *rand.Rand
	pool *nn.Pool
	shop *shop
	r    *Registry

	live []*visitor
	busy atomic.Int32 // steps under way, of all engines

	answered, left, refused int
	evicted, preempted      uint64
}

// visitor is a request, from its arrival to its end.
type visitor struct {
	model  string
	prompt []int32
	tokens int
	cancel context.CancelFunc
	stream atomic.Pointer[engine.Stream] // once it was accepted
	said   []int32
	err    error // why it was not accepted, or nil
	done   atomic.Bool
}

// alone is an executor that must be the only one that computes.
type alone struct {
	*engine.Mock
	busy *atomic.Int32
	fail func(format string, args ...any)
}

func (x alone) Forward(b *batch.Batch) []float32 {
	if n := x.busy.Add(1); n != 1 {
		x.fail("%d steps at the same time on one pool", n)
	}
	defer x.busy.Add(-1)
	return x.Mock.Forward(b)
}

func (m *machine) run(t *testing.T, seed uint64) {
	m.t, m.rng = t, rand.New(rand.NewPCG(seed, 14))
	m.pool, m.live = nn.NewPool(1), nil
	defer m.pool.Close()
	m.shop = newShop("main", "a", "b", "c")
	m.shop.took = 3 * time.Millisecond
	m.shop.start = m.start
	m.r = m.shop.registry(t, Residency{OnDemand: true, KeepAlive: 20 * time.Millisecond, Budget: machineBudget, Process: machineProcess})
	for range 150 {
		m.act()
		synctest.Wait()
		m.check()
	}
	for _, v := range m.live {
		if m.rng.IntN(3) == 0 {
			v.cancel()
		}
	}
	for steps := 0; len(m.live) > 0; steps++ {
		if steps > 10000 {
			t.Fatalf("%d requests never end", len(m.live))
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		m.check()
	}
	m.r.closes(t)
	for _, a := range m.r.Usage().Models {
		m.evicted += a.Evictions
		m.preempted += a.Stats.Preemptions
	}
	if m.r.leases != 0 || m.r.taken() != 0 || len(m.r.models) != 0 || m.shop.inside.Load() != 0 {
		t.Errorf("left: %d leases, %d bytes promised, %d taken, %s", m.r.leases, m.r.taken(), m.shop.inside.Load(), m.r.states())
	}
}

// start makes a model's engine.
func (m *machine) start() (*engine.Engine, error) {
	x := alone{engine.NewMock(engine.MockConfig{Vocab: machineVocab, Blocks: machineBlocks, StepTime: time.Millisecond}), &m.busy, m.t.Errorf}
	return engine.New(x, m.pool, engine.Config{
		Blocks: machineBlocks, Context: machineContext, MaxBatch: machineBatch, MaxQueue: machineQueue, StepBudget: 24, PrefixCache: true,
	})
}

// act does one thing that may happen to a server.
func (m *machine) act() {
	switch n := m.rng.IntN(20); {
	case n < 9:
		m.come()
	case n < 12 && len(m.live) > 0:
		m.live[m.rng.IntN(len(m.live))].cancel()
	case n == 12:
		name := m.shop.sources[1+m.rng.IntN(len(m.shop.sources)-1)].ID
		go m.r.Unload(m.t.Context(), name)
	default:
		time.Sleep(time.Duration(m.rng.IntN(6000)) * time.Microsecond)
	}
}

// come has a request arrive. Prompts of a model begin alike, for a while.
func (m *machine) come() {
	v := &visitor{model: m.shop.sources[m.rng.IntN(len(m.shop.sources))].ID, tokens: 1 + m.rng.IntN(40)}
	same, n := m.rng.IntN(50), 1+m.rng.IntN(machineContext-v.tokens)
	for i := range n {
		v.prompt = append(v.prompt, int32(i%machineVocab))
		if i >= same {
			v.prompt[i] = int32(m.rng.IntN(machineVocab))
		}
	}
	request := engine.Request{
		Prompt: v.prompt, MaxTokens: v.tokens, IgnoreEOS: true, Client: string(rune('a' + m.rng.IntN(3))),
		Priority: []int{engine.Low, engine.Normal, engine.High}[m.rng.IntN(3)],
	}
	var ctx context.Context
	ctx, v.cancel = context.WithCancel(m.t.Context())
	m.live = append(m.live, v)
	go m.visit(ctx, v, request)
}

// visit is what a request's own goroutine does.
func (m *machine) visit(ctx context.Context, v *visitor, request engine.Request) {
	defer v.done.Store(true)
	defer v.cancel()
	l, failed := m.r.Acquire(ctx, v.model)
	if failed != nil {
		v.err = failed
		return
	}
	defer l.Release()
	if l.ID != v.model || l.Engine == nil {
		m.t.Errorf("%s is %s", v.model, l.ID)
		return
	}
	s, err := l.Engine.Submit(ctx, request)
	if err != nil {
		v.err = err
		return
	}
	v.stream.Store(s)
	defer s.Close()
	for {
		token, more, err := s.Next(context.Background())
		if err != nil {
			m.t.Error(err)
		}
		if !more {
			return
		}
		v.said = append(v.said, token.ID)
	}
}

// check looks at the machine while everything stands still.
func (m *machine) check() {
	m.t.Helper()
	m.r.mu.Lock() // nothing moves, but the race detector does not know that what goes on is later
	defer m.r.mu.Unlock()
	if inside := m.shop.inside.Load(); inside+machineProcess > machineBudget || m.r.taken()+machineProcess > machineBudget {
		m.t.Fatalf("%d bytes are taken and %d promised of %d", inside, m.r.taken(), machineBudget-machineProcess)
	}
	accepted := map[string]int{}
	m.live = slices.DeleteFunc(m.live, func(v *visitor) bool {
		if v.done.Load() {
			m.ended(v)
			return true
		}
		if v.stream.Load() != nil {
			accepted[v.model]++
		}
		return false
	})
	leases := 0
	for _, e := range m.r.models {
		leases += e.leases
		if e.state != StateLoaded {
			continue
		}
		s := e.m.Engine.Stats()
		if s.Running > machineBatch || s.Waiting > machineQueue || s.FreeBlocks < 0 || s.FreeBlocks > machineBlocks {
			m.t.Fatalf("%s: %+v", e.source.ID, s)
		}
		if n := s.Running + s.Waiting; n != accepted[e.source.ID] || n > e.leases {
			m.t.Fatalf("%s: %d requests in the engine, %d accepted, %d leases", e.source.ID, n, accepted[e.source.ID], e.leases)
		}
		if n := s.Running + s.Waiting; n == 0 && s.FreeBlocks != machineBlocks {
			m.t.Fatalf("%s: idle, with %d of %d blocks free", e.source.ID, s.FreeBlocks, machineBlocks)
		}
		delete(accepted, e.source.ID)
	}
	if len(accepted) > 0 || leases != m.r.leases {
		m.t.Fatalf("requests in models that are not loaded: %v; %d leases, of models %d", accepted, m.r.leases, leases)
	}
}

// ended looks at what a request got: what it would have got alone, or the beginning
// of it if it left.
func (m *machine) ended(v *visitor) {
	s := v.stream.Load()
	if s == nil {
		m.refused++
		return
	}
	context := slices.Clone(v.prompt)
	judge := engine.NewMock(engine.MockConfig{Vocab: machineVocab, Blocks: 1})
	for i, token := range v.said {
		if want := judge.Token(context); token != want {
			m.t.Fatalf("%s: token %d is %d, want %d", v.model, i, token, want)
		}
		context = append(context, token)
	}
	switch f := s.Finish(); f.Reason {
	case engine.Length:
		m.answered++
		if len(v.said) != v.tokens {
			m.t.Fatalf("%d of %d tokens", len(v.said), v.tokens)
		}
	case engine.Aborted:
		m.left++
	default:
		m.t.Fatalf("ended with %+v", f)
	}
}
