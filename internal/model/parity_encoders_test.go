//go:build parity

package model_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// fastStatesBound is what the fast path's states may differ by: root mean square, of the
// states' deviation.
const fastStatesBound = 3e-3

// TestEncoderParityWithLlamaCpp compares the final states of every encoder with llama.cpp's,
// for a text that is longer than a window. llama.cpp's own test makes no encoders, and it
// does not serve MPNet, whose oracle is sentence-transformers (bench/embeddings.py).
func TestEncoderParityWithLlamaCpp(t *testing.T) {
	dir, tier := os.Getenv("PARITY_DIR"), parityTier()
	only := regexp.MustCompile(os.Getenv("PARITY_ONLY"))
	var table []parityResult
	for variant, o := range encoderVariants() {
		if o.Arch == "mpnet" || !only.MatchString("tiny-"+variant) {
			continue
		}
		t.Run(variant, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tiny.gguf")
			if err := tinymodel.Write(path, o); err != nil {
				t.Fatal(err)
			}
			c := describe(t, opened(t, o))
			want := llamaRows(t, dir, stripped(t, path), c.Vocab, oracleRows{c.Dim, true})
			if os.Getenv("PARITY_UPDATE") != "" {
				writeGolden(t, goldenStates(variant), "final states of the tiny encoder: row, column, number", want)
			}
			b := wholeText(parityText(c.Vocab))
			r := parityResult{Name: "tiny-" + variant, Architecture: o.Arch, Tier: tier.String()}
			r.Reference = distance(states(t, o, Options{Reference: true, Threads: 2}, b), want)
			r.Fast = distance(states(t, o, Options{Tier: tier, Threads: 2, Weights: WeightsExact}, b), want)
			t.Logf("reference %.1e, fast %.1e", r.Reference, r.Fast)
			if !(r.Reference < referenceBound) {
				t.Errorf("reference: states differ by %.2e of their deviation, bound %g", r.Reference, referenceBound)
			}
			if !(r.Fast < fastStatesBound) {
				t.Errorf("fast: states differ by %.2e of their deviation, bound %g", r.Fast, fastStatesBound)
			}
			table = append(table, r)
		})
	}
	keepParity(t, dir, table)
}
