package sample

import (
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
)

func forEachTier(t *testing.T, test func(t *testing.T, set kernel.Set)) {
	for _, tier := range kernel.Tiers() {
		t.Run(tier.String(), func(t *testing.T) { test(t, kernel.New(tier)) })
	}
}

// row makes logits of the shape that a model's have: a bell with a few peaks.
func row(n int, seed uint64, spread float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * spread)
	}
	return x
}

func TestGreedyIsTheLowestOfTheLargest(t *testing.T) {
	forEachTier(t, func(t *testing.T, set kernel.Set) {
		s := New(set, 1000, 4096)
		x := row(1000, 1, 1)
		for _, i := range []int{17, 400, 999} {
			x[i] = 9
		}
		for _, p := range []Params{{}, {Temperature: 1e-9, TopP: 1}, {Temperature: 5, TopP: 1, TopK: 1}, {Temperature: 5, TopP: 1e-9}} {
			var out Output
			if err := s.Sample(Input{Logits: slices.Clone(x), Params: &p, Rand: rand.NewPCG(1, 2)}, &out); err != nil || out.Token != 17 {
				t.Errorf("%+v: token %d, %v; want 17", p, out.Token, err)
			}
		}
	})
}

// The seed replaced temperature 0 by its default. Zero is greedy, with any other
// parameter beside it and any generator state.
func TestSeedDefectTemperatureZeroIsGreedy(t *testing.T) {
	s := New(kernel.New(cpu.Generic), 300, 4096)
	x := row(300, 3, 1)
	want := int32(slices.Index(x, slices.Max(x)))
	for seed := range uint64(200) {
		p := Params{Temperature: 0, TopK: 40, TopP: 0.9, MinP: 0.01}
		var out Output
		if err := s.Sample(Input{Logits: slices.Clone(x), Params: &p, Rand: rand.NewPCG(seed, 0)}, &out); err != nil || out.Token != want {
			t.Fatalf("seed %d: token %d, %v; want %d", seed, out.Token, err, want)
		}
	}
}

// The seed read top_k and did nothing with it.
func TestSeedDefectTopKIsObeyed(t *testing.T) {
	s := New(kernel.New(cpu.Generic), 500, 4096)
	x := row(500, 4, 0.01) // nearly flat: without top-k anything may come
	for _, k := range []int{1, 2, 5, 40} {
		allowed := topIDs(x, k)
		got := map[int32]bool{}
		rnd := rand.NewPCG(1, uint64(k))
		for range 2000 {
			p := Params{Temperature: 1, TopK: k, TopP: 1}
			var out Output
			if err := s.Sample(Input{Logits: slices.Clone(x), Params: &p, Rand: rnd}, &out); err != nil || !allowed[out.Token] {
				t.Fatalf("top_k %d: token %d, %v", k, out.Token, err)
			}
			got[out.Token] = true
		}
		if len(got) != k {
			t.Errorf("top_k %d: %d different tokens came", k, len(got))
		}
	}
}

func topIDs(x []float32, k int) map[int32]bool {
	prob := oracle(x, Input{Params: &Params{Temperature: 1, TopK: k, TopP: 1}})
	ids := map[int32]bool{}
	for i, p := range prob {
		if p > 0 {
			ids[int32(i)] = true
		}
	}
	return ids
}

// tiny makes a small vocabulary see all paths.
var tiny = sizes{chunk: 96, few: 5, sampled: 64, small: 16}

