package engine

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// A token whose embedding is damaged, in the middle of a prompt, fails the requests
// that have it, also the next one: nothing of them is cached. Others have the same
// answer as ever, to the bit.
func TestNotFiniteFailsOnlyItsSequence(t *testing.T) {
	const damaged = 7
	f, err := tinymodel.Open(tinymodel.Options{Type: quant.Q8_0, Untied: true, Types: map[string]quant.Type{"token_embd.weight": quant.F32}})
	if err != nil {
		t.Fatal(err)
	}
	table, _ := f.Tensor("token_embd.weight")
	binary.LittleEndian.PutUint32(table.Data[4*(damaged*table.Shape[0]+5):], math.Float32bits(float32(math.NaN())))
	m, err := model.Load(f, model.Options{Tier: cpu.Detect(), Threads: 2, MaxRows: 64})
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
	e, err := New(ForModel(m, cache), m.Pool(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()

	good := Request{Prompt: prompt(1, 40), MaxTokens: 20, Params: sample.Params{Logprobs: true}}
	answer := func(s *Stream) (list []said) {
		for {
			tok, ok, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return list
			}
			list = append(list, said{tok.ID, tok.Logprob})
		}
	}
	want := answer(submit(t, e, good))
	// Whole blocks before the damage, and a block of it, and more.
	bad := Request{Prompt: slices.Concat(prompt(2, 40), []int32{damaged}, prompt(3, 40)), MaxTokens: 20}
	for range 2 {
		failed, other := submit(t, e, bad), submit(t, e, good)
		if err := drainError(t, failed); !errors.Is(err, ErrNotFinite) {
			t.Errorf("the damaged request ends with %v", err)
		}
		if d := differ(answer(other), want); d != "" {
			t.Errorf("the neighbour: %s", d)
		}
	}
	// The block with the damage is found by nobody.
	longer := submit(t, e, Request{Prompt: bad.Prompt, MaxTokens: 0})
	if err := drainError(t, longer); !errors.Is(err, ErrNotFinite) || longer.Finish().Usage.Cached > 32 {
		t.Errorf("%v with %d tokens cached", err, longer.Finish().Usage.Cached)
	}
	if e.Stats().Broken {
		t.Error("the engine is broken")
	}
}
