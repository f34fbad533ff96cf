package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
)

// attendRelErr bounds an output's error against float64 over the same cached
// values, relative to the largest |value| seen.
const attendRelErr = 2e-5

// kvTypes are the cache types that there are.
var kvTypes = []quant.Type{quant.F16}

// cacheOf stores random keys and values of n positions in a KV of scattered
// blocks. It returns the cache, the block table and the rows as stored.
func cacheOf(t testing.TB, s Set, typ quant.Type, hd, n int, rng *rand.Rand) (kv *KV, blocks []int32, k, v [][]float32) {
	t.Helper()
	stride, err := KVBlockBytes(typ, hd)
	if err != nil {
		t.Fatal(err)
	}
	count := (n+BlockTokens-1)/BlockTokens + 3
	kv = &KV{Type: typ, HeadDim: hd, Stride: stride, K: make([]byte, count*stride), V: make([]byte, count*stride)}
	for _, b := range rng.Perm(count) {
		blocks = append(blocks, int32(b))
	}
	for pos := range n {
		kr, vr := randomRow(rng, hd), randomRow(rng, hd)
		s.StoreK(kv, blocks[pos/BlockTokens], pos%BlockTokens, kr)
		s.StoreV(kv, blocks[pos/BlockTokens], pos%BlockTokens, vr)
		k, v = append(k, kr), append(v, vr)
	}
	return kv, blocks, k, v
}

// attend64 is softmax(scale*q·k)·v over [from, end) in float64.
func attend64(q []float32, k, v [][]float32, from, end int, scale, cap float64) []float64 {
	out := make([]float64, len(q))
	s, peak, sum := make([]float64, max(end, 0)), math.Inf(-1), 0.0
	for t := from; t < end; t++ {
		for d := range q {
			s[t] += float64(q[d]) * float64(k[t][d]) * scale
		}
		if cap > 0 {
			s[t] = cap * math.Tanh(s[t]/cap)
		}
		peak = max(peak, s[t])
	}
	for t := from; t < end; t++ {
		w := math.Exp(s[t] - peak)
		sum += w
		for d := range out {
			out[d] += w * float64(v[t][d])
		}
	}
	for d := range out {
		if sum > 0 {
			out[d] /= sum
		}
	}
	return out
}

func roundHalves(rows [][]float32) {
	for _, r := range rows {
		for i, x := range r {
			r[i] = widen(finiteHalf(x))
		}
	}
}

func TestAttend(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tier := range Tiers() {
		s := New(tier)
		for _, hd := range []int{2, 32, 64, 80, 96, 128, 250, 256} {
			for _, ctx := range []int{1, 15, 16, 17, 255, 256, 257, 700} {
				kv, blocks, k, v := cacheOf(t, s, quant.F16, hd, ctx, rng)
				roundHalves(k)
				roundHalves(v)
				tile := Tile{N: 1 + rng.IntN(8), HeadDim: hd, Scale: float32(1 / math.Sqrt(float64(hd)))}
				for i := range tile.N {
					tile.Q[i], tile.Out[i] = randomRow(rng, hd), make([]float32, hd)
					tile.From[i] = int32(rng.IntN(ctx))
					tile.Len[i] = tile.From[i] + int32(rng.IntN(ctx-int(tile.From[i])+1))
				}
				s.Attend(&tile, kv, blocks, make([]float32, AttendScratch))
				for i := range tile.N {
					want := attend64(tile.Q[i], k, v, int(tile.From[i]), int(tile.Len[i]), float64(tile.Scale), 0)
					for d := range want {
						if err := math.Abs(want[d] - float64(tile.Out[i][d])); !(err < attendRelErr*4) {
							t.Fatalf("%v hd %d ctx %d query %d of %d [%d,%d): out[%d] = %g, want %g", tier, hd, ctx, i, tile.N, tile.From[i], tile.Len[i], d, tile.Out[i][d], want[d])
						}
					}
				}
			}
		}
	}
}
