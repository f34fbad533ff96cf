package nn

import (
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/quant"
)

const (
	// inlineRows is the number of rows up to which rowwise work is done by the
	// caller: a dispatch would cost more than it saves.
	inlineRows = 2

	// streamChunk is the number of bytes of weights of a chunk for one column,
	// where long streams from memory matter most. With many workers it is less: each
	// has two chunks, the second of which others can take from it.
	streamChunk = 128 << 10

	// chunkOps is the number of operations of a chunk for several columns:
	// about 10 µs of a core, short enough that the workers end together.
	chunkOps = 3 << 20

	// chunkLeast is the fewest groups of a chunk, unless that would leave workers
	// without any. With as many columns as a prompt has, chunkOps alone would make
	// chunks of one group, which measured 1 to 4 % slower than four.
	chunkLeast = 4
)

// rowwise runs j over f.rows rows, alone or with the pool.
func (f *Fast) rowwise(j Job, tasks *counter, rows int) {
	tasks.reset()
	if rows <= inlineRows {
		j.Do(0, 1)
		return
	}
	f.pool.Share(j)
}

type embedJob struct {
	f     *Fast
	e     *Embedding
	tasks counter
}

// Embed sets x to the embeddings of the tokens.
func (f *Fast) Embed(e *Embedding) {
	f.prof.begin(KindEmbed)
	f.embed.e = e
	f.rowwise(&f.embed, &f.embed.tasks, f.rows)
	f.prof.end(f.rows)
}

func (j *embedJob) Do(worker, _ int) {
	f := j.f
	scratch := f.own[worker].row
	for r := j.tasks.next(); r < f.rows; r = j.tasks.next() {
		x := f.x[r*f.ldx:][:j.e.Dim]
		j.e.row(x, f.batch.Tokens[r])
		if s := j.e.Scale; s != 0 && s != 1 {
			f.set.Scale(x, s)
		}
		if p := j.e.Places; p != nil {
			p.row(scratch, int32(j.e.First)+f.batch.Positions[r])
			f.set.Add(x, scratch)
		}
		if j.e.Add != nil {
			f.set.Add(x, j.e.Part(f.batch.Tokens, int(f.batch.Start[f.tiling.seqOf[r]]), r))
		}
	}
}

// row dequantises one token's embedding, unscaled.
func (e *Embedding) row(x []float32, token int32) {
	n := e.Type.RowBytes(e.Dim)
	if err := quant.Dequantize(e.Type, x, e.Data[int(token)*n:][:n]); err != nil {
		panic(err) // the type and the sizes were checked when the model was loaded
	}
}

type normJob struct {
	f     *Fast
	n     *Norm
	to    *kernel.Panels
	parts int // tasks that a panel is cut into
	tasks counter
}

// Norm sets h to the normalised x. It first adds what ProjectNormAdd has left
// in y.
func (f *Fast) Norm(n *Norm) {
	f.prof.begin(KindNorm)
	to := f.normed
	if n.Routed {
		to = f.routed
	}
	f.normalise(n, to)
	f.prof.end(f.rows)
}

// apply sets dst to the elements of the normalised x from from on, as many as dst
// has, and says whether x was finite.
func (f *Fast) apply(n *Norm, dst, x []float32, from int) (finite bool) {
	switch {
	case n.Weight == nil:
		copy(dst, x[from:][:len(dst)])
		return f.set.Finite(x)
	case n.Bias == nil:
		return f.set.RMSNormPart(dst, x, n.Weight, n.Eps, from)
	}
	return f.set.LayerNorm(dst, x, &kernel.Affine{W: n.Weight, B: n.Bias, Eps: n.Eps}, from)
}

// normalise shares the rows out among the workers. A task is a whole panel, because
// the rows of a panel are interleaved in the same cache lines. Where there are
// fewer panels than workers could use, a task is a part of a panel: some blocks of
// columns of all its rows.
func (f *Fast) normalise(n *Norm, to *kernel.Panels) {
	to.Reset(f.rows)
	panels := (f.rows + kernel.PanelCols - 1) / kernel.PanelCols
	workers := f.pool.Workers()
	j := &f.norm
	j.n, j.to, j.parts = n, to, 1
	if f.rows > inlineRows && panels < 2*workers {
		j.parts = workers
		f.settleRows()
	}
	f.rowwise(j, &j.tasks, f.rows)
	f.h, f.post.pending = to, false
}

func (j *normJob) Do(worker, _ int) {
	f := j.f
	own := &f.own[worker]
	blocks := f.lim.Dim / kernel.BlockLen
	panels := (f.rows + kernel.PanelCols - 1) / kernel.PanelCols
	for t := j.tasks.next(); t < panels*j.parts; t = j.tasks.next() {
		first, part := t/j.parts*kernel.PanelCols, t%j.parts
		from, to := blocks*part/j.parts*kernel.BlockLen, blocks*(part+1)/j.parts*kernel.BlockLen
		n, ld := min(kernel.PanelCols, f.rows-first), to-from
		for r := range n {
			x := f.x[(first+r)*f.ldx:][:f.lim.Dim]
			if f.post.pending {
				f.addPost(x, own.row, first+r)
			}
			if !f.apply(j.n, own.rows[r*ld:][:ld], x, from) {
				f.faults.add(int(f.tiling.wanted[first+r]))
			}
		}
		f.set.QuantizeColumns(j.to, first, from, &kernel.Columns{X: own.rows, N: n, LD: ld, Len: ld})
	}
}

