package sample

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// defined says how far the definition is from choosing a token with the number
// u: how much u would have to change. The probabilities are the oracle's.
func defined(prob []float64, token int32, u float64) float64 {
	if prob[token] == 0 {
		return math.Inf(1)
	}
	before := 0.0
	for _, p := range prob[:token] {
		before += p
	}
	return max(0, before-u, u-before-prob[token])
}

// shapes are rows of logits that are hard in different ways.
var shapes = map[string]func(r *rand.Rand, i, n int) float64{
	"bell":         func(r *rand.Rand, _, _ int) float64 { return r.NormFloat64() },
	"wide bell":    func(r *rand.Rand, _, _ int) float64 { return 3 * r.NormFloat64() },
	"narrow bell":  func(r *rand.Rand, _, _ int) float64 { return 1e-3 * r.NormFloat64() },
	"equal":        func(_ *rand.Rand, _, _ int) float64 { return 1.5 },
	"levels":       func(r *rand.Rand, _, _ int) float64 { return float64(r.IntN(5)) / 4 },
	"sorted":       func(_ *rand.Rand, i, n int) float64 { return 3 * float64(i) / float64(n) },
	"mostly never": func(r *rand.Rand, i, _ int) float64 { return never(i%50 != 7, r.NormFloat64()) },
	"far below": func(r *rand.Rand, i, _ int) float64 {
		if i == 33 {
			return 0
		}
		return -9 + 1e-4*r.Float64()
	},
	// What every second line holds is unlike the rest, as a sample may not notice.
	"striped": func(r *rand.Rand, i, _ int) float64 { return r.Float64() + 2*float64(i/16%2) },
	"huge":    func(r *rand.Rand, _, _ int) float64 { return 3e38 * (r.Float64() - 0.5) },
}

func never(yes bool, v float64) float64 {
	if yes {
		return math.Inf(-1)
	}
	return v
}

func shaped(name string, seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 9))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(shapes[name](r, i, n))
	}
	return x
}

// For the same random number the token is the definition's, which sorts the
// row and sums in float64: exactly, or with a number that is next to nothing
// away, or with thresholds that are.
func TestChoosesAsDefined(t *testing.T) {
	forEachTier(t, func(t *testing.T, set kernel.Set) {
		samplers := map[[2]int]*Sampler{}
		drawn, inexact := 0, 0
		rapid.Check(t, func(t *rapid.T) {
			vocab := rapid.SampledFrom([]int{17, 160, 500, 1999, 5000}).Draw(t, "vocab")
			z := rapid.SampledFrom([]sizes{tiny, usual}).Draw(t, "sizes")
			s := samplers[[2]int{vocab, z.few}]
			if s == nil {
				s = newSampler(set, vocab, 4096, z)
				samplers[[2]int{vocab, z.few}] = s
			}
			shape := rapid.SampledFrom(slices.Sorted(maps.Keys(shapes))).Draw(t, "shape")
			x := shaped(shape, rapid.Uint64().Draw(t, "seed"), vocab)
			p := Params{TopP: 1, Temperature: rapid.SampledFrom([]float32{0.3, 0.7, 1, 30}).Draw(t, "temperature")}
			if rapid.Bool().Draw(t, "top-p?") {
				p.TopP = rapid.SampledFrom([]float32{0.01, 0.3, 0.5, 0.9, 0.95, 0.9999}).Draw(t, "top-p")
			}
			if rapid.Bool().Draw(t, "top-k?") {
				p.TopK = rapid.SampledFrom([]int{2, 40, 256, 257, 1000, vocab - 1, vocab}).Draw(t, "top-k")
			}
			if rapid.Bool().Draw(t, "min-p?") {
				p.MinP = rapid.SampledFrom([]float32{0.001, 0.05, 0.5, 1}).Draw(t, "min-p")
			}
			if rapid.IntRange(0, 2).Draw(t, "chain?") == 0 {
				drawStages(t, &p, vocab)
			}
			if shape == "narrow bell" || shape == "far below" {
				p.TypicalP = 0 // rounding decides which of so many near twins is the most typical
			}
			rnd := rand.NewPCG(rapid.Uint64().Draw(t, "draws"), 1)
			in := Input{Params: &p, Rand: rnd}
			with, without := oracleChain(x, in, variant{xtc: true}), oracleChain(x, in, variant{})
			for range 3 {
				again := *rnd
				u := (&Input{Rand: &again}).draw()
				same := without
				if p.xtc() && drawsForXTC(x, in) {
					if u < float64(p.XTCProbability) {
						same = with
					}
					u = (&Input{Rand: &again}).draw()
				}
				in.Logits = slices.Clone(x)
				var out Output
				switch err := s.Sample(in, &out); {
				case err == ErrNoToken && !slices.ContainsFunc(without, func(p float64) bool { return p > 0 }):
					return // none is left, as the definition says
				case err != nil:
					t.Fatal(err)
				}
				drawn++
				if defined(same, out.Token, u) == 0 {
					continue
				}
				inexact++
				if !nearlyDefined(x, in, out.Token, u) {
					t.Fatalf("token %d (logit %v) with u = %v is %g away", out.Token, x[out.Token], u, defined(same, out.Token, u))
				}
			}
		})
		if inexact*50 > drawn {
			t.Errorf("%d of %d tokens only nearly those of the definition", inexact, drawn)
		}
	})
}

