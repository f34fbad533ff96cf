package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/quant"
)

// branched makes a tile of queries of several sequences, of up to ctx positions each, that
// share the blocks before fork. Beyond it each takes blocks of the history at random.
func (h *history) branched(t testing.TB, rng *rand.Rand, fork, ctx int) *Tile {
	n := 1 + rng.IntN(TileQueries)
	tile := randomTile(t, rng, n, h.kv.HeadDim, ctx)
	tile.Fork = int32(fork)
	for left := n; left > 0; {
		b := Branch{N: rng.IntN(left + 1), Blocks: slices.Clone(h.blocks[:(ctx+BlockTokens-1)/BlockTokens])}
		for i := fork / BlockTokens; i < len(b.Blocks); i++ {
			b.Blocks[i] = h.blocks[rng.IntN(len(h.blocks))]
		}
		left -= b.N
		tile.Branches = append(tile.Branches, b)
	}
	return tile
}

// A query has the bits that it has alone, with its sequence's own table, at once and in parts.
func TestAttendBranches(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for i, typ := range kvTypes {
			const longest = SegmentTokens + 300
			hd := []int{64, 128, 50}[i]
			h := fillHistory(t, s, cached{typ, hd, longest}, rand.New(rand.NewPCG(5, uint64(i))))
			rapid.Check(t, func(r *rapid.T) {
				rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 6))
				ctx := rapid.SampledFrom([]int{1, 40, 255, 256, 257, 600, SegmentTokens, longest}).Draw(r, "ctx")
				fork := rapid.IntRange(0, ctx/ForkTokens).Draw(r, "fork") * ForkTokens
				tile := h.branched(t, rng, fork, ctx)
				tile.Softcap = rapid.SampledFrom([]float32{0, 20}).Draw(r, "softcap")
				if rapid.Bool().Draw(r, "bias") {
					tile.biased(t, rng)
				}
				if tile.Sinks = rapid.Bool().Draw(r, "sinks"); tile.Sinks {
					copy(tile.Sink[:], randomRow(rng, TileQueries))
				}
				want := h.eachAlone(s, tile)
				s.Attend(tile, h.kv, tile.Branches[0].Blocks, scratchOf(t, nan32))
				for i := range want {
					if !slices.Equal(want[i], tile.Out[i]) {
						r.Fatalf("%v: query %d of %d [%d,%d), fork at %d: differs in branches", typ, i, tile.N, tile.From[i], tile.Len[i], fork)
					}
					clear(tile.Out[i])
				}
				own := *h
				own.blocks = tile.Branches[0].Blocks
				own.inParts(t, s, tile, rng)
				for i := range want {
					if !slices.Equal(want[i], tile.Out[i]) {
						r.Fatalf("%v: query %d of %d [%d,%d), fork at %d: differs in parts of branches", typ, i, tile.N, tile.From[i], tile.Len[i], fork)
					}
				}
			})
		}
	})
}

// eachAlone is what the queries of a branched tile get in tiles of their own.
func (h *history) eachAlone(s Set, tile *Tile) (out [][]float32) {
	scratch, i := make([]float32, AttendScratch), 0
	for _, b := range tile.Branches {
		for range b.N {
			one := Tile{N: 1, HeadDim: tile.HeadDim, Scale: tile.Scale, Softcap: tile.Softcap, Sinks: tile.Sinks}
			one.Q[0], one.Out[0], one.From[0], one.Len[0] = tile.Q[i], make([]float32, tile.HeadDim), tile.From[i], tile.Len[i]
			one.Bias[0], one.Sink[0] = tile.Bias[i], tile.Sink[i]
			s.Attend(&one, h.kv, b.Blocks, scratch)
			out = append(out, one.Out[0])
			i++
		}
	}
	return out
}

func TestBranchesPanic(t *testing.T) {
	s := New(Tiers()[0])
	const ctx = 2 * ForkTokens
	h := fillHistory(t, s, cached{quant.I16, 32, ctx}, testRand())
	for name, edit := range map[string]func(*Tile){
		"nothing wrong":           func(*Tile) {},
		"too few queries":         func(t *Tile) { t.Branches[1].N = 0 },
		"too many queries":        func(t *Tile) { t.Branches[0].N = 2 },
		"fork in a chunk":         func(t *Tile) { t.Fork = 16 },
		"negative fork":           func(t *Tile) { t.Fork = -ForkTokens },
		"beyond a branch's table": func(t *Tile) { t.Branches[1].Blocks = h.blocks[:ForkTokens/BlockTokens+1] },
		"beyond the first table":  func(t *Tile) { t.Len[0], t.Fork = 1, ctx; t.Branches[0].Blocks = h.blocks[:1] },
		"block too high":          func(t *Tile) { t.Branches[1].Blocks[ctx/BlockTokens-1] = math.MaxInt32 },
	} {
		tile := Tile{N: 2, HeadDim: 32, Len: [8]int32{ctx, ctx}, Fork: ForkTokens}
		for i := range 2 {
			tile.Q[i], tile.Out[i] = make([]float32, 32), make([]float32, 32)
			tile.Branches = append(tile.Branches, Branch{1, slices.Clone(h.blocks)})
		}
		edit(&tile)
		func() {
			defer func() {
				if failed := recover() != nil; failed != (name != "nothing wrong") {
					t.Errorf("%s: panic: %v", name, failed)
				}
			}()
			s.Attend(&tile, h.kv, tile.Branches[0].Blocks, make([]float32, AttendScratch))
		}()
	}
}

func TestBranchesAllocateNothing(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		h, scratch := fillHistory(t, s, cached{quant.I16, 64, 600}, testRand()), make([]float32, AttendScratch)
		tile := h.branched(t, testRand(), ForkTokens, 600)
		if n := alloctest.PerRun(10, func() { s.Attend(tile, h.kv, tile.Branches[0].Blocks, scratch) }); n != 0 {
			t.Errorf("%g allocations", n)
		}
	})
}
