package engine

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/model"
)

// The same on real models: tensors of every size and mix of formats, and on the
// best kernels of this machine.
func TestRealModelsGiveTheSameAnswerInAnyCompany(t *testing.T) {
	for _, name := range []string{"smollm2", "gemma3:270m"} {
		t.Run(name, func(t *testing.T) {
			testCompanies(t, hubtest.Open(t, name), model.Options{Tier: kernel.Tiers()[0], Threads: 2, MaxRows: 128})
		})
	}
}
