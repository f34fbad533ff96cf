package nn

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
)

// ropeRows is the cosines and sines of a step's rows for one rotation.
type ropeRows struct {
	r        *Rope
	cos, sin []float32 // [rows][Pairs]
	filled   bool
}

func newRopeRows(r *Rope, rows int) ropeRows {
	return ropeRows{r: r, cos: make([]float32, rows*r.Pairs), sin: make([]float32, rows*r.Pairs)}
}

// rotation finds the rows of r, filled for this step; nil if r is.
func (f *Fast) rotation(r *Rope) *ropeRows {
	if r == nil {
		return nil
	}
	for i := range f.ropes {
		rr := &f.ropes[i]
		if rr.r != r {
			continue
		}
		if !rr.filled {
			for row, pos := range f.batch.Positions {
				r.Fill(rr.cos[row*r.Pairs:], rr.sin[row*r.Pairs:], pos)
			}
			rr.filled = true
		}
		return rr
	}
	panic("nn: a rotation that the backend was not made with")
}

// rotate sets dst to one head of a row, of which all or the first part rotates.
func (f *Fast) rotate(dst, x []float32, rr *ropeRows, row int) {
	n := rr.r.Pairs
	f.set.Rope(dst[:2*n], x[:2*n], rr.cos[row*n:][:n], rr.sin[row*n:][:n], rr.r.Style == Halves)
	copy(dst[2*n:], x[2*n:])
}

// heading is what the tasks of one layer's attention share.
type heading struct {
	f     *Fast
	a     *Attention
	cache *kvcache.Cache
	kv    kernel.KV // of the layer, without the memory of a head
	rope  *ropeRows
	offK  int // columns of qkv
	offV  int
}

func (f *Fast) heading(a *Attention) heading {
	q, kv := pad(a.Heads*a.HeadDim), pad(a.KVHeads*a.HeadDim)
	c := f.store.Cache(a.Group)
	layer := kernel.KV{Type: c.Config().Type, HeadDim: a.HeadDim, Stride: c.Stride(), Run: c.Run(), Pitch: c.Pitch()}
	var rope *ropeRows
	if a.Rope != nil {
		rope = f.rotation(a.Rope)
	}
	return heading{f: f, a: a, cache: c, kv: layer, rope: rope, offK: q, offV: q + kv}
}

// prepare sets dst to the query or key at the beginning of x, normalised and rotated.
func (h *heading) prepare(dst, x []float32, n *Norm, row int) {
	x = x[:len(dst)]
	if n != nil {
		if !h.f.apply(n, dst, x, 0) {
			h.f.faults.add(row)
		}
		x = dst
	}
	switch {
	case h.rope != nil:
		h.f.rotate(dst, x, h.rope, row)
	case n == nil:
		copy(dst, x)
	}
}

// keep stores the keys and values of a row for one kv head.
func (h *heading) keep(own *private, seq, row, head int) {
	f, hd := h.f, h.a.HeadDim
	k := own.q[:hd]
	h.prepare(k, f.qkv[row*f.ldq+h.offK+head*hd:], h.a.keyNorm(head), row)
	pos := int(f.batch.Positions[row])
	block, slot := f.batch.Table(h.a.Group, seq)[pos/kernel.BlockTokens], pos%kernel.BlockTokens
	key := f.set.StoreK(&own.kv, block, slot, k)
	value := f.set.StoreV(&own.kv, block, slot, f.qkv[row*f.ldq+h.offV+head*hd:][:hd])
	if !key || !value {
		f.faults.add(row)
	}
}

// prefetch asks for the projections that keep will read.
func (h *heading) prefetch(row, head int) {
	f, hd := h.f, h.a.HeadDim
	f.set.Prefetch(f.qkv[row*f.ldq+h.offK+head*hd:][:hd])
	f.set.Prefetch(f.qkv[row*f.ldq+h.offV+head*hd:][:hd])
}

// view points kv at one head of the layer's cache.
func (h *heading) view(kv *kernel.KV, head int) {
	*kv = h.kv
	kv.K, kv.V = h.cache.Keys(h.a.Layer, head), h.cache.Values(h.a.Layer, head)
}

// stackQueries is how many queries a worker can have at work, in tiles of 8.
const stackQueries = kernel.StackTiles * kernel.TileQueries

