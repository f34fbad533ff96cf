package engine

import (
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// A context of several segments has the same answer however many workers share it, with and
// without others of its prefix, among short ones that leave it a worker's whole time, and in
// chunks.
func TestSameAnswerInSegments(t *testing.T) {
	const length = kernel.SegmentTokens + 40
	for _, o := range []tinymodel.Options{{Arch: "llama", Type: quant.Q8_0, Context: 4096}, {Arch: "gemma3", Type: quant.Q8_0, Window: 40, Context: 4096}} {
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		base := Config{Blocks: 600, Context: length + 100, MaxBatch: 8, StepBudget: 512, ChunkTokens: 512, PrefixCache: true}
		small := base
		small.MaxBatch, small.StepBudget = 1, 200
		// It shares all but the last blocks, and is longer: the last segment begins elsewhere.
		twin := Request{Prompt: append(slices.Clone(subject(length).Prompt[:length-20]), prompt(3, 30)...), MaxTokens: 30}
		var want []said
		for _, threads := range []int{1, 2, 3} {
			m, err := model.Load(f, model.Options{Tier: kernel.Tiers()[0], Threads: threads, MaxRows: 512})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			companies := []company{
				{name: "alone", cfg: base},
				{name: "beside its twins", cfg: base, before: []Request{twin}, with: []Request{twin, twin}},
				{name: "among short ones", cfg: base, with: []Request{{Prompt: prompt(7, 9), MaxTokens: 40}, {Prompt: prompt(8, 30), MaxTokens: 30}}},
				{name: "in chunks", cfg: small},
			}
			if threads != 2 {
				companies = companies[:1]
			}
			for _, c := range companies {
				got := c.answer(t, m, model.Options{}, length)
				if want == nil {
					want = got
				}
				if d := differ(got, want); d != "" || len(got) != subjectTokens {
					t.Errorf("%s, %d threads, %s: %s of %d tokens", o.Arch, threads, c.name, d, len(got))
				}
			}
		}
	}
}
