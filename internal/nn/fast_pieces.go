package nn

import "github.com/penstock-llm/penstock/internal/kernel"

// maxPieces is how many segments of contexts a step can be cut into: for a model of 8 kv
// heads those of 131072 positions. What does not fit is not cut.
const maxPieces = 512

// pieces cuts the long contexts of a step of single rows into segments, so that there are
// enough tasks for all workers and none of them is left with a long one at the end. A
// segment's softmax is a part of its own whether it is cut off or not (kernel.SegmentTokens),
// so that a row's bits do not depend on what is cut.
//
// Pieces are in order of kv heads, then of segments, then of sequences: those that share the
// blocks of a prefix read them one after the other, and all but the first from the
// second-level cache. Those of a band are one piece of several units, as long as they share
// anything. The worker that ends the last piece of a unit joins its parts.
type pieces struct {
	list  []piece   // of the step; empty: no context is cut
	rows  []cutRow  // [seqs] of the layer at hand
	left  []flag    // [seqs*kv heads] pieces of a unit that are not done
	parts []float32 // [pieces][group][kernel.PartFloats] what they have found
	pitch int       // of a piece

	perHead int32 // pieces of a kv head
}

// piece is a segment of the units of a band and a kv head, or all of them.
type piece struct {
	band
	kvHead  int32
	segment int32 // -1: all
}

// cutRow is a sequence whose context is cut, [first, last] are its segments.
type cutRow struct {
	first, last int32
	at          int32 // its first piece's place in parts; those of the next kv head are perHead places on
	cut         bool
}

func newPieces(lim Limits, floats func(int) []float32) pieces {
	pitch := lim.Group * kernel.PartFloats(lim.HeadDim)
	return pieces{
		list:  make([]piece, 0, maxPieces+lim.Seqs*lim.KVHeads),
		rows:  make([]cutRow, lim.Seqs),
		left:  newFlags(lim.Seqs * lim.KVHeads),
		parts: floats(maxPieces * pitch),
		pitch: pitch,
	}
}

// cut makes the list of a layer's pieces. It cuts contexts whose units are more than a
// quarter of a worker's share each, and those that share a segment with the sequence before.
func (p *pieces) cut(h *heading, bands []band) {
	p.list = p.list[:0]
	f := h.f
	if f.tiling.longest <= kernel.SegmentTokens {
		return
	}
	all := 0
	for row := range f.seqs {
		all += h.seen(row)
	}
	workers := f.pool.Workers()
	share := all * h.a.KVHeads / workers
	perHead, most := int32(0), int32(0)
	for row := range f.seqs {
		r := h.segments(row)
		n := r.last - r.first + 1
		r.at = perHead
		r.cut = n > 1 && (workers > 1 && 4*h.seen(row) > share || h.shares(row)) && int(perHead+n)*h.a.KVHeads <= maxPieces
		if r.cut {
			perHead, most = perHead+n, max(most, r.last)
		}
		p.rows[row] = r
	}
	if perHead > 0 {
		p.perHead = perHead
		p.enlist(h, bands, most)
	}
}

// enlist lists the pieces of the rows that are cut, and then all other units.
func (p *pieces) enlist(h *heading, bands []band, most int32) {
	for head := range int32(h.a.KVHeads) {
		for segment := range most + 1 {
			for _, b := range bands {
				p.enlistBand(b, piece{kvHead: head, segment: segment})
			}
		}
		for row, r := range p.rows[:h.f.seqs] {
			p.left[int(head)*h.f.seqs+row].v.Store(uint32(r.last - r.first + 1))
		}
	}
	for head := range int32(h.a.KVHeads) {
		for _, b := range bands {
			p.enlistBand(b, piece{kvHead: head, segment: -1})
		}
	}
}

// enlistBand lists a segment, or all, of a band's sequences: together if they share blocks
// there and all of them are cut in the same way, otherwise one by one.
func (p *pieces) enlistBand(b band, of piece) {
	together := b.n > 1 && b.fork > of.segment*kernel.SegmentTokens
	for row := b.first; row < b.first+b.n; row++ {
		together = together && p.has(row, of.segment)
	}
	if of.band = b; together {
		p.list = append(p.list, of)
		return
	}
	for row := b.first; row < b.first+b.n; row++ {
		if p.has(row, of.segment) {
			of.band = band{first: row, n: 1}
			p.list = append(p.list, of)
		}
	}
}

// has reports whether a sequence is cut and sees a segment, or, for -1, is not cut.
func (p *pieces) has(row, segment int32) bool {
	r := &p.rows[row]
	if !r.cut || segment < 0 {
		return !r.cut && segment < 0
	}
	return r.first <= segment && segment <= r.last
}

// seen is the number of positions that a sequence's row attends to.
func (h *heading) seen(row int) int {
	from, to := h.a.sees(h.f.batch.Positions[row], h.f.end(row))
	return int(to - from)
}

