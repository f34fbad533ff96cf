package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/quant"
)

// kvTypes are the cache types that there are.
var kvTypes = []quant.Type{quant.F16, quant.I16, quant.Q8_0}

// attendErr bounds an output's error against float64 over the same cached
// values, relative to the largest |value|: rounding of float32 for halves; for
// integers the rounding of queries (2^-13 of their norm) and weights (2^-15 of a
// group's).
func attendErr(t quant.Type) float64 {
	if t == quant.F16 {
		return 1e-5
	}
	return 5e-4
}

// storeErr bounds how far a cached element may be from the one stored, relative
// to the vector's norm: half an integer, or half a bit of a half's mantissa. Keys
// of I16 keep clear of overflow by their norm. Keys of Q8_0 are rotated, which
// gives every element a part of the others' errors.
func storeErr(t quant.Type, hd int) float64 {
	switch t {
	case quant.F16:
		return 1.0 / 2048
	case quant.I16:
		return 0.501 / intMax
	}
	return 0.501 / byteMax * math.Sqrt(float64(hd&-hd))
}

// cached is what a head's cache holds: n positions of hd elements.
type cached struct {
	typ   quant.Type
	hd, n int
}

// history is a cache of one head with n positions in scattered blocks.
type history struct {
	kv     *KV
	blocks []int32
	k, v   [][]float32 // as stored
}

// fillHistory stores random rows. The memory ends at a page that cannot be
// touched, and the blocks that nobody may read have NaN for scales and halves.
func fillHistory(t testing.TB, s Set, of cached, rng *rand.Rand) *history {
	t.Helper()
	typ, hd, n := of.typ, of.hd, of.n
	stride, err := kvBlockBytes(typ, hd)
	if err != nil {
		t.Fatal(err)
	}
	count := (n + BlockTokens - 1) / BlockTokens
	kv := &KV{Type: typ, HeadDim: hd, Stride: stride,
		K: guarded[byte](t, (count+2)*stride, false), V: guarded[byte](t, (count+2)*stride, false)}
	order := rng.Perm(count + 2)
	h := &history{kv: kv}
	for i, b := range order {
		if i < count {
			h.blocks = append(h.blocks, int32(b))
			continue
		}
		for _, data := range [][]byte{kv.K, kv.V} {
			for j := range stride {
				data[b*stride+j] = 0xff
			}
		}
	}
	for pos := range n {
		k, v := randomRow(rng, hd), randomRow(rng, hd)
		s.StoreK(kv, h.blocks[pos/BlockTokens], pos%BlockTokens, k)
		s.StoreV(kv, h.blocks[pos/BlockTokens], pos%BlockTokens, v)
		h.k, h.v = append(h.k, h.key(pos)), append(h.v, h.value(pos))
	}
	return h
}

// key and value read a position back.
func (h *history) key(pos int) []float32 {
	kv, slot := h.kv, pos%BlockTokens
	k := h.read(kv.K, pos, func(d int) int {
		if kv.Type == quant.F16 {
			return d*BlockTokens + slot
		}
		return d/2*2*BlockTokens + 2*slot + d%2
	})
	if kv.small() {
		rotateGeneric(k, k)
	}
	return k
}

func (h *history) value(pos int) []float32 {
	kv, slot := h.kv, pos%BlockTokens
	return h.read(kv.V, pos, func(d int) int {
		if kv.Type == quant.F16 {
			return slot*kv.HeadDim + d
		}
		return slot/2*2*kv.HeadDim + 2*d + slot%2
	})
}

func (h *history) read(data []byte, pos int, index func(d int) int) []float32 {
	kv, x := h.kv, make([]float32, h.kv.HeadDim)
	b := data[int(h.blocks[pos/BlockTokens])*kv.Stride:][:kv.Stride]
	for d := range x {
		if kv.Type == quant.F16 {
			x[d] = quant.F16ToF32(halves(b)[index(d)])
			continue
		}
		var one [1]int32
		kv.pairs(one[:], b, index(d))
		x[d] = float32(one[0]) * kv.scales(b)[pos%BlockTokens]
	}
	return x
}