// post says how y joins x, at the next Norm.
type post struct {
	pending bool
	norm    *Norm // normalises y first; nil: it joins as it is
}

// addPost adds a row of y, normalised, to x. y is not used afterwards.
func (f *Fast) addPost(x, scratch []float32, row int) {
	y := f.y[row*f.ldx:][:f.lim.Dim]
	if n := f.post.norm; n != nil {
		if !f.apply(n, scratch, y, 0) {
			f.faults.add(int(f.tiling.wanted[row]))
		}
		y = scratch
	}
	f.set.Add(x, y)
}

// stayJob normalises the rows of x where they are, a panel at a time.
type stayJob struct {
	f     *Fast
	n     *Norm
	tasks counter
}

// NormStay sets x and h to the normalised x.
func (f *Fast) NormStay(n *Norm) {
	f.prof.begin(KindNorm)
	f.normed.Reset(f.rows)
	f.stay.n = n
	f.rowwise(&f.stay, &f.stay.tasks, f.rows)
	f.h, f.post.pending = f.normed, false
	f.prof.end(f.rows)
}

func (j *stayJob) Do(worker, _ int) {
	f := j.f
	scratch := f.own[worker].row
	for first := j.tasks.next() * kernel.PanelCols; first < f.rows; first = j.tasks.next() * kernel.PanelCols {
		n := min(kernel.PanelCols, f.rows-first)
		rows := f.x[first*f.ldx:]
		for r := range n {
			x := rows[r*f.ldx:][:f.lim.Dim]
			if f.post.pending {
				f.addPost(x, scratch, first+r)
			}
			if !f.apply(j.n, x, x, 0) {
				f.faults.add(int(f.tiling.wanted[first+r]))
			}
		}
		f.set.QuantizeColumns(f.normed, first, 0, &kernel.Columns{X: rows, N: n, LD: f.ldx, Len: f.lim.Dim})
	}
}

// settleJob is addPost for all rows, before several workers read each of them.
type settleJob struct {
	f     *Fast
	tasks counter
}

func (f *Fast) settleRows() {
	if f.post.pending {
		f.rowwise(&f.settle, &f.settle.tasks, f.rows)
		f.post.pending = false
	}
}

func (j *settleJob) Do(worker, _ int) {
	f := j.f
	for r := j.tasks.next(); r < f.rows; r = j.tasks.next() {
		f.addPost(f.x[r*f.ldx:][:f.lim.Dim], f.own[worker].row, r)
	}
}

// projectJob multiplies h by the rows of up to three matrices, in one numbering of
// 16-row groups. Where there are several nodes of memory, each has a part of every
// matrix, and the parts of one node follow each other.
type projectJob struct {
	f     *Fast
	all   [3]segment // whole matrices
	n     int
	segs  []segment // [nodes*n] parts of them, node by node
	y     []float32
	ldy   int
	add   bool
	spans spans
}

// segment is one matrix of a projection, or consecutive groups of it.
type segment struct {
	m      *kernel.Matrix
	bias   []float32
	scale  float32 // 0 means 1
	off    int     // column of y
	bytes  int     // of one group
	first  int     // number of its first group among those of all segments
	lo, hi int     // groups of the matrix
}

func (j *projectJob) start(y []float32, ldy int, add bool) {
	j.n, j.y, j.ldy, j.add = 0, y, ldy, add
}

// append adds l, to write at column off of y.
func (j *projectJob) append(l *Linear, off int) {
	m := l.W.packed
	j.all[j.n] = segment{m: m, bias: l.Bias, scale: l.Scale, off: off, bytes: m.GroupBytes()}
	j.n++
}

// run multiplies.
func (j *projectJob) run() {
	groups := j.plan()
	j.f.prof.pieces(groups)
	total := 0
	for i := range j.segs {
		total += (j.segs[i].hi - j.segs[i].lo) * j.segs[i].bytes
	}
	j.spans.chunk = chunkGroups(j.f.h, groups, total/groups, len(j.spans.of))
	j.f.pool.Share(j)
}

// plan shares the groups out by the bytes that they read, and returns their number.
func (j *projectJob) plan() (groups int) {
	workers := len(j.spans.of)
	j.segs = j.segs[:0]
	for w := 0; w < workers; {
		end := w + 1 // of the workers on this node
		for end < workers && j.spans.seats[end].Node == j.spans.seats[w].Node {
			end++
		}
		of, bytes := len(j.segs), 0
		for _, s := range j.all[:j.n] {
			n := s.m.Groups()
			s.lo, s.hi, s.first = n*w/workers, n*end/workers, groups
			groups += s.hi - s.lo
			bytes += (s.hi - s.lo) * s.bytes
			j.segs = append(j.segs, s)
		}
		j.share(j.segs[of:], bytes, w, end)
		w = end
	}
	return groups
}

