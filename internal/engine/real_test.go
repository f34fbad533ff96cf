package engine

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/model"
)

// The same on real models: tensors of every size and mix of formats, and on the
// best kernels of this machine. Without assembly a crowd takes minutes, and the
// tiny models have been in one on this tier too.
func TestRealModelsGiveTheSameAnswerInAnyCompany(t *testing.T) {
	best, crowd := kernel.Tiers()[0], seven
	if best == cpu.Generic {
		crowd = 2
	}
	for _, name := range []string{"smollm2", "gemma3:270m"} {
		t.Run(name, func(t *testing.T) {
			testCompanies(t, hubtest.Open(t, name), model.Options{Tier: best, Threads: 2, MaxRows: 128}, crowd, short)
		})
	}
}
