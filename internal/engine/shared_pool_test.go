package engine

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// noted is an executor that writes its number into a log with every pass.
type noted struct {
	Executor
	number int
	log    *[]int // written under the pool's lease
}

func (x noted) Forward(b *batch.Batch) []float32 {
	*x.log = append(*x.log, x.number)
	return x.Executor.Forward(b)
}

// Two models on one pool give the answers that each gives alone, and take turns
// while both have work.
func TestTwoEnginesOnOnePool(t *testing.T) {
	pool := nn.NewPool(2)
	defer pool.Close()
	var log []int
	var engines []*Engine
	for i, arch := range []string{"llama", "qwen3"} {
		f, err := tinymodel.Open(tinymodel.Options{Arch: arch, Type: quant.Q8_0})
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(f, model.Options{Tier: cpu.Detect(), Pool: pool, MaxRows: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		cache, err := m.NewStore(kvcache.Room{Blocks: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		cfg := testConfig(64)
		cfg.Context, cfg.Kernels = 500, kernel.New(cpu.Detect())
		e, err := New(noted{ForModel(m, cache), i, &log}, pool, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		engines = append(engines, e)
	}
	const length = 200
	ask := func(e *Engine, seed int) *Stream {
		return submit(t, e, Request{Prompt: prompt(seed, 20), MaxTokens: length, IgnoreEOS: true})
	}
	var alone [2][2][]int32
	for i, e := range engines {
		for seed := range 2 {
			alone[i][seed] = read(t, ask(e, seed))
		}
	}
	// On a busy machine an engine may come back late for its turn, so there are some tries.
	problem := "?"
	for try := 0; try < 10 && problem != ""; try++ {
		pool.Lease() // until both engines have work and wait for their turn
		log = log[:0]
		var streams [2][2]*Stream
		for i, e := range engines {
			for seed := range 2 {
				streams[i][seed] = ask(e, seed)
			}
		}
		time.Sleep(50 * time.Millisecond)
		pool.Release()
		for i := range engines {
			for seed := range 2 {
				if got := read(t, streams[i][seed]); len(got) != length || !slices.Equal(got, alone[i][seed]) {
					t.Errorf("engine %d, request %d: not what it says alone", i, seed)
				}
			}
		}
		pool.Lease() // the log is not written meanwhile
		problem = turns(log)
		pool.Release()
	}
	if problem != "" {
		t.Error(problem)
	}
}

// turns looks at the stretch in which both engines had work: neither takes two
// steps in a row, unless the other had not come back for its turn yet. It says
// what is wrong.
func turns(log []int) string {
	first, last := 0, len(log)-1
	for first < last && log[first] == log[0] {
		first++
	}
	for last > first && log[last] == log[len(log)-1] {
		last--
	}
	repeats := 0
	for i := first + 1; i <= last; i++ {
		if log[i] == log[i-1] {
			repeats++
		}
	}
	if n := last - first; n < 100 || repeats > n/4 {
		return fmt.Sprintf("%d steps in a row in %d steps with both at work", repeats, n)
	}
	return ""
}

// However much one model has to do and however long its steps are, another one
// that shares its workers takes every second step, and no more.
func TestNeitherModelStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := nn.NewPool(1)
		defer pool.Close()
		const long, short, tokens = 30 * time.Millisecond, time.Millisecond, 100
		var log []int
		start := func(number int, step time.Duration) *Engine {
			cfg := testConfig(256)
			cfg.MaxBatch, cfg.MaxQueue, cfg.Context = 8, 64, 400
			e, err := New(noted{NewMock(MockConfig{Vocab: testVocab, Blocks: 256, StepTime: step}), number, &log}, pool, cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Close)
			return e
		}
		busy, quiet := start(0, long), start(1, short)
		for i := range 40 { // a full batch, and a queue behind it
			s := submit(t, busy, Request{Prompt: prompt(i, 100), MaxTokens: 200, IgnoreEOS: true})
			t.Cleanup(s.Close)
		}
		time.Sleep(time.Second)
		began := time.Now()
		if got := read(t, submit(t, quiet, Request{Prompt: prompt(7, 10), MaxTokens: tokens, IgnoreEOS: true})); len(got) != tokens {
			t.Fatalf("%d tokens", len(got))
		}
		// One step that was under way, then a turn of both for each token.
		if took, most := time.Since(began), long+tokens*(long+short); took > most {
			t.Errorf("%d tokens took %v beside a model under load, more than %v", tokens, took, most)
		}
		pool.Lease()
		defer pool.Release()
		var steps [2]int
		for _, n := range log[slices.Index(log, 1):] {
			steps[n]++
		}
		if steps[1] != tokens || steps[0] < tokens-1 {
			t.Errorf("the busy model took %d steps, the other %d", steps[0], steps[1])
		}
	})
}