// Every path of choose has the oracle's distribution: chi-square over many
// draws, at a level that one run in ten thousand would miss by chance; the
// generators are seeded, so the test always sees the same draws.
func TestDistribution(t *testing.T) {
	const vocab, draws = 600, 9000
	cases := map[string]struct {
		spread float64
		p      Params
	}{
		"whole":           {0.5, Params{Temperature: 0.8, TopP: 1}},
		"whole, peaked":   {3, Params{Temperature: 0.7, TopP: 1}},
		"top-k":           {2, Params{Temperature: 1, TopK: 40, TopP: 1}},
		"top-k and top-p": {2, Params{Temperature: 1.3, TopK: 40, TopP: 0.8}},
		"top-p few":       {3, Params{Temperature: 1, TopP: 0.9}},
		"top-p more":      {1.3, Params{Temperature: 1, TopP: 0.6}},
		"top-p all":       {0.3, Params{Temperature: 1, TopP: 0.5}},
		"min-p":           {2, Params{Temperature: 1, TopP: 1, MinP: 0.05}},
		"min-p all":       {0.1, Params{Temperature: 1, TopP: 1, MinP: 0.5}},
		"large top-k":     {0.3, Params{Temperature: 1, TopK: 300, TopP: 0.7}},
		"hot":             {1, Params{Temperature: 100, TopP: 1}},

		"cold top-p all":          {0.3, Params{Temperature: 0.5, TopP: 0.5}},
		"typical":                 {2, Params{Temperature: 0.8, TopP: 1, TypicalP: 0.7}},
		"typical of top-k":        {1, Params{Temperature: 1.2, TopP: 0.9, TopK: 50, TypicalP: 0.5}},
		"top-n-sigma":             {3, Params{Temperature: 1.5, TopP: 1, TopNSigma: 1.5}},
		"top-n-sigma and top-k":   {3, Params{Temperature: 1.5, TopP: 1, TopNSigma: 2, TopK: 9}},
		"XTC always":              {2, Params{Temperature: 1, TopP: 1, XTCProbability: 1, XTCThreshold: 0.02}},
		"XTC half the time":       {2, Params{Temperature: 0.8, TopP: 0.9, TopK: 40, XTCProbability: 0.5, XTCThreshold: 0.05}},
		"dynamic temperature":     {2, Params{Temperature: 1, TopP: 1, DynatempRange: 0.7, DynatempExponent: 1.5}},
		"dynamic and top-k":       {2, Params{Temperature: 0.8, TopP: 1, TopK: 30, DynatempRange: 0.7, DynatempExponent: 0.5}},
		"min-keep":                {3, Params{Temperature: 1.5, TopP: 0.1, TopK: 40, MinP: 0.5, MinKeep: 7}},
		"many kept by top-p":      {0.3, Params{Temperature: 1.5, TopP: 0.1, MinKeep: 300}},
		"many kept by XTC":        {2, Params{Temperature: 1, TopP: 1, XTCProbability: 1, XTCThreshold: 0.02, MinKeep: 300}},
		"temperature first":       {1, Params{Temperature: 0.6, TopP: 0.7, TopK: 100, MinP: 0.02, Order: []Stage{Temperature, TopK, TopP, MinP}}},
		"no temperature":          {2, Params{Temperature: 0, TopP: 0.9, TopK: 100, Order: []Stage{TopP, TopK}}},
		"no sampler":              {2, Params{Temperature: 0.1, TopP: 0.1, TopK: 1, Order: []Stage{}}},
		"penalties after top-k":   {2, Params{Temperature: 0.9, TopP: 1, TopK: 30, RepeatPenalty: 1.4, PresencePenalty: 0.5, RepeatLastN: -1, Order: []Stage{Temperature, TopK, Penalties}}},
		"DRY after the others":    {2, Params{Temperature: 0.9, TopP: 1, MinP: 0.01, DRY: DRY{Multiplier: 0.8, Base: 1.75, AllowedLength: 1, LastN: -1}, Order: []Stage{MinP, Temperature, DontRepeat}}},
		"everything but the kind": {2, Params{Temperature: 0.9, TopP: 0.95, TopK: 60, MinP: 0.01, TypicalP: 0.95, TopNSigma: 3, XTCProbability: 0.3, XTCThreshold: 0.1, DynatempRange: 0.2, DynatempExponent: 1, DRY: DRY{Multiplier: 0.5, Base: 1.5, AllowedLength: 2, LastN: -1}}},
	}
	set := kernel.New(kernel.Tiers()[0])
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSampler(set, vocab, 4096, tiny)
			x := row(vocab, 7, c.spread)
			history := append(slices.Sorted(maps.Keys(topIDs(x, 12))), 5, 6, 7, 5, 6)
			want := oracle(x, Input{Params: &c.p, History: history, Prompt: 4})
			rnd := rand.NewPCG(42, 43)
			counts := make([]int, vocab)
			work := make([]float32, vocab)
			for range draws {
				copy(work, x)
				var out Output
				if err := s.Sample(Input{Logits: work, Params: &c.p, Rand: rnd, History: history, Prompt: 4}, &out); err != nil {
					t.Fatal(err)
				}
				counts[out.Token]++
			}
			chiSquare(t, counts, want, draws)
		})
	}
}

