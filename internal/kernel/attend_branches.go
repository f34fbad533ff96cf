package kernel

import "fmt"

// ForkTokens is what Tile.Fork is a multiple of: the positions of a chunk.
const ForkTokens = attendChunk

// Branch is a sequence that has N consecutive queries in a tile.
//
// Sequences that begin with the same prompt share the blocks of it. A tile of queries of
// several such sequences goes over these blocks once, which costs each query less: what is
// loaded of keys and values serves more of them. At the fork it becomes a tile for each
// branch, which goes on with the running softmax of its queries over its own blocks. So a
// query's bits are those that it has in a tile without branches.
type Branch struct {
	N      int
	Blocks []int32 // block table of the sequence; the same as other branches' up to the fork
}

// own is the number of queries that the block table of Attend is made for.
func (t *Tile) own() int {
	if len(t.Branches) > 0 {
		return t.Branches[0].N
	}
	return t.N
}

// checkBranches panics on what assembly must never see of branches.
func (t *Tile) checkBranches(kv *KV, blocks []int32, from, end int) {
	n := 0
	for i := range t.Branches {
		b := &t.Branches[i]
		if b.N < 0 || n+b.N > t.N {
			panic(fmt.Sprintf("kernel: branch %d has %d queries from %d on, of %d", i, b.N, n, t.N))
		}
		first, last := t.needs(n, b.N)
		kv.checkTable(b.Blocks, max(first, int(t.Fork)), last)
		n += b.N
	}
	if n != t.N || t.Fork < 0 || t.Fork%ForkTokens != 0 {
		panic(fmt.Sprintf("kernel: branches of %d queries, of %d, fork at %d", n, t.N, t.Fork))
	}
	_, last := t.needs(0, t.own())
	kv.checkTable(blocks, from, max(last, min(end, int(t.Fork))))
}

// attendBranches is attendSegment for a tile with branches.
func (s Set) attendBranches(st *attendState, from, end int) {
	t := st.tile
	if trunk := min(end, int(t.Fork)); from < trunk {
		s.attendChunks(st, from, trunk)
	}
	n := 0
	for i := range t.Branches {
		first, last := t.needs(n, t.Branches[i].N)
		first, last = max(first, from, int(t.Fork)), min(last, end)
		if first < last {
			s.attendBranch(st, i, n, [2]int{first, last})
		}
		n += t.Branches[i].N
	}
}

// attendBranch adds positions to the running softmax of a branch, whose queries are those
// from number n on.
func (s Set) attendBranch(st *attendState, branch, n int, positions [2]int) {
	t, b := st.tile, &st.tile.Branches[branch]
	tile := Tile{N: b.N, HeadDim: t.HeadDim, Scale: t.Scale, Softcap: t.Softcap, Next: t.Next}
	copy(tile.From[:], t.From[n:n+b.N])
	copy(tile.Len[:], t.Len[n:n+b.N])
	copy(tile.Bias[:], t.Bias[n:n+b.N])
	if branch+1 < len(t.Branches) {
		next := t.Branches[branch+1].Blocks
		tile.Next = Ahead{K: st.kv.K, Blocks: next[min(len(next), positions[0]/BlockTokens):]}
	}
	own := *st
	own.tile, own.blocks = &tile, b.Blocks
	_, own.end = tile.needs(0, b.N)
	own.q, own.o = st.q[n*MaxHeadDim:], st.o[n*MaxHeadDim:]
	own.peak, own.sum, own.scale = st.peak[n:], st.sum[n:], st.scale[n:]
	s.attendChunks(&own, positions[0], positions[1])
}