// ask puts a row's head into slot i of a worker's tiles.
func (h *heading) ask(own *private, i, row, head int) {
	hd := h.a.HeadDim
	pos := h.f.batch.Positions[row]
	t, slot := &own.tiles[i/kernel.TileQueries], i%kernel.TileQueries
	own.rowOf[i] = row
	q := own.q[i*hd:][:hd]
	h.prepare(q, h.f.qkv[row*h.f.ldq+head*hd:], h.a.queryNorm(head), row)
	if c := h.a.Temper.at(pos); c != 1 {
		h.f.set.Scale(q, c)
	}
	t.Q[slot], t.Out[slot] = q, own.out[i*hd:][:hd]
	t.From[slot], t.Len[slot] = h.a.sees(pos, h.f.end(row))
	t.Bias[slot] = h.a.bias(head, pos)
	if h.a.Sinks != nil {
		t.Sink[slot] = h.a.Sinks[head]
	}
}

// end is one more than the last position of a row's sequence in the batch.
func (f *Fast) end(row int) int32 {
	last := f.batch.Start[f.tiling.seqOf[row]+1] - 1
	return f.batch.Positions[last] + 1
}

// slots are the slots of a worker's tiles that hold the outputs of some consecutive heads of n
// consecutive rows: those of the first row from first on, of the next one from
// first+step on, and so on.
type slots struct{ first, heads, step, n int }

// answer passes outputs on to the projection that follows. They are in the given
// slots of a worker's tiles, and become the part of h of the heads from head on, for
// the rows from number at on.
func (h *heading) answer(own *private, from slots, at, head int) {
	f, hd := h.f, h.a.HeadDim
	if f.heads != nil {
		for r := range from.n {
			copy(f.heads[(at+r)*f.lim.Heads+head*hd:], own.out[(from.first+r*from.step)*hd:][:from.heads*hd])
		}
		return
	}
	f.set.QuantizeColumns(f.mixed, at, head*hd, &kernel.Columns{X: own.out[from.first*hd:], N: from.n, LD: from.step * hd, Len: from.heads * hd})
}

// run computes n queries, which are in the first of a worker's tiles.
func (h *heading) run(own *private, n int, blocks []int32) {
	h.shape(&own.tiles[0], n)
	h.blame(own, uint32(h.f.set.Attend(&own.tiles[0], &own.kv, blocks, own.attend)))
}

// shape says what n queries of this layer are like.
func (h *heading) shape(t *kernel.Tile, n int) {
	t.N, t.HeadDim, t.Scale, t.Softcap, t.Sinks = n, h.a.HeadDim, h.a.Scale, h.a.Softcap, h.a.Sinks != nil
}

// runStack computes n queries, which fill a worker's tiles one after the other.
func (h *heading) runStack(own *private, n int, blocks []int32) {
	tiles := own.tiles[:(n+kernel.TileQueries-1)/kernel.TileQueries]
	for k := range tiles {
		t := &tiles[k]
		h.shape(t, min(n-k*kernel.TileQueries, kernel.TileQueries))
		t.Branches, t.Next = nil, kernel.Ahead{} // mostly the same keys
	}
	h.blame(own, h.f.set.AttendStack(tiles, &own.kv, blocks, own.attend))
}

// blame notes the rows of queries that are not finite.
func (h *heading) blame(own *private, notFinite uint32) {
	for bad := notFinite; bad != 0; bad &= bad - 1 {
		h.f.faults.add(own.rowOf[bits.TrailingZeros32(bad)])
	}
}

// Narrow keeps the rows that are wanted.
func (f *Fast) Narrow() {
	want := f.out.rows
	if len(want) == f.rows {
		return
	}
	for i, r := range want {
		copy(f.x[i*f.ldx:][:f.ldx], f.x[int(r)*f.ldx:][:f.ldx])
	}
	f.rows = len(want)
	f.tiling.narrow(want)
}