// chiSquare compares counts with probabilities, rare tokens taken together.
func chiSquare(t *testing.T, counts []int, prob []float64, draws int) {
	t.Helper()
	stat, cells := 0.0, 0
	rareCount, rareProb := 0, 0.0
	add := func(count int, p float64) {
		e := p * float64(draws)
		stat += (float64(count) - e) * (float64(count) - e) / e
		cells++
	}
	for i, p := range prob {
		switch {
		case p == 0 && counts[i] > 0:
			t.Fatalf("token %d came %d times, its probability is 0", i, counts[i])
		case p*float64(draws) < 5:
			rareCount, rareProb = rareCount+counts[i], rareProb+p
		default:
			add(counts[i], p)
		}
	}
	if rareProb*float64(draws) >= 5 {
		add(rareCount, rareProb)
	}
	if cells < 2 {
		t.Fatalf("only %d cells", cells)
	}
	if p := distuv.ChiSquared.Survival(distuv.ChiSquared{K: float64(cells - 1)}, stat); p < 1e-4 {
		t.Errorf("chi-square %.1f in %d cells: p = %g", stat, cells, p)
	}
}

// quarters draws a number between -most and most with which float32 calculates
// exactly.
func quarters(t *rapid.T, most int, name string) float32 {
	return float32(rapid.IntRange(-4*most, 4*most).Draw(t, name)) / 4
}

func drawParams(t *rapid.T, vocab int) Params {
	maybe := func(name string) bool { return rapid.Bool().Draw(t, name) }
	p := Params{
		Temperature: rapid.SampledFrom([]float32{0, 0.3, 0.7, 1, 2}).Draw(t, "temperature"),
		TopP:        1,
	}
	if maybe("top-k?") {
		p.TopK = rapid.IntRange(1, vocab+5).Draw(t, "top-k")
	}
	if maybe("top-p?") {
		p.TopP = rapid.Float32Range(0.01, 1).Draw(t, "top-p")
	}
	if maybe("min-p?") {
		p.MinP = rapid.Float32Range(0, 1).Draw(t, "min-p")
	}
	if maybe("penalties?") {
		p.RepeatPenalty = rapid.SampledFrom([]float32{0, 0.5, 1, 2, 4}).Draw(t, "repeat")
		p.PresencePenalty = quarters(t, 2, "presence")
		p.FrequencyPenalty = quarters(t, 2, "frequency")
		p.RepeatLastN = rapid.IntRange(-1, 20).Draw(t, "last")
	}
	drawStages(t, &p, vocab)
	for i := range rapid.IntRange(0, 3).Draw(t, "biases") {
		p.LogitBias = append(p.LogitBias, Bias{int32(i * vocab / 4), quarters(t, 100, "bias")})
	}
	return p
}

