package model_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/kernel"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
)

// goldenRows are the rows of a text whose logits are kept, and goldenTokens about how
// many of a row.
var goldenRows = []int{0, 2, 19, 39}

const goldenTokens = 16

// TestDecoderInvariance: what TestBatchInvariance says of the first architectures holds
// for what is each decoder's own. The tiers take turns.
func TestDecoderInvariance(t *testing.T) {
	tiers := kernel.Tiers()
	for i, name := range slices.Sorted(maps.Keys(parityVariants())) {
		o := parityVariants()[name]
		if o.Layers > 16 {
			o.Layers = 2 // its other layers are no different
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Type = quant.Q8_0
			checkInvariance(t, o, Options{Tier: tiers[i%len(tiers)]})
		})
	}
}

func goldenFile(variant string) string { return filepath.Join("testdata", "logits", variant+".txt") }

// TestGoldenLogits: the reference computes what llama.cpp computes. The files are
// llama.cpp's numbers, which `make parity-archs` compares completely.
func TestGoldenLogits(t *testing.T) {
	for name, o := range parityVariants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(goldenFile(name))
			if err != nil {
				t.Fatal(err)
			}
			m, c := tiny(t, o, Options{Reference: true, Threads: 1}, 4)
			n := goldenRows[len(goldenRows)-1] + 1
			got := all(m, c, newTalk(1, m.Config().Vocab, n, 2, 0, 3), n)
			lines := 0
			for line := range strings.Lines(string(golden)) {
				var row, id int
				var want float64
				if _, err := fmt.Sscanf(line, "%d %d %g", &row, &id, &want); err != nil {
					continue // the comment
				}
				lines++
				if d := math.Abs(float64(got[row][id]) - want); !(d < 5e-4) {
					t.Errorf("row %d, token %d: %.6f, llama.cpp has %.6f", row, id, got[row][id], want)
				}
			}
			if lines < len(goldenRows)*goldenTokens/2 {
				t.Errorf("only %d numbers in %s", lines, goldenFile(name))
			}
		})
	}
}
