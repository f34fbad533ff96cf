package kernel

import (
	"fmt"
	"math"

	"github.com/penstock-llm/penstock/internal/quant"
)

const (
	// TileQueries is the most query vectors that one Attend takes.
	TileQueries = 8
	// AttendScratch is the length of Attend's scratch, in floats.
	AttendScratch = TileQueries * (3*MaxHeadDim + attendChunk + attendGroups + 6)

	// attendChunk is the number of positions between two corrections of the
	// running softmax. Chunks begin at multiples of it, counted from position 0.
	// 256 measured 5 % faster than 64, and 2 % faster than 128. It cannot be much
	// larger, because a chunk's keys and values should stay in the second-level
	// cache.
	attendChunk  = 256
	attendBlocks = attendChunk / BlockTokens
	attendGroups = attendChunk / groupTokens
	chunkPlaces  = attendBlocks + 2
)

// Tile is up to 8 query vectors that share one kv head: the heads of a group,
// consecutive rows of one sequence, or both.
type Tile struct {
	N       int                    // queries in use
	HeadDim int                    // even, at most MaxHeadDim
	Q       [TileQueries][]float32 // [hd]
	Out     [TileQueries][]float32 // [hd]; may be Q[i]
	From    [TileQueries]int32     // query i sees positions [From[i], Len[i])
	Len     [TileQueries]int32     // an empty range gives zeros
	Scale   float32                // multiplies every score
	Softcap float32                // c > 0: a score s becomes c*tanh(s/c)
	Bias    [TileQueries][]float32 // Bias[i][t] is added to the score of position t; nil: nothing is. All queries of a tile have one or none has

	// Sinks adds to each query's scores one of a position without a value: the
	// weights of all others shrink. It is neither scaled nor capped.
	Sinks bool
	Sink  [TileQueries]float32

	// Next is what the caller will want attention to after this, as far as it knows:
	// keys of the same type and head size. They are asked for in advance.
	Next Ahead

	// Branches are the sequences of the queries, if there are several (attend_branches.go).
	Branches []Branch
	Fork     int32 // the position from which on each branch has its own blocks: a multiple of ForkTokens
}

// Ahead is the keys that the next tile begins with.
type Ahead struct {
	K      []byte  // as KV.K
	Blocks []int32 // of the block table, from the first that is seen on
}

// attendState is a tile at work. Rows are MaxHeadDim or attendChunk apart
// whatever the head size, so that assembly has constant displacements.
type attendState struct {
	tile   *Tile
	kv     *KV
	blocks []int32                // block table of the sequence
	q      []float32              // [8][MaxHeadDim] the queries; int16 for integer caches
	s      []float32              // [8][attendChunk] the chunk's scores, then its weights; then int16
	o      []float32              // [8][MaxHeadDim] weighted sums of values, relative to peak
	peak   []float32              // [8] highest score of the segment so far
	sum    []float32              // [8] sum of its weights so far, relative to peak
	before []float32              // [8][MaxHeadDim] o, peak and sum of the segments before this one
	above  []float32              // [8]
	passed []float32              // [8]
	alpha  []float32              // [8] what the sums before this chunk are multiplied by
	scale  []float32              // [8] what the integers of a query are multiples of, times Tile.Scale
	grid   []float32              // [attendGroups][8] what the integers of a group's weights are multiples of
	places [2 * chunkPlaces]int32 // where the chunk's blocks are, the gaps of groups closed; then where the keys after them are, of the next chunk or tile
	ahead  []byte                 // what the latter are counted from
	end    int                    // one more than the last position that the tile, or its branch, needs from blocks
	chunk  int                    // first position of the chunk
	lo, hi int                    // blocks of the chunk that some query sees, absolute

	notFinite uint8 // bit i: query i is not
}

// noScore is the highest score of a query that has seen no position yet. It is
// finite, because the difference of two infinities would be NaN.
const noScore = -math.MaxFloat32

