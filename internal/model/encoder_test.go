package model_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// encoderVariants are the architectures that make embeddings only, in the shapes that
// matter: heads of no whole block, more than one chunk of hidden units, windows.
func encoderVariants() map[string]tinymodel.Options {
	return map[string]tinymodel.Options{
		"bert":            {Arch: "bert"},
		"bert-hd-32":      {Arch: "bert", Dim: 96, Heads: 3, HeadDim: 32, FF: 160, Layers: 3},
		"bert-rank":       {Arch: "bert", Labels: 1},
		"nomic-bert":      {Arch: "nomic-bert"},
		"jina-bert-v2":    {Arch: "jina-bert-v2"},
		"jina-6-heads":    {Arch: "jina-bert-v2", Dim: 96, Heads: 6},
		"modern-bert":     {Arch: "modern-bert", Layers: 4},
		"mpnet":           {Arch: "mpnet"},
		"gemma-embedding": {Arch: "gemma-embedding", Layers: 7},
	}
}

// texts are batches of whole texts of the given lengths; the states of all rows are
// wanted.
func textsOf(vocab int, lengths ...int) *batch.Batch {
	b := &batch.Batch{Start: []int32{0}}
	next := int32(0)
	for i, n := range lengths {
		var table []int32
		for pos := range n {
			if pos%batch.BlockTokens == 0 {
				table = append(table, next)
				next++
			}
			b.Hidden = append(b.Hidden, int32(len(b.Tokens)))
			b.Tokens = append(b.Tokens, int32((pos*(7*i+n)+13*n+5*i)%vocab))
			b.Positions = append(b.Positions, int32(pos))
		}
		b.Start = append(b.Start, int32(len(b.Tokens)))
		b.Blocks = append(b.Blocks, table)
	}
	return b
}

// wholeText is a batch of one text; the states of all rows are wanted.
func wholeText(tokens []int32) *batch.Batch {
	b := textsOf(1, len(tokens))
	copy(b.Tokens, tokens)
	return b
}

// states are the final states of all rows of a batch.
func states(t *testing.T, o tinymodel.Options, with Options, b *batch.Batch) [][]float32 {
	t.Helper()
	m, c := tiny(t, o, with, 64)
	m.Forward(b, c)
	var all [][]float32
	for i := range b.Hidden {
		all = append(all, slices.Clone(m.Hidden(i)))
	}
	if bad := m.NotFinite(); len(bad) > 0 {
		t.Fatalf("rows %v are not finite", bad)
	}
	return all
}

// TestEncodersFollowReference: for every number of rows from one to two panels, and
// for a text longer than a window.
func TestEncodersFollowReference(t *testing.T) {
	for name, o := range encoderVariants() {
		for typ, bound := range map[quant.Type]float64{quant.F32: 3e-3, quant.F16: 3e-3, quant.Q8_0: 0.08} {
			t.Run(fmt.Sprint(name, " ", typ), func(t *testing.T) {
				o.Type = typ
				for _, lengths := range [][]int{{1, 2, 3, 5}, {7, 1}, {9, 45, 4}} {
					b := textsOf(300, lengths...)
					want := states(t, o, Options{Reference: true, Threads: 2}, b)
					got := states(t, o, Options{Tier: cpu.Detect(), Threads: 2, Weights: WeightsExact}, b)
					if d := distance(got, want); !(d < bound) {
						t.Errorf("%v: states differ by %.5f of their deviation, bound %g", lengths, d, bound)
					}
				}
			})
		}
	}
}

// TestEncodersSeeTheWholeText: a token's state depends on what comes after it, and
// on nothing of other texts.
func TestEncodersSeeTheWholeText(t *testing.T) {
	for name, o := range encoderVariants() {
		t.Run(name, func(t *testing.T) {
			b := textsOf(300, 6, 5)
			before := states(t, o, Options{Reference: true, Threads: 1}, b)
			b.Tokens[5] = 9 // the last token of the first text
			after := states(t, o, Options{Reference: true, Threads: 1}, b)
			for i := range before {
				if same := slices.Equal(before[i], after[i]); same != (i >= 6) {
					t.Errorf("row %d: the same: %v", i, same)
				}
			}
		})
	}
}