// drawStages sets the less usual parameters, each of them now and then.
func drawStages(t *rapid.T, p *Params, vocab int) {
	maybe := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) == 0 }
	token := rapid.Int32Range(0, int32(vocab)-1)
	if maybe("typical?") {
		p.TypicalP = rapid.Float32Range(0, 1).Draw(t, "typical")
	}
	if maybe("top-n-sigma?") {
		p.TopNSigma = rapid.Float32Range(0.1, 4).Draw(t, "top-n-sigma")
	}
	if maybe("xtc?") {
		p.XTCProbability = rapid.SampledFrom([]float32{0.5, 1}).Draw(t, "xtc")
		p.XTCThreshold = rapid.Float32Range(0, 0.6).Draw(t, "threshold")
	}
	if maybe("dynatemp?") {
		p.DynatempRange = rapid.Float32Range(0, 2).Draw(t, "range")
		p.DynatempExponent = rapid.Float32Range(0, 3).Draw(t, "exponent")
	}
	if maybe("dry?") {
		p.DRY = DRY{
			Multiplier:    rapid.SampledFrom([]float32{0.25, 1, 4}).Draw(t, "multiplier"),
			Base:          rapid.SampledFrom([]float32{0.5, 1, 2}).Draw(t, "base"),
			AllowedLength: rapid.IntRange(0, 3).Draw(t, "allowed length"),
			LastN:         rapid.IntRange(-1, 20).Draw(t, "dry last"),
			Breakers:      NewBreakers(vocab, rapid.SliceOfN(rapid.SliceOfN(token, 0, 3), 0, 3).Draw(t, "breakers")),
		}
	}
	if maybe("min-keep?") {
		p.MinKeep = rapid.IntRange(0, 5).Draw(t, "min-keep")
	}
	if maybe("min-tokens?") && vocab > 1 {
		p.MinTokens = rapid.IntRange(0, 20).Draw(t, "min-tokens")
		p.Ends = []int32{0}
	}
	if maybe("bad words?") && vocab > 2 {
		low := rapid.Int32Range(0, int32(vocab)/2-1) // some tokens are always left
		p.BadWords = rapid.SliceOfN(rapid.SliceOfN(low, 1, 2), 0, 4).Draw(t, "bad words")
	}
	if maybe("order?") {
		all := rapid.Permutation(DefaultOrder).Draw(t, "order")
		p.Order = all[:rapid.IntRange(0, len(all)).Draw(t, "stages")]
	}
}

// Any combination of parameters chooses a token that the oracle allows; with a
// greedy or nearly certain choice it is the oracle's. Values lie on a grid, so
// that ties are common and rounding at a boundary is not what is tested.
func TestAgainstOracle(t *testing.T) {
	set := kernel.New(kernel.Tiers()[0])
	samplers := map[int]*Sampler{}
	rapid.Check(t, func(t *rapid.T) {
		vocab := rapid.SampledFrom([]int{1, 2, 63, 64, 65, 257, 3000}).Draw(t, "vocab")
		if samplers[vocab] == nil {
			samplers[vocab] = newSampler(set, vocab, 4096, tiny)
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "logits"), 0))
		levels := rapid.IntRange(1, 60).Draw(t, "levels")
		x := make([]float32, vocab)
		for i := range x {
			x[i] = float32(r.IntN(levels))/4 - 3
		}
		p := drawParams(t, vocab)
		if err := p.Validate(vocab); err != nil {
			t.Fatal(err)
		}
		in := Input{Params: &p, Rand: rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)}
		for range rapid.IntRange(0, 30).Draw(t, "history") {
			in.History = append(in.History, int32(r.IntN(vocab)))
		}
		in.Prompt = rapid.IntRange(0, len(in.History)).Draw(t, "prompt")
		if rapid.Bool().Draw(t, "mask?") {
			in.Allowed = make([]uint64, (vocab+63)/64)
			for i := range vocab {
				if r.IntN(3) > 0 || i == vocab-1 {
					in.Allowed[i/64] |= 1 << (i % 64)
				}
			}
		}
		in.Logits = slices.Clone(x)
		prob := oracle(x, in)
		var out Output
		if err := samplers[vocab].Sample(in, &out); err != nil {
			t.Fatal(err)
		}
		if prob[out.Token] == 0 && !nearBoundary(x, in, out.Token) {
			t.Fatalf("token %d (logit %v) is not a candidate", out.Token, x[out.Token])
		}
	})
}

