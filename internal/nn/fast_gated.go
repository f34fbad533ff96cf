package nn

import "github.com/penstock-llm/penstock/internal/kernel"

// gatedJob computes hidden units: gate and up of a chunk of them for all
// columns, then their activation, quantised into the next projection's panel while
// it is still in the cache. A unit of work is one chunk of pairRows hidden
// units.
type gatedJob struct {
	f     *Fast
	ffn   *FFN
	spans spans
}

// groupsPerChunk is the number of 16-row groups of gate (or up) in a chunk.
const groupsPerChunk = pairRows / kernel.Lanes

// Gated sets h to act(gate h) * (up h).
func (f *Fast) Gated(ffn *FFN) {
	if f.rows == 0 {
		return
	}
	f.prof.begin(KindGated)
	f.hidden.ResetAs(ffn.Gate.W.Rows, f.rows)
	j := &f.gated
	j.ffn = ffn
	chunks := (ffn.Gate.W.Rows + pairRows - 1) / pairRows
	bytes := int(ffn.Gate.W.bytes()+ffn.Up.W.bytes()) / chunks
	n := chunkGroups(f.h, chunks*2*groupsPerChunk, bytes/(2*groupsPerChunk), f.pool.Workers()) / (2 * groupsPerChunk)
	j.spans.even(chunks, min(n, gatedChunks))
	f.pool.Share(j)
	f.h = f.hidden
	f.prof.pieces(chunks)
	f.prof.end(f.rows, ffn.Gate.W, ffn.Up.W)
}

func (j *gatedJob) Do(worker, _ int) {
	f, gate := j.f, j.ffn.Gate.W
	own := &f.own[worker]
	y := own.gated
	one := gate.twin && f.rows == 1
	for lo, hi, ok := j.spans.next(worker); ok; lo, hi, ok = j.spans.next(worker) {
		if one { // a single row has room for all of the stream
			j.multiply(own, gate, y, lo*2*groupsPerChunk, hi*2*groupsPerChunk)
			for c := lo; c < hi; c++ {
				j.activate(y[(c-lo)*2*pairRows:], c)
			}
			continue
		}
		for c := lo; c < hi; c++ {
			if gate.twin {
				j.multiply(own, gate, y, c*2*groupsPerChunk, (c+1)*2*groupsPerChunk)
			} else {
				j.multiply(own, gate, y, c*groupsPerChunk, (c+1)*groupsPerChunk)
				j.multiply(own, j.ffn.Up.W, y[pairRows:], c*groupsPerChunk, (c+1)*groupsPerChunk)
			}
			j.activate(y, c)
		}
	}
}

// multiply computes groups [g0, g1) of w for all columns, from y[0] on. A single
// row has all its groups in a run; more rows are 2*pairRows apart.
func (j *gatedJob) multiply(own *private, w *Matrix, y []float32, g0, g1 int) {
	ld := max(2*pairRows, (g1-g0)*kernel.Lanes)
	w.view(&own.part, g0, g1)
	j.f.set.Mul(&own.part, j.f.h, 0, g1-g0, kernel.Output{Y: y, LD: ld, Space: own.space})
}

// activate turns chunk c of all columns into quantised hidden units.
func (j *gatedJob) activate(y []float32, c int) {
	f := j.f
	const ld = 2 * pairRows
	if j.ffn.finishes() {
		for r := range f.rows {
			j.finish(y[r*ld:][:ld], c*pairRows)
		}
	}
	f.activate(j.ffn.Act, y, f.rows)
	if f.mix != nil && f.mix.open != nil {
		for r, by := range f.mix.open {
			f.set.Scale(y[r*ld:][:pairRows], by)
		}
	}
	f.set.QuantizeColumns(f.hidden, 0, c*pairRows, &kernel.Columns{X: y, N: f.rows, LD: ld, Len: pairRows})
}

// activate sets gate = act(gate) * up in n rows of a chunk: pairRows gates, then
// as many ups.
func (f *Fast) activate(act Activation, y []float32, n int) {
	const ld = 2 * pairRows
	switch act {
	case GELU:
		f.set.GeluMulRows(y, n, ld, pairRows)
	case GELUErf:
		f.set.GeluErfMulRows(y, n, ld, pairRows)
	case SwiGLUOAI:
		f.set.SwigluOAIRows(y, n, ld, pairRows)
	default:
		f.set.SiluMulRows(y, n, ld, pairRows)
	}
}

// finishes reports whether the products of gate or up have scales or biases.
func (f *FFN) finishes() bool {
	return f.Gate.Bias != nil || f.Up.Bias != nil || f.Gate.Scale != 0 || f.Up.Scale != 0
}

// finish scales the products of a row's units from first on, and adds their biases.
func (j *gatedJob) finish(y []float32, first int) {
	for half, l := range []*Linear{&j.ffn.Gate, &j.ffn.Up} {
		bias := l.Bias
		if bias != nil {
			bias = bias[first:][:pairRows]
		}
		j.f.finish(y[half*pairRows:], l.Scale, bias, 0, pairRows)
	}
}