// segments are those that a sequence's row sees.
func (h *heading) segments(row int) cutRow {
	from, to := h.a.sees(h.f.batch.Positions[row], h.f.end(row))
	return cutRow{first: from / kernel.SegmentTokens, last: (to - 1) / kernel.SegmentTokens}
}

// shares reports whether a sequence begins with the same segment as one beside it.
func (h *heading) shares(row int) bool {
	const last = kernel.SegmentTokens/kernel.BlockTokens - 1 // block of a segment
	block := func(row int) int32 {
		if table := h.f.batch.Table(h.a.Group, row); len(table) > last {
			return table[last]
		}
		return -1
	}
	own := block(row)
	return own >= 0 && (row > 0 && block(row-1) == own || row+1 < h.f.seqs && block(row+1) == own)
}

// piece computes the list's piece at a place. The last one of a unit stores key and value,
// because its segment has their position.
func (j *decodeJob) piece(own *private, at int) {
	p, kvHead, group := j.list[at], int(j.list[at].kvHead), j.f.tiling.group
	j.view(&own.kv, kvHead)
	if p.segment < 0 {
		j.keepBand(own, p.band, kvHead)
	}
	for row := int(p.first); row < int(p.first+p.n); row++ {
		if p.segment == j.rows[row].last {
			j.keep(own, row, row, kvHead)
		}
	}
	for lo := 0; lo < group; lo += kernel.TileQueries {
		hi := min(lo+kernel.TileQueries, group)
		if p.segment < 0 {
			j.attendTo(own, p.band, kvHead, lo, hi)
		} else {
			j.attendPiece(own, at, lo, hi)
		}
	}
	for row := int(p.first); p.segment >= 0 && row < int(p.first+p.n); row++ {
		if unit := kvHead*j.f.seqs + row; j.left[unit].v.Add(^uint32(0)) == 0 {
			j.join(own, unit)
		}
	}
}

// attendPiece computes the query heads [lo, hi) of a kv head's group in one segment.
func (j *decodeJob) attendPiece(own *private, at, lo, hi int) {
	p, kvHead, hd := j.list[at], int(j.list[at].kvHead), j.a.HeadDim
	n, blocks := j.askBand(own, p.band, kvHead, lo, hi)
	t := &own.tiles[0]
	for i := range n {
		t.From[i] = max(t.From[i], p.segment*kernel.SegmentTokens)
		t.Len[i] = min(t.Len[i], (p.segment+1)*kernel.SegmentTokens)
	}
	j.shape(t, n)
	t.Next = j.afterPiece(at)
	j.blame(own, uint32(j.f.set.AttendPart(t, &own.kv, blocks, own.attend, own.found)))
	each := (hi - lo) * kernel.PartFloats(hd) // of a sequence
	for i := range int(p.n) {
		unit := kvHead*j.f.seqs + int(p.first) + i
		copy(j.found(unit, p.segment, lo), own.found[i*each:][:each])
	}
}

// found is where a piece of a unit leaves what the query heads from lo on have found.
func (j *decodeJob) found(unit int, segment int32, lo int) []float32 {
	r := &j.rows[unit%j.f.seqs]
	at := int(r.at+segment-r.first) + unit/j.f.seqs*int(j.perHead)
	return j.parts[at*j.pitch+lo*kernel.PartFloats(j.a.HeadDim):]
}

// join makes the outputs of a unit whose pieces are all done.
func (j *decodeJob) join(own *private, unit int) {
	f, hd := j.f, j.a.HeadDim
	row, first := unit%f.seqs, unit/f.seqs*f.tiling.group
	r, t := &j.rows[row], &own.tiles[0]
	for lo := 0; lo < f.tiling.group; lo += kernel.TileQueries {
		n := min(kernel.TileQueries, f.tiling.group-lo)
		for i := range n {
			t.Out[i] = own.out[i*hd:][:hd]
			if j.a.Sinks != nil {
				t.Sink[i] = j.a.Sinks[first+lo+i]
			}
		}
		j.shape(t, n)
		f.set.JoinParts(t, j.found(unit, r.first, lo), int(r.last-r.first+1), j.pitch)
		j.answer(own, slots{0, n, n, 1}, row, first+lo)
	}
}

// afterPiece is the keys of the piece after this one.
func (j *decodeJob) afterPiece(at int) kernel.Ahead {
	if at++; at == len(j.list) {
		return kernel.Ahead{}
	}
	const blocks = kernel.SegmentTokens / kernel.BlockTokens
	p, row := j.list[at], int(j.list[at].first)
	from, end := j.a.sees(j.f.batch.Positions[row], j.f.end(row))
	table := j.f.batch.Table(j.a.Group, row)[:(end+kernel.BlockTokens-1)/kernel.BlockTokens]
	first := max(from/kernel.BlockTokens, p.segment*blocks)
	return kernel.Ahead{K: j.cache.Keys(j.a.Layer, int(p.kvHead)), Blocks: table[first:]}
}
