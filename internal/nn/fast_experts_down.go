package nn

import "github.com/penstock-llm/penstock/internal/kernel"

// There are two ways to share the experts' second half among the workers. Which one
// is taken changes no bit of x: a row's experts are added in the order of their numbers.
//
// Where the experts have many rows, each worker computes some of the outputs of all
// experts and adds them to x as it goes (expertDownJob).
//
// Where they have few, as in a step of some streams, reading the weights is what takes
// the time, and pieces of all experts would be short: what is prefetched behind a
// piece would be lost. So each worker reads experts from end to end, as one stream
// (streamedDownJob). The outputs of the pairs are kept, and added when all are there (sumJob).

// fewRows is the mean number of rows of an expert up to which it has few.
const fewRows = 8

// streams reports whether experts are read from end to end. The outputs are kept in
// y, which is free after a Norm.
func (f *Fast) streams(pairs int) bool {
	return pairs <= min(f.lim.Rows, fewRows*len(f.mix.active)) && !f.post.pending
}

// expertDownJob computes the experts' outputs and adds them to x. A unit is a group
// of 16 outputs of all active experts. So x is written by one worker at a
// time, and each row's experts are added in the order of their numbers, which does
// not depend on the rows beside it.
type expertDownJob struct {
	f     *Fast
	e     *Experts
	spans spans
}

func (f *Fast) expertsDown(e *Experts) {
	f.prof.begin(KindExpertsDown)
	m := f.mix
	dim, pairs := f.lim.Dim, f.rows*e.Routing.Used
	groups := dim / kernel.Lanes
	bytes := e.Down.packed.GroupBytes()
	cost := unitCost{bytes, 2 * kernel.Lanes * e.ff()}
	if f.streams(pairs) {
		f.streamDown(e, cost)
	} else {
		m.down.e = e
		m.down.spans.even(groups, min(f.downGroups(groups), len(f.own[0].gated)/(m.widest()*kernel.Lanes)))
		f.pool.Share(&m.down)
	}
	f.prof.add(int64(len(m.active)*groups*bytes), int64(pairs)*2*int64(dim)*int64(e.ff()))
	f.prof.end(f.rows)
}

// downGroups is the number of groups of a chunk of expertDownJob. A chunk visits all
// experts, and each visit costs the beginning of a product and scattered additions. By
// eights the second half of a prompt takes a tenth less time than by fours, and a third
// less than one by one. Groups are multiplied in pairs, so it is even.
func (f *Fast) downGroups(groups int) int {
	const most = 8
	return max(2, min(most, groups/(4*f.pool.Workers()))&^1)
}

func (j *expertDownJob) Do(worker, _ int) {
	f, m := j.f, j.f.mix
	own := &f.own[worker]
	for lo, hi, ok := j.spans.next(worker); ok; lo, hi, ok = j.spans.next(worker) {
		for i := range m.active {
			run := &m.active[i]
			m.hidden.Part(&own.panels, run.first, run.n)
			j.add(own, run, lo, hi)
		}
	}
}

// add adds the outputs [lo, hi), counted in groups, of an expert.
func (j *expertDownJob) add(own *private, run *expertRun, lo, hi int) {
	f, m, y := j.f, j.f.mix, own.gated
	dim := f.lim.Dim
	first, ld := run.expert*dim/kernel.Lanes, (hi-lo)*kernel.Lanes
	j.e.Down.view(&own.part, first+lo, first+hi)
	f.set.Mul(&own.part, &own.panels, 0, hi-lo, kernel.Output{Y: y, LD: ld, Space: own.space})
	for c := range run.n {
		out := y[c*ld:][:ld]
		f.finishDown(j.e, out, run.expert, lo)
		f.set.AddScaled(f.x[int(m.rowOf[run.first+c])*f.ldx+lo*kernel.Lanes:][:ld], out, m.weightOf[run.first+c])
	}
}

// finishDown multiplies outputs of an expert, from group g on, by its scale and adds their biases.
func (f *Fast) finishDown(e *Experts, out []float32, expert, g int) {
	if scale := scaleOf(e.DownScale, expert); scale != 1 {
		f.set.Scale(out, scale)
	}
	if b := e.DownBias; b != nil {
		f.set.Add(out, b[expert*f.lim.Dim+g*kernel.Lanes:][:len(out)])
	}
}

// streamedDownJob computes the outputs of the pairs, one row of y for each. A unit is a
// group of 16 outputs of one expert. The groups of the active experts are numbered one
// after the other.
type streamedDownJob struct {
	f      *Fast
	e      *Experts
	groups int // of an expert
	spans  spans
}

func (f *Fast) streamDown(e *Experts, cost unitCost) {
	m := f.mix
	j, sum := &m.streamed, &m.sum
	j.e, j.groups = e, f.lim.Dim/kernel.Lanes
	units := len(m.active) * j.groups
	j.spans.even(units, chunkUnits(cost, f.rows*e.Routing.Used/len(m.active), units/(4*f.pool.Workers())))
	f.pool.Share(j)
	sum.used, sum.parts = e.Routing.Used, max(1, f.pool.Workers()/f.rows)
	sum.tasks.reset()
	f.pool.Share(sum)
}

func (j *streamedDownJob) Do(worker, _ int) {
	f, m := j.f, j.f.mix
	own := &f.own[worker]
	for lo, hi, ok := j.spans.next(worker); ok; lo, hi, ok = j.spans.next(worker) {
		for lo < hi {
			run, g := &m.active[lo/j.groups], lo%j.groups
			end := min(hi, lo-g+j.groups)
			m.hidden.Part(&own.panels, run.first, run.n)
			j.multiply(own, run, g, g+end-lo)
			lo = end
		}
	}
}

// multiply computes the outputs [g0, g1), counted in groups, of an expert.
func (j *streamedDownJob) multiply(own *private, run *expertRun, g0, g1 int) {
	f := j.f
	first, y := run.expert*j.groups, f.y[run.first*f.ldx+g0*kernel.Lanes:]
	j.e.Down.view(&own.part, first+g0, first+g1)
	f.set.Mul(&own.part, &own.panels, 0, g1-g0, kernel.Output{Y: y, LD: f.ldx, Space: own.space})
	for c := range run.n {
		f.finishDown(j.e, y[c*f.ldx:][:(g1-g0)*kernel.Lanes], run.expert, g0)
	}
}

// sumJob adds the outputs of each row's pairs to x. A task is a row, or a part of one.
type sumJob struct {
	f           *Fast
	used, parts int
	tasks       counter
}

func (j *sumJob) Do(_, _ int) {
	f, m := j.f, j.f.mix
	groups := f.lim.Dim / kernel.Lanes
	for t := j.tasks.next(); t < f.rows*j.parts; t = j.tasks.next() {
		row, part := t/j.parts, t%j.parts
		from, to := groups*part/j.parts*kernel.Lanes, groups*(part+1)/j.parts*kernel.Lanes
		x := f.x[row*f.ldx:][from:to]
		for _, pair := range m.pairOf[row*j.used:][:j.used] {
			f.set.AddScaled(x, f.y[int(pair)*f.ldx:][from:to], m.weightOf[pair])
		}
	}
}
