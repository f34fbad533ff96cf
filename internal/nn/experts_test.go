package nn

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/quant"
)

// chooseSlowly is Routing.choose by its definition: sort all experts by score, take
// the first, compute in float64.
func chooseSlowly(r *Routing, logits []float32) (ids []int32, weights []float64) {
	p := make([]float64, r.Experts)
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l))
	}
	for e, l := range logits {
		p[e] = math.Exp(float64(l)) / sum
		if r.Rule == Sigmoid {
			p[e] = 1 / (1 + math.Exp(-float64(l)))
		}
		ids = append(ids, int32(e))
	}
	score := func(e int32) float64 {
		if r.Bias != nil {
			return p[e] + float64(r.Bias[e])
		}
		return p[e]
	}
	slices.SortStableFunc(ids, func(a, b int32) int {
		if score(a) > score(b) {
			return -1
		}
		return 1
	})
	ids = ids[:r.Used]
	slices.Sort(ids)
	total := 0.0
	for _, e := range ids {
		total += p[e]
	}
	for _, e := range ids {
		w := p[e]
		if r.Rule == SoftmaxOfUsed {
			w /= total
		} else if r.Normalised {
			w /= max(total, 6.1035e-5)
		}
		if r.Scale != 0 {
			w *= float64(r.Scale)
		}
		weights = append(weights, w)
	}
	return ids, weights
}

func TestChoose(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		r := Routing{Experts: 1 + rng.IntN(40), Rule: Rule(rng.IntN(3)), Normalised: rng.IntN(2) == 0}
		r.Used = 1 + rng.IntN(min(r.Experts, maxUsed))
		if rng.IntN(2) == 0 {
			r.Scale = 2.5
		}
		logits := make([]float32, r.Experts)
		for i := range logits {
			logits[i] = float32(3 * rng.NormFloat64())
		}
		if rng.IntN(2) == 0 {
			r.Bias = make([]float32, r.Experts)
			for i := range r.Bias {
				r.Bias[i] = rng.Float32()
			}
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		ids, weights := make([]int32, r.Used), make([]float32, r.Used)
		if !r.choose(logits, ids, weights) {
			t.Fatalf("%+v: %v is said to be not finite", r, logits)
		}
		wantIDs, want := chooseSlowly(&r, logits)
		if !slices.Equal(ids, wantIDs) {
			t.Fatalf("%+v, logits %v: experts %v, want %v", r, logits, ids, wantIDs)
		}
		for i := range want {
			if math.Abs(float64(weights[i])-want[i]) > 1e-5*want[i] {
				t.Fatalf("%+v: weights %v, want %v", r, weights, want)
			}
		}
	}
}

// Whatever the logits are, the experts are valid and different from each other.
func TestChooseNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, logits := range [][]float32{
		{nan, nan, nan, nan}, {1, nan, 2, 3}, {inf, 1, inf, 2}, {-inf, -inf, -inf, -inf}, {0, -inf, nan, inf}, {1, 2, 3, -inf},
	} {
		for _, rule := range []Rule{SoftmaxOfAll, SoftmaxOfUsed, Sigmoid} {
			r := Routing{Experts: 4, Used: 2, Rule: rule, Normalised: true}
			ids, weights := make([]int32, 2), make([]float32, 2)
			if r.choose(logits, ids, weights) {
				t.Errorf("%v is said to be finite", logits)
			}
			if ids[0] < 0 || ids[1] <= ids[0] || ids[1] > 3 {
				t.Errorf("%v: experts %v", logits, ids)
			}
		}
	}
}

// Equal logits choose the first experts, and weights that would be divided by
// nothing stay finite.
func TestChooseTies(t *testing.T) {
	r := Routing{Experts: 5, Used: 3, Rule: Sigmoid, Normalised: true}
	ids, weights := make([]int32, 3), make([]float32, 3)
	r.choose([]float32{-200, -200, -200, -200, -200}, ids, weights)
	if !slices.Equal(ids, []int32{0, 1, 2}) || slices.ContainsFunc(weights, func(w float32) bool { return w-w != 0 }) {
		t.Errorf("experts %v, weights %v", ids, weights)
	}
}

func TestRoutingCheck(t *testing.T) {
	for _, r := range []Routing{{Experts: 0, Used: 1}, {Experts: 4}, {Experts: 4, Used: 5}, {Experts: 100, Used: maxUsed + 1}} {
		if r.Check() == nil {
			t.Errorf("%+v has no error", r)
		}
	}
}