// attend64 is what a tile's i-th query gets, in float64.
func (h *history) attend64(tile *Tile, i int) []float64 {
	q, from, end, scale, cap := tile.Q[i], int(tile.From[i]), int(tile.Len[i]), float64(tile.Scale), float64(tile.Softcap)
	out := make([]float64, len(q))
	s, peak, sum := make([]float64, max(end, 0)), math.Inf(-1), 0.0
	if tile.Sinks {
		peak = float64(tile.Sink[i])
	}
	for t := from; t < end; t++ {
		for d := range q {
			s[t] += float64(q[d]) * float64(h.k[t][d]) * scale
		}
		if cap > 0 {
			s[t] = cap * math.Tanh(s[t]/cap)
		}
		if tile.Bias[i] != nil {
			s[t] += float64(tile.Bias[i][t])
		}
		peak = max(peak, s[t])
	}
	if tile.Sinks {
		sum = math.Exp(float64(tile.Sink[i]) - peak)
	}
	for t := from; t < end; t++ {
		w := math.Exp(s[t] - peak)
		sum += w
		for d := range out {
			out[d] += w * float64(h.v[t][d])
		}
	}
	for d := range out {
		if sum > 0 {
			out[d] /= sum
		}
	}
	return out
}

// randomTile asks n queries about random ranges of ctx positions. Everything
// that assembly touches ends at a page that cannot be touched.
func randomTile(t testing.TB, rng *rand.Rand, n, hd, ctx int) *Tile {
	tile := &Tile{N: n, HeadDim: hd, Scale: float32(1 / math.Sqrt(float64(hd)))}
	for i := range n {
		tile.Q[i], tile.Out[i] = placed(t, randomRow(rng, hd), i%2 == 0), guarded[float32](t, hd, i%2 == 0)
		tile.From[i] = int32(rng.IntN(ctx))
		tile.Len[i] = tile.From[i] + int32(rng.IntN(ctx-int(tile.From[i])+1))
		if rng.IntN(2) == 0 {
			tile.From[i], tile.Len[i] = 0, int32(ctx-min(i, ctx))
		}
	}
	return tile
}

// biased gives every query a bias for the positions that it sees.
func (t *Tile) biased(tb testing.TB, rng *rand.Rand) {
	for i := range t.N {
		t.Bias[i] = placed(tb, randomRow(rng, int(t.Len[i])), i%2 == 0)
		if t.Len[i] == 0 {
			t.Bias[i] = []float32{}
		}
	}
}

// scratchOf is scratch full of what must not matter.
func scratchOf(t testing.TB, fill float32) []float32 {
	x := guarded[float32](t, AttendScratch, false)
	for i := range x {
		x[i] = fill
	}
	return x
}

var nan32 = float32(math.NaN())

func TestAttend(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range kvTypes {
			t.Run(typ.String(), func(t *testing.T) {
				worst := 0.0
				rapid.Check(t, func(r *rapid.T) {
					rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
					hd := rapid.SampledFrom([]int{2, 32, 64, 80, 96, 128, 250, 256}).Draw(r, "hd")
					ctx := rapid.IntRange(1, 800).Draw(r, "ctx")
					h := fillHistory(t, s, cached{typ, hd, ctx}, rng)
					tile := randomTile(t, rng, rapid.IntRange(1, 8).Draw(r, "n"), hd, ctx)
					tile.Softcap = rapid.SampledFrom([]float32{0, 2, 30}).Draw(r, "softcap")
					if rapid.Bool().Draw(r, "bias") {
						tile.biased(t, rng)
					}
					if tile.Sinks = rapid.Bool().Draw(r, "sinks"); tile.Sinks {
						for i := range tile.N {
							tile.Sink[i] = rapid.SampledFrom([]float32{-100, -3, 0, 2, 20, 200}).Draw(r, "sink")
						}
					}
					s.Attend(tile, h.kv, h.blocks, scratchOf(t, nan32))
					for i := range tile.N {
						want := h.attend64(tile, i)
						for d := range want {
							err := math.Abs(want[d]-float64(tile.Out[i][d])) / 4 // values are below 4, nearly all
							worst = max(worst, err)
							if !(err <= attendErr(typ)) {
								r.Fatalf("query %d [%d,%d): out[%d] = %g, want %g", i, tile.From[i], tile.Len[i], d, tile.Out[i][d], want[d])
							}
						}
					}
				})
				t.Logf("worst error %.2g of %.2g", worst, attendErr(typ))
			})
		}
	})
}

