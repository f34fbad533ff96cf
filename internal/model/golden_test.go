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

// goldenRows are the rows of a text whose logits or states are kept, and goldenNumbers
// about how many of a row.
var goldenRows = []int{0, 2, 19, 39}

const goldenNumbers = 16

// parityTokens is the length of the text that llama.cpp's numbers are of.
const parityTokens = 96

// parityText is that text, for a model with so large a vocabulary.
func parityText(vocab int) []int32 { return newTalk(1, vocab, parityTokens).tokens }

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
			m, c := tiny(t, o, Options{Reference: true, Threads: 1}, 4)
			n := goldenRows[len(goldenRows)-1] + 1
			checkGolden(t, goldenFile(name), all(m, c, newTalk(1, m.Config().Vocab, n, 2, 0, 3), n))
		})
	}
}

// TestGoldenStates is TestGoldenLogits for encoders. A text of theirs is a step, and every
// state depends on all of it.
func TestGoldenStates(t *testing.T) {
	for name, o := range encoderVariants() {
		if o.Arch == "mpnet" {
			continue // llama.cpp does not serve it: internal/instance compares with sentence-transformers
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := wholeText(parityText(describe(t, opened(t, o)).Vocab))
			checkGolden(t, goldenStates(name), states(t, o, Options{Reference: true, Threads: 1}, text))
		})
	}
}

func goldenStates(variant string) string { return filepath.Join("testdata", "states", variant+".txt") }

// checkGolden compares rows with the numbers of a file.
func checkGolden(t *testing.T, file string, got [][]float32) {
	t.Helper()
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(golden)) {
		var row, i int
		var want float64
		if _, err := fmt.Sscanf(line, "%d %d %g", &row, &i, &want); err != nil {
			continue // the comment
		}
		lines++
		if d := math.Abs(float64(got[row][i]) - want); !(d < 5e-4) {
			t.Errorf("row %d, number %d: %.6f, llama.cpp has %.6f", row, i, got[row][i], want)
		}
	}
	if lines < len(goldenRows)*goldenNumbers/2 {
		t.Errorf("only %d numbers in %s", lines, file)
	}
}

// TestLongRoPEFollowsTheContext: the factors are those of the longest sequence that may
// come, not of the model's context.
func TestLongRoPEFollowsTheContext(t *testing.T) {
	o := parityVariants()["phi3-long"] // trained with 128 positions, made for 512
	logits := func(context int) [][]float32 {
		m, c := tiny(t, o, Options{Reference: true, Threads: 1, Context: context}, 2)
		return all(m, c, newTalk(1, m.Config().Vocab, 20, 0, 1), 20)
	}
	long := logits(0)
	if d := distance(logits(129), long); d != 0 {
		t.Errorf("with 129 positions logits differ by %g from those with 512", d)
	}
	if d := distance(logits(128), long); d < 0.01 {
		t.Errorf("with 128 positions logits differ by only %g", d)
	}
}
