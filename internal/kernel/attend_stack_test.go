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

// A stack's queries have the bits that they have in tiles of their own.
func TestAttendStack(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for i, typ := range kvTypes {
			const longest = 2*SegmentTokens + 300
			hd := []int{64, 128, 50}[i]
			h := fillHistory(t, s, cached{typ, hd, longest}, rand.New(rand.NewPCG(7, uint64(i))))
			rapid.Check(t, func(r *rapid.T) {
				rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 8))
				ctx := rapid.SampledFrom([]int{1, 100, 600, SegmentTokens + 1, longest}).Draw(r, "ctx")
				tiles := make([]Tile, rapid.IntRange(0, StackTiles).Draw(r, "tiles"))
				softcap, bias := rapid.SampledFrom([]float32{0, 20}).Draw(r, "softcap"), rapid.Bool().Draw(r, "bias")
				want, bad := make([][][]float32, len(tiles)), uint32(0)
				for k := range tiles {
					tile := randomTile(t, rng, rng.IntN(TileQueries+1), hd, ctx)
					if tile.Softcap = softcap; bias {
						tile.biased(t, rng)
					}
					if tile.N > 0 && rng.IntN(8) == 0 {
						tile.Q[tile.N-1][0] = float32(math.Inf(1))
					}
					bad |= uint32(s.Attend(tile, h.kv, h.blocks, scratchOf(t, nan32))) << (TileQueries * k)
					for i := range tile.N {
						want[k] = append(want[k], slices.Clone(tile.Out[i]))
						clear(tile.Out[i])
					}
					tiles[k] = *tile
				}
				scratch := guarded[float32](t, len(tiles)*AttendScratch, false)
				for i := range scratch {
					scratch[i] = nan32
				}
				if got := s.AttendStack(tiles, h.kv, h.blocks, scratch); got != bad {
					r.Fatalf("not finite: %b, want %b", got, bad)
				}
				for k := range tiles {
					for i, w := range want[k] {
						if bad>>(TileQueries*k+i)&1 == 0 && !slices.Equal(w, tiles[k].Out[i]) {
							r.Fatalf("%v: query %d of tile %d, [%d,%d), differs in a stack", typ, i, k, tiles[k].From[i], tiles[k].Len[i])
						}
					}
				}
			})
		}
	})
}

func TestStackPanics(t *testing.T) {
	s := New(Tiers()[0])
	h := fillHistory(t, s, cached{quant.I16, 32, 40}, testRand())
	for name, c := range map[string]struct {
		tiles, scratch int
		branches       []Branch
	}{
		"too many":      {StackTiles + 1, StackTiles + 1, nil},
		"short scratch": {2, 1, nil},
		"branches":      {2, 2, []Branch{{0, h.blocks}}},
	} {
		tiles := make([]Tile, c.tiles)
		for k := range tiles {
			tiles[k].HeadDim, tiles[k].Branches = 32, c.branches
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			s.AttendStack(tiles, h.kv, h.blocks, make([]float32, c.scratch*AttendScratch))
		}()
	}
}

func TestStackAllocatesNothing(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		h, scratch := fillHistory(t, s, cached{quant.I16, 64, 300}, testRand()), make([]float32, StackTiles*AttendScratch)
		tiles := []Tile{*randomTile(t, testRand(), 8, 64, 300), *randomTile(t, testRand(), 3, 64, 300)}
		if n := alloctest.PerRun(10, func() { s.AttendStack(tiles, h.kv, h.blocks, scratch) }); n != 0 {
			t.Errorf("%g allocations", n)
		}
	})
}