// drawHistory draws a history of any type, head size and length, and the source
// of what else is random.
func drawHistory(t *testing.T, r *rapid.T, s Set) (h *history, ctx int, rng *rand.Rand) {
	t.Helper()
	rng = rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 2))
	typ := rapid.SampledFrom(kvTypes).Draw(r, "type")
	hd := rapid.SampledFrom([]int{16, 64, 80, 128, 256, 50}).Draw(r, "hd")
	ctx = rapid.IntRange(1, 1100).Draw(r, "ctx")
	return fillHistory(t, s, cached{typ, hd, ctx}, rng), ctx, rng
}

// TestAttendAlone checks that a query's bits depend on nothing but its own
// range: not on what shares its tile, nor on its place there, nor on scratch, nor on
// what comes next, even if that is nowhere.
func TestAttendAlone(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rapid.Check(t, func(r *rapid.T) {
			h, ctx, rng := drawHistory(t, r, s)
			typ, hd := h.kv.Type, h.kv.HeadDim
			tile := randomTile(t, rng, rapid.IntRange(2, 8).Draw(r, "n"), hd, ctx)
			tile.Softcap = rapid.SampledFrom([]float32{0, 20}).Draw(r, "softcap")
			if rapid.Bool().Draw(r, "bias") {
				tile.biased(t, rng)
			}
			if tile.Sinks = rapid.Bool().Draw(r, "sinks"); tile.Sinks {
				copy(tile.Sink[:], randomRow(rng, TileQueries))
			}
			s.Attend(tile, h.kv, h.blocks, scratchOf(t, nan32))
			for i := range tile.N {
				one := Tile{N: 1, HeadDim: hd, Scale: tile.Scale, Softcap: tile.Softcap, Sinks: tile.Sinks}
				one.Sink[0] = tile.Sink[i]
				one.Q[0], one.Out[0], one.From[0], one.Len[0] = tile.Q[i], make([]float32, hd), tile.From[i], tile.Len[i]
				one.Bias[0] = tile.Bias[i]
				one.Next = Ahead{K: h.kv.K, Blocks: []int32{0, 1 << 20, -1}[:i%4]}
				s.Attend(&one, h.kv, h.blocks, scratchOf(t, 1e30))
				if !slices.Equal(one.Out[0], tile.Out[i]) {
					r.Fatalf("%v hd %d: query %d of %d [%d,%d) of %d differs alone", typ, hd, i, tile.N, tile.From[i], tile.Len[i], ctx)
				}
			}
		})
	})
}

// TestAttendTiersAgree compares each tier with the specification on one cache.
func TestAttendTiersAgree(t *testing.T) {
	spec := Set{}
	forEachTier(t, func(t *testing.T, s Set) {
		rng := testRand()
		for _, typ := range kvTypes {
			for _, hd := range []int{32, 64, 80, 96, 128, 256} {
				h := fillHistory(t, spec, cached{typ, hd, 600}, rng)
				tile := randomTile(t, rng, 8, hd, 600)
				s.Attend(tile, h.kv, h.blocks, scratchOf(t, 0))
				want := *tile
				for i := range want.Out {
					want.Out[i] = make([]float32, hd)
				}
				spec.Attend(&want, h.kv, h.blocks, scratchOf(t, 0))
				for i := range want.Out {
					for d, w := range want.Out[i] {
						if !within(tile.Out[i][d], float64(w), 4*attendErr(typ)) {
							t.Fatalf("%v hd %d query %d: out[%d] = %g, generic has %g", typ, hd, i, d, tile.Out[i][d], w)
						}
					}
				}
			}
		}
	})
}