// nearBoundary says that the token is a candidate if thresholds are a millionth
// more generous: float32 may decide such a case either way.
func nearBoundary(x []float32, in Input, token int32) bool {
	p := *in.Params
	for _, by := range []float32{1e-5, -1e-5} { // XTC keeps others with either
		p := p
		p.TopP = min(1, p.TopP*(1+1e-5)+1e-6)
		p.TypicalP = min(1, p.TypicalP*(1+1e-5)+min(p.TypicalP, 1e-6))
		p.TopNSigma *= 1 + 1e-5
		p.MinP *= 1 - 1e-5
		p.XTCThreshold *= 1 + by
		p.Temperature *= 1 + by
		in.Params = &p
		for _, xtc := range []bool{false, true} {
			if oracleChain(x, in, variant{xtc: xtc && p.xtc(), shift: float64(by)})[token] > 0 {
				return true
			}
		}
	}
	return false
}

func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	forEachTier(t, func(t *testing.T, set kernel.Set) {
		for _, vocab := range []int{1, 5, 64, 100, 5000} {
			s := New(set, vocab, 4096)
			for _, p := range []Params{
				{}, {Temperature: 1, TopP: 1}, {Temperature: 1, TopP: 0.9}, {Temperature: 1, TopK: 5, TopP: 1},
				{Temperature: 1, TopP: 1, MinP: 0.1}, {Logprobs: true, TopLogprobs: 3},
			} {
				for bad, want := range map[float32]error{nan: ErrNotFinite, inf: ErrNotFinite} {
					for _, at := range []int{0, vocab / 2, vocab - 1} {
						x := row(vocab, 5, 1)
						x[at] = bad
						var out Output
						err := s.Sample(Input{Logits: x, Params: &p, Rand: rand.NewPCG(1, 1)}, &out)
						if !errors.Is(err, want) {
							t.Fatalf("vocab %d, %v at %d, %+v: %v, want %v", vocab, bad, at, p, err, want)
						}
					}
				}
				var out Output
				err := s.Sample(Input{Logits: row(vocab, 5, 1), Params: &p, Rand: rand.NewPCG(1, 1), Allowed: []uint64{}}, &out)
				if !errors.Is(err, ErrNoToken) {
					t.Fatalf("vocab %d, nothing allowed, %+v: %v", vocab, p, err)
				}
			}
		}
	})
}

// Tokens with no probability never come, and do not disturb the others.
func TestMinusInfinityIsNeverChosen(t *testing.T) {
	forEachTier(t, func(t *testing.T, set kernel.Set) {
		const vocab = 5000
		s := New(set, vocab, 4096)
		for _, p := range []Params{{Temperature: 1, TopP: 1}, {Temperature: 1, TopP: 0.999}, {Temperature: 1, TopK: 100, TopP: 1}, {Temperature: 9, TopP: 1, MinP: 1e-9}} {
			x := make([]float32, vocab)
			for i := range x {
				x[i] = float32(math.Inf(-1))
			}
			x[100], x[4000] = 1, 1
			rnd := rand.NewPCG(3, 3)
			counts := map[int32]int{}
			for range 400 {
				var out Output
				if err := s.Sample(Input{Logits: slices.Clone(x), Params: &p, Rand: rnd}, &out); err != nil {
					t.Fatal(err)
				}
				counts[out.Token]++
			}
			if len(counts) != 2 || counts[100] < 120 || counts[4000] < 120 {
				t.Errorf("%+v: %v", p, counts)
			}
		}
	})
}