// sort puts every pair in the run of its expert, rows ascending.
func TestSortPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const rows = 50
	r := Routing{Experts: 9, Used: 3}
	m := &mixture{
		ids: make([]int32, rows*3), weights: make([]float32, rows*3), rowOf: make([]int32, rows*3), weightOf: make([]float32, rows*3), pairOf: make([]int32, rows*3),
		first: make([]int32, 10),
	}
	for row := range rows {
		for k, e := range rng.Perm(8)[:3] { // nobody wants expert 8
			m.ids[row*3+k], m.weights[row*3+k] = int32(e), float32(row*100+e)
		}
		sortIDs(m.ids[row*3:][:3])
		for k := range 3 {
			m.weights[row*3+k] = float32(row*100) + float32(m.ids[row*3+k])
		}
	}
	m.sort(&r, rows)
	pairs, last := 0, -1
	for _, run := range m.active {
		if run.first != pairs || run.n == 0 || run.expert <= last || run.expert > 7 {
			t.Errorf("run %+v after %d pairs and expert %d", run, pairs, last)
		}
		last = run.expert
		for i := run.first; i < run.first+run.n; i++ {
			if i > run.first && m.rowOf[i] <= m.rowOf[i-1] || m.weightOf[i] != float32(int(m.rowOf[i])*100+run.expert) {
				t.Errorf("expert %d: row %d with weight %v", run.expert, m.rowOf[i], m.weightOf[i])
			}
		}
		pairs += run.n
	}
	if pairs != rows*3 {
		t.Errorf("%d pairs of %d", pairs, rows*3)
	}
}

// down computes a layer of experts for a few rows, with room for so many rows, and
// returns x. It says whether the experts were read from end to end.
func down(t *testing.T, workers, room int, weights []float32) (x []float32, streamed bool) {
	t.Helper()
	const experts, used, dim, ff, rows = 5, 2, 96, 64, 3
	pool := NewPool(workers)
	defer pool.Close()
	lim := Limits{Rows: room, Logits: 1, Seqs: 1, Dim: dim, Heads: 32, Vocab: 16, Experts: experts, Used: used, ExpertFF: ff, Group: 1, KVHeads: 1, HeadDim: 32}
	f, err := NewFast(kernel.New(kernel.Tiers()[0]), pool, lim, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	load := func(n, k int) *Matrix {
		m := &Matrix{Type: quant.Q8_0, Rows: experts * n, Cols: k}
		src := make([]byte, m.Rows*m.Type.RowBytes(k))
		if err := errors.Join(quant.Quantize(m.Type, src, weights[:m.Rows*k]), f.Load(m, src)); err != nil {
			t.Fatal(err)
		}
		return m
	}
	e := &Experts{Routing: Routing{Experts: experts, Used: used}, Gate: load(ff, dim), Up: load(ff, dim), Down: load(dim, ff),
		DownBias: weights[:experts*dim], DownScale: []float32{1, 2, 0.5, 1, 3}}
	f.rows = rows
	f.routed.Reset(rows)
	for r := range rows {
		f.set.Quantize(f.routed, r, 0, weights[r*dim:][:dim])
		copy(f.x[r*f.ldx:], weights[r:][:dim])
		copy(f.mix.ids[r*used:], []int32{int32(r), 4})
		copy(f.mix.weights[r*used:], []float32{0.3, 0.7})
	}
	f.h = f.routed
	f.mix.sort(&e.Routing, rows)
	streamed = f.streams(rows * used)
	f.expertsGated(e)
	f.expertsDown(e)
	for r := range rows {
		x = append(x, f.x[r*f.ldx:][:dim]...)
	}
	return x, streamed
}

// The two ways to share the second half among the workers give the same bits.
func TestDownTwoWays(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	weights := make([]float32, 5*96*64)
	for i := range weights {
		weights[i] = float32(rng.NormFloat64())
	}
	want, streamed := down(t, 1, 3, weights)
	if streamed {
		t.Error("6 pairs are kept in 3 rows")
	}
	for workers := 1; workers <= 3; workers++ {
		for _, room := range []int{3, 6} {
			got, streamed := down(t, workers, room, weights)
			if streamed != (room == 6) || !slices.Equal(got, want) {
				t.Errorf("%d workers, room for %d rows, streamed %v: other values", workers, room, streamed)
			}
		}
	}
}