// Attend computes out_i = Σ_t softmax_t(scale * q_i·k_t) v_t over t in
// [From[i], Len[i]) for each query of the tile. blocks is the sequence's block
// table (of branches that of the first one); it covers every position below the largest Len. scratch has at least
// AttendScratch floats, contents irrelevant.
//
// A query's result has the same bits whatever shares its tile, and whether it is computed
// here or in parts (AttendPart). Positions outside its range contribute exactly nothing. The
// softmax runs online in chunks of positions, so scratch does not depend on the context.
//
// What the cache holds is finite, but a query or its sink may not be: bit i of
// notFinite is set if query i has a NaN or an infinity. Its result then means nothing.
func (s Set) Attend(t *Tile, kv *KV, blocks []int32, scratch []float32) (notFinite uint8) {
	from, end := t.check(kv, blocks, scratch)
	st := s.newAttendState(t, kv, blocks, scratch)
	first := from / SegmentTokens * SegmentTokens
	for at := first; at < end; at += SegmentTokens {
		if at > first {
			s.passSegment(&st, at == first+SegmentTokens)
		}
		s.attendSegment(&st, max(from, at), min(end, at+SegmentTokens))
	}
	s.conclude(&st, end > first+SegmentTokens)
	return st.notFinite
}

// attendSegment adds the positions [from, end), all of one segment, to the running softmax.
func (s Set) attendSegment(st *attendState, from, end int) {
	if len(st.tile.Branches) > 0 {
		s.attendBranches(st, from, end)
		return
	}
	s.attendChunks(st, from, end)
}

func (s Set) attendChunks(st *attendState, from, end int) {
	for st.chunk = from / attendChunk * attendChunk; st.chunk < end; st.chunk += attendChunk {
		st.lo = max(st.chunk, from) / BlockTokens
		st.hi = (min(st.chunk+attendChunk, end) + BlockTokens - 1) / BlockTokens
		st.locate()
		st.lookAhead()
		s.attendScores(st)
		if st.tile.Softcap > 0 {
			s.attendSoftcap(st)
		}
		if st.tile.N > 0 && st.tile.Bias[0] != nil {
			s.attendBias(st)
		}
		st.mask()
		s.attendWeights(st)
		s.shrink(st)
		if st.kv.Type != quant.F16 {
			st.clearGaps()
			s.attendGrid(st)
		}
		s.attendValues(st)
	}
}

// check panics on what assembly must never see, and returns the range of
// positions that the tile needs.
func (t *Tile) check(kv *KV, blocks []int32, scratch []float32) (from, end int) {
	if t.N < 0 || t.N > TileQueries || t.HeadDim != kv.HeadDim || len(scratch) < AttendScratch {
		panic(fmt.Sprintf("kernel: tile of %d queries of %d, cache of %d, scratch of %d", t.N, t.HeadDim, kv.HeadDim, len(scratch)))
	}
	if want, err := kvBlockBytes(kv.Type, kv.HeadDim); err != nil || kv.Stride != want {
		panic(fmt.Sprintf("kernel: KV stride %d, want %d: %v", kv.Stride, want, err))
	}
	if kv.Run < 0 || kv.Pitch < kv.Run {
		panic(fmt.Sprintf("kernel: runs of %d blocks, %d apart", kv.Run, kv.Pitch))
	}
	for i := range t.N {
		if len(t.Q[i]) != t.HeadDim || len(t.Out[i]) != t.HeadDim || t.From[i] < 0 {
			panic(fmt.Sprintf("kernel: query %d: %d values in, %d out, head size %d, from %d", i, len(t.Q[i]), len(t.Out[i]), t.HeadDim, t.From[i]))
		}
		if t.Bias[0] != nil && len(t.Bias[i]) < int(t.Len[i]) {
			panic(fmt.Sprintf("kernel: query %d: a bias for %d of %d positions", i, len(t.Bias[i]), t.Len[i]))
		}
	}
	from, end = t.needs(0, t.N)
	if len(t.Branches) > 0 {
		t.checkBranches(kv, blocks, from, end)
	} else {
		kv.checkTable(blocks, from, end)
	}
	return from, end
}