func TestLogprobs(t *testing.T) {
	forEachTier(t, func(t *testing.T, set kernel.Set) {
		const vocab = 3000
		s := New(set, vocab, 4096)
		x := row(vocab, 9, 2)
		p := Params{Temperature: 0.1, TopP: 0.5, RepeatPenalty: 1.5, RepeatLastN: -1, LogitBias: []Bias{{7, 100}}, Logprobs: true, TopLogprobs: 5}
		var out Output
		if err := s.Sample(Input{Logits: slices.Clone(x), Params: &p, Rand: rand.NewPCG(1, 1)}, &out); err != nil {
			t.Fatal(err)
		}
		if out.Token != 7 {
			t.Fatalf("token %d, want the biased one", out.Token)
		}
		sum := 0.0
		for _, v := range x {
			sum += math.Exp(float64(v))
		}
		logprob := func(id int32) float64 { return float64(x[id]) - math.Log(sum) }
		if math.Abs(float64(out.Logprob)-logprob(7)) > 1e-4 {
			t.Errorf("logprob %v, want %v", out.Logprob, logprob(7))
		}
		best := oracle(x, Input{Params: &Params{Temperature: 1, TopK: 5, TopP: 1}})
		if len(out.Top) != 5 {
			t.Fatalf("%d top logprobs", len(out.Top))
		}
		for i, top := range out.Top {
			if best[top.Token] == 0 || math.Abs(float64(top.Value)-logprob(top.Token)) > 1e-4 || i > 0 && top.Value > out.Top[i-1].Value {
				t.Errorf("top %d: %+v, want logprob %v", i, top, logprob(top.Token))
			}
		}
		var scored Output
		if err := s.Score(x, 11, 2, &scored); err != nil || math.Abs(float64(scored.Logprob)-logprob(11)) > 1e-4 || len(scored.Top) != 2 {
			t.Errorf("score %+v, %v; want %v", scored, err, logprob(11))
		}
	})
}

func TestSeedReproduces(t *testing.T) {
	s := New(kernel.Set{}, 2000, 4096)
	run := func(seed uint64) (tokens []int32) {
		rnd := rand.NewPCG(seed, 0)
		p := Params{Temperature: 1, TopP: 0.95}
		for i := range uint64(50) {
			var out Output
			if err := s.Sample(Input{Logits: row(2000, i, 1), Params: &p, Rand: rnd}, &out); err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, out.Token)
		}
		return tokens
	}
	if !slices.Equal(run(5), run(5)) || slices.Equal(run(5), run(6)) {
		t.Error("the seed does not decide")
	}
}