func TestStore(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range kvTypes {
			for _, hd := range []int{2, 30, 64, 80, 128, 256} {
				checkStore(t, s, typ, hd)
			}
		}
	})
}

// checkStore fills a block in random order and reads it back.
func checkStore(t *testing.T, s Set, typ quant.Type, hd int) {
	t.Helper()
	rng := testRand()
	stride, err := kvBlockBytes(typ, hd)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{blocks: []int32{0}, kv: &KV{Type: typ, HeadDim: hd, Stride: stride,
		K: guarded[byte](t, stride, false), V: guarded[byte](t, stride, true)}}
	rows := make([][]float32, BlockTokens)
	for _, slot := range rng.Perm(BlockTokens) {
		rows[slot] = randomRow(rng, hd)
		for d := range rows[slot] {
			rows[slot][d] *= float32(math.Exp(min(9, 3*rng.NormFloat64())))
		}
		s.StoreK(h.kv, 0, slot, placed(t, rows[slot], false))
		s.StoreV(h.kv, 0, slot, placed(t, rows[slot], true))
	}
	for slot, row := range rows {
		square := 0.0
		for _, x := range row {
			square += float64(x) * float64(x)
		}
		for what, got := range map[string][]float32{"key": h.key(slot), "value": h.value(slot)} {
			for d, x := range row {
				if !within(got[d], float64(x), math.Sqrt(square)*storeErr(typ, hd)) {
					t.Fatalf("%v hd %d %s of slot %d: [%d] = %g, stored %g, norm %g", typ, hd, what, slot, d, got[d], x, math.Sqrt(square))
				}
			}
		}
	}
}

// TestStoreHostile stores what a broken model might produce: the cache stays
// finite, and so does what is computed from it.
func TestStoreHostile(t *testing.T) {
	inf := float32(math.Inf(1))
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range kvTypes {
			for _, hd := range []int{32, 30} {
				h := fillHistory(t, s, cached{typ, hd, 40}, testRand())
				for slot, x := range []float32{nan32, inf, -inf, 1e38, 1e-40, 0, 65519, -65520} {
					row := make([]float32, hd)
					for d := range row {
						row[d] = x
					}
					s.StoreK(h.kv, h.blocks[1], slot, row)
					s.StoreV(h.kv, h.blocks[1], slot, row)
					want := finite(x, halfLimit)
					if typ != quant.F16 {
						want = finite(x, intLimit)
					}
					for _, got := range [][]float32{h.key(16 + slot), h.value(16 + slot)} {
						for d := range got {
							if !within(got[d], float64(want), 6*math.Abs(float64(want))*storeErr(typ, hd)+1e-6) {
								t.Fatalf("%v: stored %g, read %g", typ, x, got[d])
							}
						}
					}
				}
				for _, q := range []float32{1, nan32, inf, 1e38} {
					tile := Tile{N: 2, HeadDim: hd, Scale: 1, Len: [8]int32{40, 30}}
					for i := range tile.N {
						tile.Q[i], tile.Out[i] = make([]float32, hd), make([]float32, hd)
						tile.Q[i][i] = q
					}
					s.Attend(&tile, h.kv, h.blocks, scratchOf(t, 0))
					if q == 1 && (tile.Out[0][0] != tile.Out[0][0] || math.Abs(float64(tile.Out[0][0])) > 2*intLimit) {
						t.Errorf("%v: out %g", typ, tile.Out[0][0])
					}
				}
			}
		}
	})
}