// Attend stores the step's keys and values and computes the heads.
func (f *Fast) Attend(a *Attention) {
	f.prof.begin(KindAttention)
	h := f.heading(a)
	if f.rows > 0 {
		f.mixed.Reset(f.rows)
	}
	if f.tiling.single {
		f.decode.start(h)
		f.pool.Share(&f.decode)
	} else {
		f.keeping.heading = h
		f.keeping.spans.even(len(f.tiling.stores)*a.KVHeads, 1)
		f.pool.Share(&f.keeping)
		f.attend.heading = h
		f.attend.spans.even(len(f.tiling.stacks)*a.KVHeads, 1)
		if f.rows > 0 {
			f.pool.Share(&f.attend)
		}
	}
	if f.heads != nil && f.rows > 0 {
		f.rowwise(&f.repack, &f.repack.tasks, f.rows)
	}
	f.h = f.mixed
	f.prof.pieces(f.tiling.pieces())
	f.prof.end(f.rows)
}

// storeJob stores all keys and values of the step before any attention is computed.
// A task is one kv head of the rows that share a block, so that no two workers write
// to the same cache line. Tasks are numbered by kv head first, here and in
// attendJob, so that a worker mostly reads what it has stored itself.
type storeJob struct {
	heading
	spans spans
}

func (j *storeJob) Do(worker, _ int) {
	own := &j.f.own[worker]
	n := len(j.f.tiling.stores)
	for t, _, ok := j.spans.next(worker); ok; t, _, ok = j.spans.next(worker) {
		head, s := t/n, &j.f.tiling.stores[t%n]
		j.view(&own.kv, head)
		for row := int(s.first); row < int(s.last); row++ {
			j.prefetch(min(row+2, j.f.batch.Rows()-1), head)
			j.keep(own, int(s.seq), row, head)
		}
	}
}

// attendJob computes attention, a stack of tiles at a time. The stacks of a kv head
// with the longest history come first.
type attendJob struct {
	heading
	spans spans
}

func (j *attendJob) Do(worker, _ int) {
	f := j.f
	own := &f.own[worker]
	n := len(f.tiling.stacks)
	for t, _, ok := j.spans.next(worker); ok; t, _, ok = j.spans.next(worker) {
		j.view(&own.kv, t/n)
		if next := t + 1; next < n*j.a.KVHeads {
			j.prefetchQueries(&f.tiling.stacks[n-1-next%n], next/n)
		}
		j.stack(own, &f.tiling.stacks[n-1-t%n], t/n)
	}
}

// prefetchQueries asks for the queries of a stack.
func (j *attendJob) prefetchQueries(t *stack, kvHead int) {
	f, group, hd := j.f, j.f.tiling.group, j.a.HeadDim
	for q := int(t.first); q < int(t.first+t.n); {
		row, some := int(f.tiling.wanted[int(t.base)+q/group]), min(group-q%group, int(t.first+t.n)-q)
		f.set.Prefetch(f.qkv[row*f.ldq+(kvHead*group+q%group)*hd:][:some*hd])
		q += some
	}
}

func (j *attendJob) stack(own *private, t *stack, kvHead int) {
	f, group := j.f, j.f.tiling.group
	for i := range int(t.n) {
		q := int(t.first) + i
		at, head := int(t.base)+q/group, kvHead*group+q%group
		j.ask(own, i, int(f.tiling.wanted[at]), head)
	}
	j.runStack(own, int(t.n), f.batch.Table(j.a.Group, int(t.seq)))
	for i := range min(int(t.n), group) { // the first slot of each head
		q, rows := int(t.first)+i, (int(t.n)-i+group-1)/group
		j.answer(own, slots{i, 1, group, rows}, int(t.base)+q/group, kvHead*group+q%group)
	}
}

// decodeJob does all of attention in one dispatch when every sequence has one
// row. A task is one kv head of a sequence, or a part of its query heads: then
// the first part stores key and value and the others wait for its flag.
//
// A unit is one kv head of one sequence. Units are numbered by kv head first and
// each worker takes a run of them, so that two workers seldom write to the same
// cache lines of the output's panel. A unit that is one task sets no flag, because that
// waits for all stores before it. Where units have several parts, whole units are
// handed out first, and the first parts of all others before any other part. So whoever
// waits for a first part waits for one that another worker is already at.
//
// Sequences that share the beginning of their contexts make a unit together (band). Long
// contexts are cut (pieces).
type decodeJob struct {
	heading
	pieces
	bands []band  // of the layer
	spans spans   // one part
	tasks counter // several
	ready []flag  // [seqs*kv heads] the round in which key and value were stored
	round uint32
}

type flag struct {
	v atomic.Uint32
	_ [60]byte
}