// share divides segments that have so many bytes among the workers [w, end).
func (j *projectJob) share(segs []segment, bytes, w, end int) {
	from := segs[0].first
	for i := w; i < end; i++ {
		to := groupAt(segs, bytes*(i+1-w)/(end-w))
		j.spans.set(i, from, to)
		from = to
	}
}

// groupAt is the number of the group at which the first n bytes of segments end.
func groupAt(segs []segment, n int) int {
	end := 0
	for i := range segs {
		s := &segs[i]
		size := (s.hi - s.lo) * s.bytes
		if n < size {
			return s.first + n/s.bytes
		}
		n -= size
		end = s.first + s.hi - s.lo
	}
	return end
}

// chunkGroups is the number of groups that a worker takes at a time.
func chunkGroups(h *kernel.Panels, groups, bytes, workers int) int {
	if h.Cols == 1 {
		return max(1, min(streamChunk/bytes, groups/(2*workers)))
	}
	ops := 2 * kernel.Lanes * h.K * h.Cols
	return max(1, min(max(chunkLeast, chunkOps/ops), groups/(4*workers)))
}

func (j *projectJob) Do(worker, _ int) {
	for lo, hi, ok := j.spans.next(worker); ok; lo, hi, ok = j.spans.next(worker) {
		for i := range j.segs {
			s := &j.segs[i]
			g0, g1 := max(lo-s.first+s.lo, s.lo), min(hi-s.first+s.lo, s.hi)
			if g0 < g1 {
				j.multiply(worker, s, g0, g1)
			}
		}
	}
}

func (j *projectJob) multiply(worker int, s *segment, g0, g1 int) {
	f := j.f
	y := j.y[s.off:]
	f.set.Mul(s.m, f.h, g0, g1, kernel.Output{Y: y, LD: j.ldy, Add: j.add, Space: f.own[worker].space})
	from, to := g0*kernel.Lanes, g1*kernel.Lanes
	for c := range f.h.Cols {
		f.finish(y[c*j.ldy:], s.scale, s.bias, from, to)
	}
}

// finish multiplies the products y[from:to] of a row by scale and adds their bias.
func (f *Fast) finish(y []float32, scale float32, bias []float32, from, to int) {
	if scale != 0 {
		f.set.Scale(y[from:to], scale)
	}
	if bias != nil {
		to = min(to, len(bias))
		f.set.Add(y[from:to], bias[from:to])
	}
}

// Project computes queries, keys and values.
func (f *Fast) Project(p *QKV) {
	if f.rows == 0 {
		return
	}
	f.prof.begin(KindQKV)
	q, kv := pad(p.Q.W.Rows), pad(p.K.W.Rows)
	j := &f.project
	j.start(f.qkv, f.ldq, false)
	j.append(&p.Q, 0)
	j.append(&p.K, q)
	j.append(&p.V, q+kv)
	j.run()
	if p.QNorm != nil || p.KNorm != nil {
		f.normQK.p = p
		f.rowwise(&f.normQK, &f.normQK.tasks, f.rows)
	}
	f.prof.end(f.rows, p.Q.W, p.K.W, p.V.W)
}

// normQKJob normalises a row's queries, and its keys, of all heads together.
type normQKJob struct {
	f     *Fast
	p     *QKV
	tasks counter
}

func (j *normQKJob) Do(_, _ int) {
	f, p := j.f, j.p
	for r := j.tasks.next(); r < f.rows; r = j.tasks.next() {
		row := f.qkv[r*f.ldq:]
		q, k := row[:p.Q.W.Rows], row[pad(p.Q.W.Rows):][:p.K.W.Rows]
		finite := p.QNorm == nil || f.apply(p.QNorm, q, q, 0)
		if finite = (p.KNorm == nil || f.apply(p.KNorm, k, k, 0)) && finite; !finite {
			f.faults.add(r)
		}
	}
}

// ProjectAdd adds l(h) to x. Where the product has a scale it goes by way of y: in x
// it would be too late to scale it.
func (f *Fast) ProjectAdd(l *Linear) {
	if l.Scale == 0 {
		f.into(l, f.x, true)
		return
	}
	f.later(l, nil)
}

// ProjectNormAdd leaves l(h) in y; the next Norm adds it to x.
func (f *Fast) ProjectNormAdd(l *Linear, n *Norm) { f.later(l, n) }

func (f *Fast) later(l *Linear, n *Norm) {
	f.settleRows() // there is one y
	f.into(l, f.y, false)
	f.post = post{pending: true, norm: n}
}

func (f *Fast) into(l *Linear, y []float32, add bool) {
	if f.rows == 0 {
		return
	}
	kind := KindOut
	if f.h == f.hidden {
		kind = KindDown
	}
	f.prof.begin(kind)
	f.project.start(y, f.ldx, add)
	f.project.append(l, 0)
	f.project.run()
	f.prof.end(f.rows, l.W)
}
