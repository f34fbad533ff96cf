package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A query's bits are the same whether its segments are computed at once or one by one, in any
// order and with other company.
func TestAttendParts(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for i, typ := range kvTypes {
			hd := []int{64, 128, 50}[i]
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			h := fillHistory(t, s, cached{typ, hd, 2*SegmentTokens + 300}, rng)
			rapid.Check(t, func(r *rapid.T) {
				rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 4))
				ctx := rapid.IntRange(1, 2*SegmentTokens+300).Draw(r, "ctx")
				tile := randomTile(t, rng, rapid.IntRange(1, TileQueries).Draw(r, "n"), hd, ctx)
				if tile.Sinks = rapid.Bool().Draw(r, "sinks"); tile.Sinks {
					copy(tile.Sink[:], randomRow(rng, TileQueries))
				}
				s.Attend(tile, h.kv, h.blocks, scratchOf(t, nan32))
				want := make([][]float32, tile.N)
				for i := range want {
					want[i] = slices.Clone(tile.Out[i])
				}
				h.inParts(t, s, tile, rng)
				for i := range want {
					if !slices.Equal(want[i], tile.Out[i]) {
						r.Fatalf("%v hd %d: query %d of %d [%d,%d) differs in parts", typ, hd, i, tile.N, tile.From[i], tile.Len[i])
					}
				}
			})
		}
	})
}

// inParts computes a tile segment by segment, in a random order.
func (h *history) inParts(t *testing.T, s Set, tile *Tile, rng *rand.Rand) {
	const segments = 3
	pitch := tile.N * PartFloats(tile.HeadDim)
	parts := make([]float32, segments*pitch)
	for _, k := range rng.Perm(segments) {
		part := *tile
		for i := range tile.N {
			part.Out[i] = slices.Clone(tile.Out[i]) // must not be needed
			part.From[i] = max(tile.From[i], int32(k*SegmentTokens))
			part.Len[i] = min(tile.Len[i], int32((k+1)*SegmentTokens))
		}
		s.AttendPart(&part, h.kv, h.blocks, scratchOf(t, nan32), parts[k*pitch:])
	}
	s.JoinParts(tile, parts, segments, pitch)
}
