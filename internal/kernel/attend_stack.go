package kernel

import "fmt"

// StackTiles is the most tiles that one AttendStack takes.
const StackTiles = 4

// AttendStack is Attend for several tiles of one sequence and kv head: tile k's bits of
// notFinite are those from 8*k on. scratch is AttendScratch floats for each.
//
// A prompt's tiles see nearly the same positions. Here all of them go over a chunk before
// any goes on to the next, so that the chunk's keys and values come from the second-level
// cache for all but the first. Of a long context, which does not fit there, each tile alone
// would read all keys and values from farther away. A query's bits are those that Attend
// gives it.
func (s Set) AttendStack(tiles []Tile, kv *KV, blocks []int32, scratch []float32) (notFinite uint32) {
	if len(tiles) > StackTiles || len(scratch) < len(tiles)*AttendScratch {
		panic(fmt.Sprintf("kernel: a stack of %d tiles, scratch of %d", len(tiles), len(scratch)))
	}
	var states [StackTiles]attendState
	var spans [StackTiles]struct{ from, end int }
	first, last := 0, 0
	for k := range tiles {
		t, own, x := &tiles[k], scratch[k*AttendScratch:][:AttendScratch], &spans[k]
		if len(t.Branches) > 0 {
			panic("kernel: a stack has no branches")
		}
		x.from, x.end = t.check(kv, blocks, own)
		states[k] = s.newAttendState(t, kv, blocks, own)
		// What is of one chunk of one tile alone is shared, so that it stays in the first-level cache.
		states[k].s, states[k].alpha, states[k].grid = states[0].s, states[0].alpha, states[0].grid
		notFinite |= uint32(states[k].notFinite) << (TileQueries * k)
		if first = min(first, x.from); last == 0 {
			first = x.from
		}
		last = max(last, x.end)
	}
	first = first / SegmentTokens * SegmentTokens
	for at := first; at < last; at += attendChunk {
		for k := range tiles {
			st, from, end := &states[k], max(spans[k].from, at), min(spans[k].end, at+attendChunk)
			if at > first && at%SegmentTokens == 0 {
				s.passSegment(st, at == first+SegmentTokens)
			}
			if from < end {
				s.attendChunks(st, from, end)
			}
		}
	}
	for k := range tiles {
		s.conclude(&states[k], last > first+SegmentTokens)
	}
	return notFinite
}
