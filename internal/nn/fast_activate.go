package nn

import "github.com/penstock-llm/penstock/internal/kernel"

// activateJob computes hidden units of a layer without a gate: a chunk of them for
// all columns, with the bias, then the activation, quantised into the next
// projection's panel while it is still in the cache.
type activateJob struct {
	f     *Fast
	l     *Linear
	act   Activation
	spans spans
}

// activateRows is the number of hidden units of a chunk. private.gated has as much
// room.
const activateRows = 2 * pairRows

// Activate sets h to act(l(h)).
func (f *Fast) Activate(l *Linear, act Activation) {
	if f.rows == 0 {
		return
	}
	f.prof.begin(KindGated)
	f.hidden.ResetAs(l.W.Rows, f.rows)
	j := &f.single
	j.l, j.act = l, act
	chunks := (l.W.Rows + activateRows - 1) / activateRows
	const groups = activateRows / kernel.Lanes
	n := chunkGroups(f.h, chunks*groups, int(l.W.bytes())/(chunks*groups), f.pool.Workers()) / groups
	j.spans.even(chunks, n)
	f.pool.Share(j)
	f.h = f.hidden
	f.prof.pieces(chunks)
	f.prof.end(f.rows, l.W)
}

func (j *activateJob) Do(worker, _ int) {
	own := &j.f.own[worker]
	for lo, hi, ok := j.spans.next(worker); ok; lo, hi, ok = j.spans.next(worker) {
		for c := lo; c < hi; c++ {
			j.chunk(own, c)
		}
	}
}

// chunk computes the hidden units from c*activateRows on.
func (j *activateJob) chunk(own *private, c int) {
	f, y := j.f, own.gated
	first := c * activateRows
	n := min(activateRows, j.l.W.Rows-first)
	j.l.W.view(&own.part, first/kernel.Lanes, (first+n)/kernel.Lanes)
	f.set.Mul(&own.part, f.h, 0, n/kernel.Lanes, kernel.Output{Y: y, LD: activateRows, Space: own.space})
	bias := j.l.Bias
	if bias != nil {
		bias = bias[first : first+n]
	}
	for r := range f.rows {
		f.finish(y[r*activateRows:], j.l.Scale, bias, 0, n)
	}
	switch j.act {
	case GELU:
		f.set.GeluRows(y, f.rows, activateRows, n)
	case GELUErf:
		f.set.GeluErfRows(y, f.rows, activateRows, n)
	default:
		f.set.SiluRows(y, f.rows, activateRows, n)
	}
	f.set.QuantizeColumns(f.hidden, 0, first, &kernel.Columns{X: y, N: f.rows, LD: activateRows, Len: n})
}