// TestWindowsAreSymmetric: with one layer and a window of 4 a row sees two positions
// on either side.
func TestWindowsAreSymmetric(t *testing.T) {
	o := tinymodel.Options{Arch: "modern-bert", Layers: 2, Window: 4}
	b := textsOf(300, 12)
	m, c := tiny(t, o, Options{Reference: true, Threads: 1}, 8)
	DropFirstLayer(m) // the first is global
	one := func() (all [][]float32) {
		m.Forward(b, c)
		for i := range b.Hidden {
			all = append(all, slices.Clone(m.Hidden(i)))
		}
		return all
	}
	before := one()
	b.Tokens[6]++
	after := one()
	for i := range before {
		if same := slices.Equal(before[i], after[i]); same != (i < 4 || i > 8) {
			t.Errorf("row %d: the same: %v", i, same)
		}
	}
}

// TestEncoderInvariance: a text's states have the same bits alone and among others, on
// every tier, whatever the number of workers.
func TestEncoderInvariance(t *testing.T) {
	for _, tier := range kernel.Tiers() {
		for name, o := range encoderVariants() {
			t.Run(fmt.Sprint(tier, " ", name), func(t *testing.T) {
				o.Type = quant.Q8_0
				lengths := []int{3, 21, 1, 40}
				together := states(t, o, Options{Tier: tier, Threads: 3}, textsOf(300, lengths...))
				whole := textsOf(300, lengths...)
				for i, n := range lengths {
					alone := textsOf(300, n)
					copy(alone.Tokens, whole.Tokens[whole.Start[i]:])
					for r, got := range states(t, o, Options{Tier: tier, Threads: 1}, alone) {
						if !slices.Equal(got, together[int(whole.Start[i])+r]) {
							t.Fatalf("text %d: row %d differs alone", i, r)
						}
					}
				}
			})
		}
	}
}

// TestDistanceRanges holds the ranges against those of Hugging Face's MPNet.
func TestDistanceRanges(t *testing.T) {
	for distance, want := range map[int]int{
		0: 0, -1: 1, -7: 7, -8: 8, -11: 8, -12: 9, -16: 10, -23: 11, -32: 12, -46: 13, -64: 14, -91: 15, -128: 15, -500: 15,
		1: 17, 7: 23, 8: 24, 12: 25, 16: 26, 127: 31, 500: 31,
	} {
		if got := DistanceRange(distance, 32); got != want {
			t.Errorf("distance %d: range %d, want %d", distance, got, want)
		}
	}
}

// TestAlibiSlopes: for 8 heads 1/2 to 1/256; for 12 the first 8 as these.
func TestAlibiSlopes(t *testing.T) {
	bias := Alibi(&Config{Heads: 12, Context: 4})
	for h, exponent := range []float64{-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5} {
		if got := float64(bias[h][3+2]); math.Abs(got+2*math.Exp2(exponent)) > 1e-7 {
			t.Errorf("head %d: %g at a distance of 2, want %g", h, got, -2*math.Exp2(exponent))
		}
		if bias[h][3] != 0 || bias[h][0] != bias[h][6] {
			t.Errorf("head %d: %v", h, bias[h])
		}
	}
}

// TestWeightsAreRounded: an encoder's matrices of floats become Q8_0 while they are
// loaded, unless they are to stay exact; others' stay unless they are not to.
func TestWeightsAreRounded(t *testing.T) {
	for _, c := range []struct {
		arch    string
		weights Weights
		rounded bool
	}{
		{"bert", WeightsAuto, true}, {"bert", WeightsExact, false}, {"llama", WeightsAuto, false}, {"llama", WeightsQ8, true},
	} {
		o := tinymodel.Options{Arch: c.arch}
		m, _ := tiny(t, o, Options{Threads: 1, Weights: c.weights}, 8)
		exact, _ := tiny(t, o, Options{Threads: 1, Weights: WeightsExact}, 8)
		if rounded := 3*m.Config().WeightBytes < 2*exact.Config().WeightBytes; rounded != c.rounded {
			t.Errorf("%s, %v: %d bytes of weights, exact %d", c.arch, c.weights, m.Config().WeightBytes, exact.Config().WeightBytes)
		}
		o.Type = quant.Q8_0
		file, _ := tiny(t, o, Options{Threads: 1}, 8)
		if c.rounded && m.Config().WeightBytes != file.Config().WeightBytes {
			t.Errorf("%s, %v: %d bytes of weights, of a Q8_0 file %d", c.arch, c.weights, m.Config().WeightBytes, file.Config().WeightBytes)
		}
	}
}