// drawsForXTC tells whether a random number decides about XTC: not if there is
// nothing to exclude.
func drawsForXTC(x []float32, in Input) bool {
	p := *in.Params
	if p.Order != nil {
		at := slices.Index(p.Order, XTC)
		if at < 0 {
			return false
		}
		p.Order = p.Order[:at]
	} else {
		p.Order = DefaultOrder[:slices.Index(DefaultOrder, XTC)]
	}
	left := 0
	in.Params = &p
	for _, v := range oracleChain(x, in, variant{}) {
		if v > 0 {
			left++
		}
	}
	return left > 1
}

func nearlyDefined(x []float32, in Input, token int32, u float64) bool {
	const little = 3e-6
	for _, by := range []float32{0, little, -little} {
		p := *in.Params
		p.TopP = min(1, p.TopP*(1+by))
		p.MinP *= 1 - by
		p.TypicalP = min(1, p.TypicalP*(1+by))
		p.TopNSigma *= 1 + by
		p.XTCThreshold *= 1 + by
		in.Params = &p
		for _, xtc := range []bool{false, true} {
			v := variant{xtc: xtc && p.xtc(), shift: float64(by) / 3}
			if defined(oracleChain(x, in, v), token, u) < little {
				return true
			}
		}
	}
	return false
}

// The row of a sequence gives the same token whatever the sampler did before.
func TestIndependentOfCompany(t *testing.T) {
	forEachTier(t, func(t *testing.T, set kernel.Set) {
		const vocab = 4000
		used := New(set, vocab, 4096)
		for i, c := range benchCases() {
			for shape := range shapes {
				x := shaped(shape, uint64(i), vocab)
				choose := func(s *Sampler) int32 {
					out := Output{Top: make([]Logprob, 0, MaxTop)}
					if err := s.Sample(Input{Logits: slices.Clone(x), Params: &c.Params, Rand: rand.NewPCG(uint64(i), 5)}, &out); err != nil {
						t.Fatal(err)
					}
					return out.Token
				}
				if a, b := choose(used), choose(New(set, vocab, 4096)); a != b {
					t.Errorf("%s, %s: %d, or %d with a new sampler", c.name, shape, a, b)
				}
			}
		}
	})
}

// The edge in a list is that of the definition, ties and all.
func TestEdgeAgainstSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 16 * rapid.IntRange(1, 60).Draw(t, "n")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		levels := rapid.SampledFrom([]int{1, 2, 5, 50, 1 << 20}).Draw(t, "levels")
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.IntN(levels)) / 8
		}
		target := rapid.IntRange(1, n).Draw(t, "target")
		sorted := slices.Clone(x)
		slices.Sort(sorted)
		slices.Reverse(sorted)
		want := cut{at: sorted[target-1]}
		for _, v := range sorted[:target] {
			if v == want.at {
				want.ties++
			}
		}
		s := newSampler(kernel.Set{}, n, 4096, tiny)
		got := s.edge(x, measure{0, 0}, span{lo: negInf, hi: sorted[0], inside: float64(n)}, float64(target))
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestMiddleIsBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float32().Draw(t, "a"), rapid.Float32().Draw(t, "b")
		if a > b {
			a, b = b, a
		}
		if below(b) <= a {
			return
		}
		if m := middle(a, b); m <= a || m >= b {
			t.Fatalf("%g is not between %g and %g", m, a, b)
		}
	})
	for _, c := range [][2]float32{{negInf, 0}, {negInf, posInf}, {-1, 1}, {0, 3e-45}, {-3e-45, 0}} {
		if m := middle(c[0], c[1]); m <= c[0] || m >= c[1] {
			t.Errorf("%g is not between %g and %g", m, c[0], c[1])
		}
	}
}