// inRuns copies a cache into runs of blocks with pitch between their beginnings.
// What is between has NaN for scales and halves.
func inRuns(t *testing.T, kv *KV, run, pitch int) *KV {
	t.Helper()
	c := *kv
	c.Run, c.Pitch = run, pitch
	blocks := len(kv.K) / kv.Stride
	runs := (blocks + run - 1) / run
	strides := (runs-1)*pitch + blocks - (runs-1)*run // the last run ends with the memory
	for to, from := range map[*[]byte][]byte{&c.K: kv.K, &c.V: kv.V} {
		*to = guarded[byte](t, strides*kv.Stride, false)
		for i := range *to {
			(*to)[i] = 0xff
		}
		for b := range blocks {
			at := b/run*pitch + b%run
			copy((*to)[at*kv.Stride:], from[b*kv.Stride:(b+1)*kv.Stride])
		}
	}
	return &c
}

// TestAttendRuns checks that it does not matter how blocks are laid out: stores
// and outputs have the same bits in runs as in one stream.
func TestAttendRuns(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rapid.Check(t, func(r *rapid.T) {
			h, ctx, rng := drawHistory(t, r, s)
			typ, hd := h.kv.Type, h.kv.HeadDim
			run := rapid.SampledFrom([]int{1, 2, 7, 16, 32}).Draw(r, "run")
			kv := inRuns(t, h.kv, run, run+rapid.IntRange(0, 9).Draw(r, "gap"))
			for range 5 {
				block, slot := h.blocks[rng.IntN(len(h.blocks))], rng.IntN(BlockTokens)
				k, v := randomRow(rng, hd), randomRow(rng, hd)
				for _, to := range []*KV{h.kv, kv} {
					s.StoreK(to, block, slot, k)
					s.StoreV(to, block, slot, v)
				}
			}
			tile := randomTile(t, rng, rapid.IntRange(1, 8).Draw(r, "n"), hd, ctx)
			s.Attend(tile, h.kv, h.blocks, scratchOf(t, nan32))
			other := *tile
			for i := range other.N {
				other.Out[i] = make([]float32, hd)
			}
			s.Attend(&other, kv, h.blocks, scratchOf(t, nan32))
			for i := range tile.N {
				if !slices.Equal(tile.Out[i], other.Out[i]) {
					r.Fatalf("%v hd %d: query %d of %d [%d,%d) of %d differs in runs of %d, %d apart",
						typ, hd, i, tile.N, tile.From[i], tile.Len[i], ctx, kv.Run, kv.Pitch)
				}
			}
		})
	})
}

// TestPlaces checks which blocks are inside the memory of a head.
func TestPlaces(t *testing.T) {
	const stride = 1024 // F16, head size 32
	for _, c := range []struct{ run, pitch, strides, blocks int }{
		{0, 0, 5, 5},
		{4, 4, 8, 8},
		{4, 24, 48, 8}, // the first head of two chunks
		{4, 24, 28, 8}, // the last one
		{4, 24, 27, 7}, // and something is missing
		{4, 24, 23, 4}, // the second chunk is
		{1, 24, 49, 3}, // runs of one
		{32, 64, 20, 20},
	} {
		kv := &KV{Type: quant.F16, HeadDim: 32, Stride: stride, Run: c.run, Pitch: c.pitch,
			K: make([]byte, c.strides*stride), V: make([]byte, c.strides*stride)}
		if got := kv.blocks(); got != c.blocks {
			t.Errorf("%+v: %d blocks", c, got)
		}
		for b := range c.blocks {
			if at := kv.place(int32(b)); at >= c.strides {
				t.Errorf("%+v: block %d is at %d", c, b, at)
			}
		}
		for _, b := range []int32{int32(c.blocks), int32(c.blocks) + 1000, math.MaxInt32, -1, -int32(c.run), math.MinInt32} {
			if at := kv.place(b); c.run != 0 && at < c.strides {
				t.Errorf("%+v: block %d is at %d", c, b, at)
			}
		}
	}
}

