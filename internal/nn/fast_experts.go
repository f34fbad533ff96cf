package nn

import "github.com/penstock-llm/penstock/internal/kernel"

// Experts in Fast. A pair is one row with one of its experts. The pairs are sorted
// by expert, and each has a column in the panels of activations: the columns of an
// expert lie side by side and are multiplied as a panel of their own. So a step
// reads the weights of each expert once, however many rows have chosen it.
//
// Four dispatches do the work: the router's logits; the columns gathered from those
// of the rows; gate and up; down. Work is cut over experts and over rows of
// weights alike, so that an expert with many rows keeps no worker waiting.
type mixture struct {
	logits []float32 // [rows][padded experts, then one group of the shared network's gate]
	ld     int

	ids     []int32   // [rows][used] experts of a row, ascending
	weights []float32 // [rows][used]

	// The pairs, sorted by expert, then by row.
	rowOf    []int32 // [pairs]
	weightOf []float32
	pairOf   []int32     // [rows][used] where the row's pairs have gone
	active   []expertRun // experts with rows, ascending
	first    []int32     // [experts+1] scratch of the sort

	in, hidden *kernel.Panels // [pairs] columns of h; of hidden units
	open       []float32      // [rows] what the shared network's hidden units are multiplied by; nil: nothing
	sigmoids   []float32      // [rows] memory of open

	choose chooseJob
	gather gatherJob
	gated  expertGatedJob
	down   expertDownJob

	streamed streamedDownJob
	sum      sumJob
}

// expertRun is the pairs of one expert: [first, first+n).
type expertRun struct{ expert, first, n int }

// routerWidth is the distance between two rows of the router's logits.
func (l *Limits) routerWidth() int { return pad(l.Experts) + kernel.Lanes }

// newMixture makes the state of layers of experts.
func newMixture(f *Fast, floats func(int) []float32, panels func(k, cols int, floats bool) *kernel.Panels) *mixture {
	lim := &f.lim
	pairs := lim.Rows * lim.Used
	m := &mixture{
		ld:       lim.routerWidth(),
		ids:      make([]int32, pairs),
		weights:  make([]float32, pairs),
		rowOf:    make([]int32, pairs),
		weightOf: make([]float32, pairs),
		pairOf:   make([]int32, pairs),
		active:   make([]expertRun, 0, lim.Experts),
		first:    make([]int32, lim.Experts+1),
		sigmoids: make([]float32, lim.Rows),
		choose:   chooseJob{f: f},
		gather:   gatherJob{f: f},
		gated:    expertGatedJob{f: f, spans: newSpans(f.pool)},
		down:     expertDownJob{f: f, spans: newSpans(f.pool)},
		streamed: streamedDownJob{f: f, spans: newSpans(f.pool)},
		sum:      sumJob{f: f},
	}
	m.logits = floats(lim.Rows * m.ld)
	m.in = panels(lim.Dim, pairs, lim.Floats)
	m.hidden = panels(lim.ExpertFF, pairs, lim.Floats)
	return m
}

// bytes is what newMixture takes; panel is the bytes of a panel per value.
func (l *Limits) mixtureBytes(panel int) int {
	if l.Experts == 0 {
		return 0
	}
	pairs := l.Rows * l.Used
	routed := 4 * l.Rows * l.Dim
	if l.Floats {
		routed = 0
	}
	return routed + 4*l.Rows*(l.routerWidth()+1) + pairs*(20+panel*(l.Dim+l.ExpertFF)) + 28*l.Experts
}

// Experts adds the outputs of each row's experts to x.
func (f *Fast) Experts(e *Experts) {
	if f.rows == 0 {
		return
	}
	f.route(e)
	f.mix.sort(&e.Routing, f.rows)
	f.expertsGated(e)
	f.expertsDown(e)
	if s := e.Shared; s != nil {
		if s.Gate != nil {
			f.mix.open = f.mix.sigmoids[:f.rows]
		}
		f.Gated(&s.FFN)
		f.mix.open = nil
		f.ProjectAdd(&s.Down)
	}
}