func newFlags(n int) []flag { return make([]flag, n) }

func (j *decodeJob) start(h heading) {
	j.heading = h
	j.bands = h.bands()
	j.tasks.reset()
	j.spans.even(len(j.bands)*h.a.KVHeads, 1)
	if j.pieces.cut(&j.heading, j.bands); len(j.list) > 0 {
		j.spans.even(len(j.list), 1)
	}
	j.round++
}

func (j *decodeJob) Do(worker, _ int) {
	own := &j.f.own[worker]
	if len(j.list) > 0 {
		for at, _, ok := j.spans.next(worker); ok; at, _, ok = j.spans.next(worker) {
			j.piece(own, at)
		}
		return
	}
	if n := len(j.bands); n < j.f.seqs || j.f.tiling.parts == 1 {
		for t, _, ok := j.spans.next(worker); ok; t, _, ok = j.spans.next(worker) {
			j.view(&own.kv, t/n)
			j.keepBand(own, j.bands[t%n], t/n)
			j.attendTo(own, j.bands[t%n], t/n, 0, j.f.tiling.group)
		}
		return
	}
	whole := j.f.tiling.whole
	cut := j.f.seqs*j.a.KVHeads - whole
	for t := j.tasks.next(); t < whole+cut*j.f.tiling.parts; t = j.tasks.next() {
		if t < whole {
			j.unit(own, t, 0)
		} else {
			j.unit(own, whole+(t-whole)%cut, (t-whole)/cut)
		}
	}
}

func (j *decodeJob) unit(own *private, unit, part int) {
	kvHead, row := unit/j.f.seqs, unit%j.f.seqs
	j.view(&own.kv, kvHead)
	if part == 0 {
		j.keep(own, row, row, kvHead)
	}
	lo, hi := j.f.tiling.heads(unit, part)
	if hi-lo < j.f.tiling.group {
		if part == 0 {
			j.ready[unit].v.Store(j.round)
		} else {
			j.await(unit)
		}
	}
	j.attendTo(own, j.bands[row], kvHead, lo, hi)
}

// keepBand stores the keys and values of a band's sequences.
func (j *decodeJob) keepBand(own *private, b band, kvHead int) {
	for row := int(b.first); row < int(b.first+b.n); row++ {
		j.keep(own, row, row, kvHead)
	}
}

// attendTo computes the query heads [lo, hi) of a kv head's group for a band's sequences,
// altogether at most a tile.
func (j *decodeJob) attendTo(own *private, b band, kvHead, lo, hi int) {
	n, blocks := j.askBand(own, b, kvHead, lo, hi)
	own.tiles[0].Next = j.after(kvHead*j.f.seqs + int(b.first+b.n-1))
	j.run(own, n, blocks)
	j.answer(own, slots{0, hi - lo, hi - lo, int(b.n)}, int(b.first), kvHead*j.f.tiling.group+lo)
}

// after is what the worker that has this unit will probably need next.
func (j *decodeJob) after(unit int) kernel.Ahead {
	f := j.f
	if unit++; unit == f.seqs*j.a.KVHeads {
		return kernel.Ahead{}
	}
	kvHead, row := unit/f.seqs, unit%f.seqs
	from, end := j.a.sees(f.batch.Positions[row], f.end(row))
	first, last := int(from)/kernel.BlockTokens, int(end+kernel.BlockTokens-1)/kernel.BlockTokens
	return kernel.Ahead{K: j.cache.Keys(j.a.Layer, kvHead), Blocks: f.batch.Table(j.a.Group, row)[first:last]}
}

func (j *decodeJob) await(unit int) {
	for spins := 0; j.ready[unit].v.Load() != j.round; spins++ {
		kernel.Pause(1)
		if spins%1024 == 1023 {
			if j.f.pool.Failed() {
				panic("nn: another worker failed")
			}
			runtime.Gosched()
		}
	}
}

// quantizeJob quantises whole rows of heads whose size is not a multiple of a
// block.
type quantizeJob struct {
	f     *Fast
	tasks counter
}

func (j *quantizeJob) Do(_, _ int) {
	f := j.f
	for r := j.tasks.next(); r < f.rows; r = j.tasks.next() {
		f.set.Quantize(f.mixed, r, 0, f.heads[r*f.lim.Heads:][:f.lim.Heads])
	}
}