// needs is the range of positions that n queries need, from the first-th on: 0, 0 if none.
func (t *Tile) needs(first, n int) (from, end int) {
	from = math.MaxInt32
	for i := first; i < first+n; i++ {
		if t.From[i] < t.Len[i] {
			from, end = min(from, int(t.From[i])), max(end, int(t.Len[i]))
		}
	}
	return min(from, end), end
}

// checkTable panics unless a block table covers the positions [from, end), if there are any,
// with blocks of the cache.
func (kv *KV) checkTable(blocks []int32, from, end int) {
	if from >= end {
		return
	}
	last := (end + BlockTokens - 1) / BlockTokens
	if last > len(blocks) {
		panic(fmt.Sprintf("kernel: %d positions in %d blocks", end, len(blocks)))
	}
	have := kv.blocks()
	for _, b := range blocks[from/BlockTokens : last] {
		if uint(b) >= uint(have) {
			panic(fmt.Sprintf("kernel: block %d of %d", b, have))
		}
	}
}

func (s Set) newAttendState(t *Tile, kv *KV, blocks []int32, scratch []float32) attendState {
	const rows = TileQueries * MaxHeadDim
	st := attendState{tile: t, kv: kv, blocks: blocks}
	_, st.end = t.needs(0, t.own())
	st.q, scratch = scratch[:rows:rows], scratch[rows:]
	st.o, scratch = scratch[:rows:rows], scratch[rows:]
	st.before, scratch = scratch[:rows:rows], scratch[rows:]
	st.s, scratch = scratch[:TileQueries*attendChunk], scratch[TileQueries*attendChunk:]
	st.peak, scratch = scratch[:TileQueries], scratch[TileQueries:]
	st.sum, scratch = scratch[:TileQueries], scratch[TileQueries:]
	st.above, scratch = scratch[:TileQueries], scratch[TileQueries:]
	st.passed, scratch = scratch[:TileQueries], scratch[TileQueries:]
	st.alpha, scratch = scratch[:TileQueries], scratch[TileQueries:]
	st.scale, st.grid = scratch[:TileQueries], scratch[TileQueries:][:TileQueries*attendGroups]
	for i := range t.N {
		q, finite := st.q[i*MaxHeadDim:][:t.HeadDim], true
		if kv.Type == quant.F16 {
			s.scaleTo(q, t.Q[i], t.Scale)
			finite = s.Finite(t.Q[i])
		} else {
			var scale float32
			scale, finite = s.keyInts(kv, q, t.Q[i], 1.0/intMax)
			st.scale[i] = t.Scale * scale
		}
		if sink := t.Sink[i]; t.Sinks {
			finite = finite && sink-sink == 0
		}
		if !finite {
			st.notFinite |= 1 << i
		}
	}
	st.restart()
	return st
}

// seen returns the part of the chunk that query i sees, relative to the chunk,
// clipped to the blocks that were computed; lo == hi if it sees nothing.
func (st *attendState) seen(i int) (lo, hi int) {
	lo = max(int(st.tile.From[i]), st.lo*BlockTokens) - st.chunk
	hi = min(int(st.tile.Len[i]), st.hi*BlockTokens) - st.chunk
	if lo >= hi {
		return st.lo*BlockTokens - st.chunk, st.lo*BlockTokens - st.chunk
	}
	return lo, hi
}

// mask gives the scores of positions that a query doesn't see the value -Inf,
// which has weight exactly 0.
func (st *attendState) mask() {
	inf := float32(math.Inf(-1))
	first, last := st.lo*BlockTokens-st.chunk, st.hi*BlockTokens-st.chunk
	for i := range st.tile.N {
		lo, hi := st.seen(i)
		s := st.s[i*attendChunk:][:attendChunk]
		for j := first; j < lo; j++ {
			s[j] = inf
		}
		for j := hi; j < last; j++ {
			s[j] = inf
		}
	}
}