// route computes the router's logits and chooses each row's experts.
func (f *Fast) route(e *Experts) {
	f.prof.begin(KindRouter)
	m, j := f.mix, &f.project
	j.start(m.logits, m.ld, false)
	j.append(&e.Router, 0)
	if e.Shared != nil && e.Shared.Gate != nil {
		j.append(&Linear{W: e.Shared.Gate}, pad(f.lim.Experts))
	}
	j.run()
	m.choose.e = e
	f.rowwise(&m.choose, &m.choose.tasks, f.rows)
	f.prof.end(f.rows, e.Router.W)
}

// chooseJob chooses the experts of rows.
type chooseJob struct {
	f     *Fast
	e     *Experts
	tasks counter
}

func (j *chooseJob) Do(_, _ int) {
	f, m, r := j.f, j.f.mix, &j.e.Routing
	for row := j.tasks.next(); row < f.rows; row = j.tasks.next() {
		logits, at := m.logits[row*m.ld:][:m.ld], row*r.Used
		finite := r.choose(logits, m.ids[at:][:r.Used], m.weights[at:][:r.Used])
		if s := j.e.Shared; s != nil && s.Gate != nil {
			gate := logits[pad(f.lim.Experts)]
			m.sigmoids[row] = float32(sigmoid(float64(gate)))
			finite = finite && gate-gate == 0
		}
		if !finite {
			f.faults.add(int(f.tiling.wanted[row]))
		}
	}
}

// sort puts the pairs of rows rows in the order of their experts.
func (m *mixture) sort(r *Routing, rows int) {
	pairs := rows * r.Used
	first := m.first[:r.Experts+1]
	clear(first)
	for _, e := range m.ids[:pairs] {
		first[e+1]++
	}
	m.active = m.active[:0]
	for e := range r.Experts {
		if n := int(first[e+1]); n > 0 {
			m.active = append(m.active, expertRun{expert: e, first: int(first[e]), n: n})
		}
		first[e+1] += first[e]
	}
	for i, e := range m.ids[:pairs] {
		at := first[e]
		first[e]++
		m.rowOf[at], m.weightOf[at], m.pairOf[i] = int32(i/r.Used), m.weights[i], at
	}
}

// widest is the largest number of rows of one expert.
func (m *mixture) widest() int {
	n := 0
	for i := range m.active {
		n = max(n, m.active[i].n)
	}
	return n
}

// gatherJob copies the columns of h into the panels of the experts.
type gatherJob struct {
	f     *Fast
	tasks counter
}

func (j *gatherJob) Do(worker, _ int) {
	f, m := j.f, j.f.mix
	own := &f.own[worker]
	for t := j.tasks.next(); t < len(m.active); t = j.tasks.next() {
		run := &m.active[t]
		m.in.Part(&own.panels, run.first, run.n)
		kernel.Gather(&own.panels, f.h, m.rowOf[run.first:][:run.n])
	}
}

// expertGatedJob computes hidden units of the experts, as gatedJob does it. A unit
// of work is one chunk of pairRows hidden units of one expert, for all its rows. The
// chunks of the active experts are numbered one after the other.
type expertGatedJob struct {
	f      *Fast
	e      *Experts
	chunks int // of an expert
	one    bool
	spans  spans
}

func (f *Fast) expertsGated(e *Experts) {
	f.prof.begin(KindExperts)
	m := f.mix
	pairs := f.rows * e.Routing.Used
	m.hidden.Reset(pairs)
	j := &m.gated
	j.e, j.chunks, j.one = e, e.ff()/pairRows, f.rows == 1
	if !j.one { // the column of a single row serves all its experts as it is
		m.in.Reset(pairs)
		m.gather.tasks.reset()
		f.pool.Share(&m.gather)
	}
	bytes := 2 * groupsPerChunk * (e.Gate.packed.GroupBytes() + e.Up.packed.GroupBytes()) / 2
	units := len(m.active) * j.chunks
	j.spans.even(units, min(gatedChunks, chunkUnits(unitCost{bytes, 4 * pairRows * e.Gate.Cols}, pairs/len(m.active), units/(4*f.pool.Workers()))))
	f.pool.Share(j)
	f.prof.add(int64(units*bytes), int64(pairs)*4*int64(e.ff())*int64(e.Gate.Cols))
	f.prof.end(f.rows)
}

// unitCost is what a unit of work reads of the weights, in bytes, and how many
// operations it has for a row.
type unitCost struct{ bytes, ops int }