func TestValidate(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	bad := map[string]Params{
		"temperature":        {Temperature: -1},
		"temperature ":       {Temperature: nan},
		"temperature  ":      {Temperature: inf},
		"top_k":              {TopK: -1},
		"top_p":              {Temperature: 1},
		"top_p ":             {Temperature: 1, TopP: 1.1},
		"top_p  ":            {Temperature: 1, TopP: nan},
		"min_p":              {MinP: -0.1},
		"min_p ":             {MinP: nan},
		"repetition_penalty": {RepeatPenalty: -1},
		"presence_penalty":   {PresencePenalty: inf},
		"frequency_penalty":  {FrequencyPenalty: nan},
		"repeat_last_n":      {RepeatLastN: -2},
		"top_logprobs":       {TopLogprobs: 21},
		"logit_bias":         {LogitBias: []Bias{{100, 1}}},
		"logit_bias ":        {LogitBias: []Bias{{-1, 1}}},
		"logit_bias  ":       {LogitBias: []Bias{{1, nan}}},
		"typical_p":          {TypicalP: 1.5},
		"typical_p ":         {TypicalP: nan},
		"top_n_sigma":        {TopNSigma: nan},
		"xtc_probability":    {XTCProbability: 2},
		"xtc_threshold":      {XTCThreshold: -1},
		"dynatemp_range":     {DynatempRange: -1},
		"dynatemp_exponent":  {DynatempExponent: nan},
		"dry_multiplier":     {DRY: DRY{Multiplier: -1}},
		"dry_base":           {DRY: DRY{Base: nan}},
		"dry_allowed_length": {DRY: DRY{AllowedLength: -1}},
		"dry_penalty_last_n": {DRY: DRY{LastN: -2}},
		"min_keep":           {MinKeep: -1},
		"min_tokens":         {MinTokens: -1},
		"bad_words":          {BadWords: [][]int32{{5}, {1, 100}}},
		"stop_token_ids":     {Ends: []int32{-1}},
	}
	for name, p := range bad {
		var e *ParamError
		if err := p.Validate(100); !errors.As(err, &e) || e.Param != trim(name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := Params{Temperature: 2, TopK: 5, TopP: 1, MinP: 1, RepeatPenalty: 1.1, LogitBias: []Bias{{99, -100}, {98, negInf}}, TopLogprobs: 20, TopNSigma: -1}
	if err := good.Validate(100); err != nil {
		t.Error(err)
	}
}

func trim(s string) string {
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// The seed sorted the vocabulary for every token and allocated for it.
func TestSeedDefectNoSortNoAllocation(t *testing.T) {
	const vocab = 50000
	s := New(kernel.New(kernel.Tiers()[0]), vocab, 4096)
	x, work := row(vocab, 1, 2), make([]float32, vocab)
	history := []int32{1, 2, 3, 4, 5, 5, 5}
	for _, p := range benchCases() {
		out := Output{Top: make([]Logprob, 0, MaxTop)}
		rnd := rand.NewPCG(1, 1)
		n := alloctest.PerRun(5, func() {
			copy(work, x)
			if err := s.Sample(Input{Logits: work, Params: &p.Params, Rand: rnd, History: history, Prompt: 2}, &out); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}

// With PostProbs the reported probabilities are those of the draw.
func TestPostProbs(t *testing.T) {
	forEachTier(t, func(t *testing.T, set kernel.Set) {
		const vocab = 3000
		s := New(set, vocab, 4096)
		x := row(vocab, 9, 2)
		history := []int32{5, 6, 7, 5, 6}
		for name, p := range map[string]Params{
			"plain":       {Temperature: 1, TopP: 1},
			"greedy":      {TopP: 1},
			"top-k":       {Temperature: 0.7, TopK: 3, TopP: 1},
			"nucleus":     {Temperature: 0.7, TopP: 0.5},
			"floor":       {Temperature: 1.3, TopP: 1, MinP: 0.2},
			"typical":     {Temperature: 1, TopP: 1, TypicalP: 0.4},
			"everything":  {Temperature: 0.9, TopK: 40, TopP: 0.95, MinP: 0.05, RepeatPenalty: 1.5, PresencePenalty: 0.5, RepeatLastN: -1, LogitBias: []Bias{{7, 9}, {11, negInf}}},
			"own order":   {Temperature: 0.5, TopP: 0.7, Order: []Stage{Temperature, TopP}},
			"temperature": {Temperature: 2, TopP: 1, DynatempRange: 0.5, DynatempExponent: 1},
		} {
			p.Logprobs, p.PostProbs, p.TopLogprobs = true, true, 6
			in := Input{Params: &p, History: history, Prompt: 2, Rand: rand.NewPCG(1, 1)}
			want := oracle(x, in)
			in.Logits = slices.Clone(x)
			var out Output
			if err := s.Sample(in, &out); err != nil {
				t.Fatal(err)
			}
			if d := math.Exp(float64(out.Logprob)) - want[out.Token]; math.Abs(d) > 1e-4 {
				t.Errorf("%s: the probability of token %d is off by %v from %v", name, out.Token, d, want[out.Token])
			}
			best := slices.Sorted(slices.Values(want))
			slices.Reverse(best)
			possible := slices.Index(append(slices.Clone(best), 0), 0)
			if len(out.Top) != min(possible, 6) {
				t.Errorf("%s: %d of %d candidates", name, len(out.Top), possible)
			}
			for i, top := range out.Top {
				if got := math.Exp(float64(top.Value)); math.Abs(got-want[top.Token]) > 1e-4 || math.Abs(got-best[i]) > 1e-4 {
					t.Errorf("%s: candidate %d is token %d with %v, want %v", name, i, top.Token, got, best[i])
				}
			}
			// The token is the one that is chosen without the report.
			p.Logprobs, p.PostProbs = false, false
			in.Logits, in.Rand = slices.Clone(x), rand.NewPCG(1, 1)
			token := out.Token
			if err := s.Sample(in, &out); err != nil || out.Token != token {
				t.Errorf("%s: token %d, without the report %d, %v", name, token, out.Token, err)
			}
		}
	})
}