// attendBias adds each query's bias to the scores of what it sees.
func (s Set) attendBias(st *attendState) {
	for i := range st.tile.N {
		if lo, hi := st.seen(i); lo < hi {
			s.add(st.s[i*attendChunk:][lo:hi], st.tile.Bias[i][st.chunk+lo:st.chunk+hi])
		}
	}
}

// shrink corrects the sums of earlier chunks to the new peak. They may hold anything before
// the first score, and that is multiplied by 0.
func (s Set) shrink(st *attendState) {
	for i := range st.tile.N {
		o := st.o[i*MaxHeadDim:][:st.tile.HeadDim]
		switch st.alpha[i] {
		case 1:
		case 0:
			clear(o)
		default:
			s.scaleTo(o, o, st.alpha[i])
		}
	}
}

// queries returns the int16 elements of query i, which integer caches multiply.
func (st *attendState) queries(i int) []int16 { return int16s(st.q[i*MaxHeadDim:][:MaxHeadDim]) }

// firstGroup and lastGroup limit the groups that the blocks [lo, hi) belong to. A
// group is two blocks; groups are counted from the chunk's beginning.
func (st *attendState) firstGroup() int { return (st.lo - st.chunk/BlockTokens) / 2 }
func (st *attendState) lastGroup() int  { return (st.hi - st.chunk/BlockTokens + 1) / 2 }

// locate fills places with where the blocks [lo, hi) of the chunk lie in memory.
// Values are multiplied in groups of two blocks. If only one block of a group is
// in [lo, hi), it also stands for the other one, whose weights are 0. The places
// after the last group repeat the last block; they are only prefetched.
func (st *attendState) locate() {
	lo, hi := st.lo-st.chunk/BlockTokens, st.hi-st.chunk/BlockTokens
	st.kv.locate(st.places[lo:hi], st.blocks[st.lo:st.hi])
	if lo%2 != 0 {
		st.places[lo-1] = st.places[lo]
	}
	for i := hi; i < min(hi+2, chunkPlaces); i++ {
		st.places[i] = st.places[hi-1]
	}
}

// lookAhead fills the second half of places: while a chunk's values are multiplied,
// the keys that follow are asked for, of the next chunk or else of the next tile. (The
// values are asked for while the keys are multiplied.) So memory always has something
// to do, and what it is asked for is as far ahead as the caches allow.
func (st *attendState) lookAhead() {
	next := st.blocks[:(st.end+BlockTokens-1)/BlockTokens]
	next = next[min(len(next), (st.chunk+attendChunk)/BlockTokens):]
	st.ahead = st.kv.K
	if len(next) == 0 {
		if next, st.ahead = st.tile.Next.Blocks, st.tile.Next.K; len(next) == 0 {
			copy(st.places[chunkPlaces:], st.places[:chunkPlaces]) // nothing: what is in the cache already
			st.ahead = st.kv.V
			return
		}
	}
	first, last := 2*st.firstGroup(), 2*st.lastGroup() // what lies outside is not read
	ahead := st.places[chunkPlaces+first : chunkPlaces+last]
	n := min(len(ahead), len(next))
	st.kv.locate(ahead[:n], next)
	for i := n; i < len(ahead); i++ {
		ahead[i] = ahead[n-1]
	}
}

// block returns the i-th block of the chunk in data, which is the cache's keys or
// its values.
func (st *attendState) block(data []byte, i int) []byte {
	return data[int(st.places[i])*st.kv.Stride:][:st.kv.Stride]
}

// clearGaps sets the weights of the blocks that locate put in only to complete a
// group of two to 0.
func (st *attendState) clearGaps() {
	for i := range st.tile.N {
		s := st.s[i*attendChunk:][:attendChunk]
		if st.lo%2 != 0 {
			clear(s[(st.lo-1)*BlockTokens-st.chunk:][:BlockTokens])
		}
		if st.hi%2 != 0 {
			clear(s[st.hi*BlockTokens-st.chunk:][:BlockTokens])
		}
	}
}