// chunkUnits is the number of units that a worker takes at a time: as for
// chunkGroups, but at most limit.
func chunkUnits(c unitCost, cols, limit int) int {
	n := streamChunk / c.bytes
	if cols > 1 {
		n = min(n, chunkOps/(c.ops*cols))
	}
	return max(1, min(n, limit))
}

func (j *expertGatedJob) Do(worker, _ int) {
	f, m := j.f, j.f.mix
	own := &f.own[worker]
	for lo, hi, ok := j.spans.next(worker); ok; lo, hi, ok = j.spans.next(worker) {
		for lo < hi {
			run, c := &m.active[lo/j.chunks], lo%j.chunks
			end := min(hi, lo-c+j.chunks)
			if j.one {
				own.panels = *f.h
			} else {
				m.in.Part(&own.panels, run.first, run.n)
			}
			m.hidden.Part(&own.out2, run.first, run.n)
			j.units(own, run, c, c+end-lo)
			lo = end
		}
	}
}

// units computes the chunks [c0, c1) of an expert.
func (j *expertGatedJob) units(own *private, run *expertRun, c0, c1 int) {
	const groups = 2 * groupsPerChunk
	e, y := j.e, own.gated
	base := run.expert * j.chunks
	if e.Gate.twin && run.n == 1 { // a single row has room for all of the stream
		j.multiply(own, e.Gate, y, (base+c0)*groups, (base+c1)*groups)
		for c := c0; c < c1; c++ {
			j.activate(own, y[(c-c0)*2*pairRows:], base, c)
		}
		return
	}
	for c := c0; c < c1; c++ {
		if e.Gate.twin {
			j.multiply(own, e.Gate, y, (base+c)*groups, (base+c+1)*groups)
		} else {
			j.multiply(own, e.Gate, y, (base+c)*groupsPerChunk, (base+c+1)*groupsPerChunk)
			j.multiply(own, e.Up, y[pairRows:], (base+c)*groupsPerChunk, (base+c+1)*groupsPerChunk)
		}
		j.activate(own, y, base, c)
	}
}

// multiply computes groups [g0, g1) of w for the columns of an expert. A single one
// has all its groups in a run; more are 2*pairRows apart.
func (j *expertGatedJob) multiply(own *private, w *Matrix, y []float32, g0, g1 int) {
	ld := max(2*pairRows, (g1-g0)*kernel.Lanes)
	w.view(&own.part, g0, g1)
	j.f.set.Mul(&own.part, &own.panels, 0, g1-g0, kernel.Output{Y: y, LD: ld, Space: own.space})
}

// activate turns chunk c of an expert, whose first chunk is number base of the
// matrix, into quantised hidden units.
func (j *expertGatedJob) activate(own *private, y []float32, base, c int) {
	f, n := j.f, own.panels.Cols
	const ld = 2 * pairRows
	at, expert := (base+c)*pairRows, base/j.chunks
	f.finishRows(y, n, scaleOf(j.e.GateScale, expert), biasAt(j.e.GateBias, at))
	f.finishRows(y[pairRows:], n, scaleOf(j.e.UpScale, expert), biasAt(j.e.UpBias, at))
	f.activate(j.e.Act, y, n)
	f.set.QuantizeColumns(&own.out2, 0, c*pairRows, &kernel.Columns{X: y, N: n, LD: ld, Len: pairRows})
}

// finishRows multiplies the beginnings of n rows of gates and ups by scale and adds bias; nil: no bias.
func (f *Fast) finishRows(y []float32, n int, scale float32, bias []float32) {
	if scale == 1 && bias == nil {
		return
	}
	for r := range n {
		row := y[r*2*pairRows:][:pairRows]
		if scale != 1 {
			f.set.Scale(row, scale)
		}
		if bias != nil {
			f.set.Add(row, bias)
		}
	}
}

// scaleOf is the factor of an expert's products; all is nil where there are none.
func scaleOf(all []float32, expert int) float32 {
	if all == nil {
		return 1
	}
	return all[expert]
}

// biasAt is the bias of a chunk of hidden units; all is nil where there are none.
func biasAt(all []float32, at int) []float32 {
	if all == nil {
		return nil
	}
	return all[at:][:pairRows]
}
