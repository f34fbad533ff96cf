package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// loadTiny loads a small model and says what a step of it takes at most.
func loadTiny(t *testing.T, o tinymodel.Options, mo model.Options) *model.Model {
	t.Helper()
	f, err := tinymodel.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, mo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// With a model that guesses, the tokens of a request are the same to the bit as
// without, in any company, whether it guesses like the model itself or like another.
func TestDraftModelChangesNoBit(t *testing.T) {
	o := model.Options{Tier: kernel.Tiers()[0], Threads: 2, MaxRows: 128}
	target := tinymodel.Options{Arch: "llama", Type: quant.Q8_0}
	other := tinymodel.Options{Arch: "qwen2", Type: quant.Q4_0, Seed: 3}
	m := loadTiny(t, target, o)
	base := companies(3, short)[0]
	base.with = nil
	want := base.answer(t, m, o, short)
	for name, shape := range map[string]tinymodel.Options{"the same": target, "another": other} {
		guesses := loadTiny(t, shape, o)
		drafted, accepted := 0, 0
		for _, c := range append(companies(3, short), base) {
			store, err := guesses.NewStore(kvcache.Room{Blocks: c.cfg.Blocks})
			if err != nil {
				t.Fatal(err)
			}
			c.cfg.Speculate, c.cfg.always, c.cfg.Draft, c.cfg.DraftContext = true, true, ForModel(guesses, store), 400
			check := c.check
			c.check = func(f Finish) string {
				drafted, accepted = drafted+f.Timings.Drafted, accepted+f.Timings.Accepted
				if name == "the same" && f.Timings.Drafted != f.Timings.Accepted {
					return fmt.Sprintf("%d of %d accepted of a model that says the same", f.Timings.Accepted, f.Timings.Drafted)
				}
				if check != nil {
					return check(f)
				}
				return ""
			}
			if d := differ(c.answer(t, m, o, short), want); d != "" {
				t.Errorf("%s, %s: %s", name, c.name, d)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}
		if drafted == 0 || (name == "the same") != (accepted == drafted) {
			t.Errorf("%s: %d guessed, %d accepted", name, drafted, accepted)
		}
	}
}

// What the draft model has computed of a prefix is not computed again for another
// request that shares it.
func TestDraftModelSharesPrefixes(t *testing.T) {
	const blocks = 64
	mock := func() *Mock { return NewMock(MockConfig{Vocab: 300, Blocks: blocks, MaxRows: 128}) }
	count := &counting{Mock: mock()}
	e := speculating(t, mock(), Config{Blocks: blocks, Context: 400, MaxBatch: 2, StepBudget: 128, PrefixCache: true, Draft: count, DraftContext: 400}, true)
	first := numbers(48)
	run := func(tail ...int32) int {
		before := count.rows
		all, ends := tokensOf(t, e, Request{Prompt: append(first[:48:48], tail...), MaxTokens: 20})
		if f := ends[0].Timings; len(all[0]) != 20 || f.Accepted != f.Drafted || f.Drafted == 0 {
			t.Errorf("%d tokens, %d of %d accepted", len(all[0]), f.Accepted, f.Drafted)
		}
		return count.rows - before
	}
	alone, shared := run(5), run(6)
	if shared > alone-40 {
		t.Errorf("%d rows for a prefix that is computed, %d for a new one", shared, alone)
	}
}

func numbers(n int) (list []int32) {
	for i := range n {
		list = append(list, int32(7*i%300))
	}
	return list
}

// counting is a mock that counts its rows.
type counting struct {
	*Mock
	rows int
}

func (c *counting) Forward(b *batch.Batch) []float32 {
	c.rows += b.Rows()
	return c.Mock.Forward(b)
}

// A draft model that cannot do what the engine needs is refused.
func TestDraftModelMustFit(t *testing.T) {
	x := NewMock(MockConfig{Vocab: 300, Blocks: 8})
	for _, c := range []MockConfig{{Vocab: 299, Blocks: 8}, {Vocab: 300, Blocks: 8, MaxRows: 16}, {Vocab: 300, Blocks: 8, MaxLogits: 4}} {
		if _, err := newEngine(x, nil, Config{Blocks: 8, Context: 100, Draft: NewMock(c)}); err == nil || !strings.Contains(err.Error(), "draft model") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