func TestAttendPanics(t *testing.T) {
	s := New(Tiers()[0])
	h := fillHistory(t, s, cached{quant.F16, 32, 40}, testRand()) // five blocks
	runs := inRuns(t, h.kv, 2, 3)
	for name, edit := range map[string]func(*Tile, *KV, *[]int32){
		"too many queries": func(t *Tile, _ *KV, _ *[]int32) { t.N = 9 },
		"other head size":  func(t *Tile, _ *KV, _ *[]int32) { t.HeadDim = 64 },
		"short query":      func(t *Tile, _ *KV, _ *[]int32) { t.Q[0] = t.Q[0][:31] },
		"short output":     func(t *Tile, _ *KV, _ *[]int32) { t.Out[0] = nil },
		"negative from":    func(t *Tile, _ *KV, _ *[]int32) { t.From[0] = -1 },
		"beyond the table": func(t *Tile, _ *KV, _ *[]int32) { t.Len[0] = 49 },
		"block too high":   func(_ *Tile, _ *KV, b *[]int32) { *b = []int32{0, 1, 5} },
		"negative block":   func(_ *Tile, _ *KV, b *[]int32) { *b = []int32{0, 1, -1} },
		"too high in runs": func(_ *Tile, kv *KV, b *[]int32) { *kv, *b = *runs, []int32{0, 1, 5} },
		"negative in runs": func(_ *Tile, kv *KV, b *[]int32) { *kv, *b = *runs, []int32{0, 1, math.MinInt32} },
		"overlapping runs": func(_ *Tile, kv *KV, _ *[]int32) { kv.Run, kv.Pitch = 4, 3 },
		"negative runs":    func(_ *Tile, kv *KV, _ *[]int32) { kv.Run = -1 },
		"stride":           func(_ *Tile, kv *KV, _ *[]int32) { kv.Stride = 512 },
		"type":             func(_ *Tile, kv *KV, _ *[]int32) { kv.Type = quant.Q4_K },
	} {
		t.Run(name, func(t *testing.T) {
			tile, kv, blocks := Tile{N: 1, HeadDim: 32, Len: [8]int32{40}}, *h.kv, h.blocks
			tile.Q[0], tile.Out[0] = make([]float32, 32), make([]float32, 32)
			edit(&tile, &kv, &blocks)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			s.Attend(&tile, &kv, blocks, make([]float32, AttendScratch))
		})
	}
}

func TestStorePanics(t *testing.T) {
	s := New(Tiers()[0])
	h := fillHistory(t, s, cached{quant.I16, 32, 40}, testRand())
	for _, kv := range []*KV{h.kv, inRuns(t, h.kv, 2, 3)} {
		for _, block := range []int32{5, 6, 1000, math.MaxInt32, -1, math.MinInt32} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("runs of %d: a store to block %d of 5", kv.Run, block)
					}
				}()
				s.StoreV(kv, block, 0, make([]float32, 32))
			}()
		}
	}
}

func TestAttendAllocatesNothing(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range kvTypes {
			h := fillHistory(t, s, cached{typ, 64, 300}, testRand())
			tile, scratch, x := randomTile(t, testRand(), 3, 64, 300), make([]float32, AttendScratch), make([]float32, 64)
			if n := alloctest.PerRun(10, func() {
				s.StoreK(h.kv, 0, 3, x)
				s.StoreV(h.kv, 0, 3, x)
				s.Attend(tile, h.kv, h.blocks, scratch)
			}); n != 0 {
				t.Errorf("%v: %g allocations", typ, n)
			}
		}
	})
}

// TestCacheFits: kvcache sizes blocks without knowing the kernels.
func TestCacheFits(t *testing.T) {
	for _, typ := range kvTypes {
		for _, hd := range []int{2, 50, 64, 256} {
			want, err := kvBlockBytes(typ, hd)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := (kvcache.Config{HeadDim: hd, Type: typ}).Stride(); err != nil || got != want {
				t.Errorf("%v, head size %d: kvcache has %d bytes a block (%v), kernel wants %d", typ, hd, got, err, want)
			}
		}
	}
	for _, bad := range []struct {
		t  quant.Type
		hd int
	}{{quant.F16, 0}, {quant.F16, 63}, {quant.F16, 258}, {quant.Q4_K, 64}} {
		if n, err := kvBlockBytes(bad.t, bad.hd); err == nil {
			t.Error(fmt.Sprint(bad), n)
		}
	}
}
