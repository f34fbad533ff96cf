package nn

import "sync/atomic"

// Rounding the head's input to int8 costs more fidelity than any other rounding
// of a step: nothing comes after it that would average it out. It only matters
// where the probability is, so the head's 8 bits choose a row's candidates, and
// those are computed again from the floats.

// candidates is the number of logits of a row that are computed again. More is
// nearer to float32, and takes longer:
//
//	candidates                           8       16       32       64      128
//	mean KL, SmolLM2 135M Q4_1     0.00212  0.00203  0.00197  0.00192  0.00188
//	mean KL, Gemma 3 270M Q4_K_M   0.00176  0.00171  0.00168  0.00164  0.00162
//	µs of a step of 8 of SmolLM2        79       91      121      197      370
//
// The KL divergence is what
//
//	penstock perplexity MODEL --file internal/eval/testdata/english.txt --reference
//
// says; the step takes 5.5 ms on two cores with AVX-512.
const candidates = 32

// scanLen is the least number of logits in one part of a search. At the beginning
// of a part nearly every logit is among the largest so far and has to be kept,
// which is slow; more parts would have more beginnings.
const scanLen = 1 << 15

// refineJob searches each row for its largest logits and computes them again.
// Where there are few rows, a row is searched in several parts by several workers;
// the one that finishes the last part of a row computes its logits.
type refineJob struct {
	f     *Fast
	o     *Output
	parts int
	vals  []float32 // [rows][parts][candidates]
	ids   []int32
	left  []atomic.Int32 // [rows] parts still to be searched
	tasks counter
}

func newRefineJob(f *Fast) refineJob {
	n := refineLists(f.lim.Logits, f.pool.Workers()) * candidates
	return refineJob{f: f, vals: make([]float32, n), ids: make([]int32, n), left: make([]atomic.Int32, f.lim.Logits)}
}

// refineLists is how many lists of candidates there can be.
func refineLists(logits, workers int) int { return logits + workers }

// refine computes the largest logits of each row again: the products of the
// normalised x as it is and the weights as they are in the file.
func (f *Fast) refine(o *Output) {
	j := &f.refined
	workers := f.pool.Workers()
	j.o, j.parts = o, max(1, min((workers+f.rows-1)/f.rows, f.lim.Vocab/scanLen))
	for r := range f.rows {
		j.left[r].Store(int32(j.parts))
	}
	j.tasks.reset()
	if f.rows*j.parts == 1 {
		j.Do(0, 1)
		return
	}
	f.pool.Share(j)
}

func (j *refineJob) Do(worker, _ int) {
	f := j.f
	own := &f.own[worker]
	vocab := f.lim.Vocab
	for t := j.tasks.next(); t < f.rows*j.parts; t = j.tasks.next() {
		row, part := t/j.parts, t%j.parts
		logits := f.logits[row*vocab:][:vocab]
		from, to := vocab*part/j.parts, vocab*(part+1)/j.parts
		ids := j.ids[t*candidates:][:candidates]
		n := f.set.TopK(logits[from:to], candidates, j.vals[t*candidates:][:candidates], ids)
		for i := range ids {
			ids[i] += int32(from)
		}
		if j.left[row].Add(-1) > 0 {
			continue
		}
		if j.parts > 1 {
			ids = j.merge(own, row)
		}
		j.compute(own, logits, row, ids[:n])
	}
}

// merge finds the candidates of a row among those of its parts. They are the same
// as if the row had been searched in one part, also where logits are equal: the
// lists are in the order of the parts, and equal logits within a list are in the
// order of their ids.
func (j *refineJob) merge(own *private, row int) []int32 {
	n := j.parts * candidates
	ids := j.ids[row*n:][:n]
	j.f.set.TopK(j.vals[row*n:][:n], candidates, own.topVals[:], own.topIDs[:])
	for i, at := range own.topIDs {
		own.topIDs[i] = ids[at]
	}
	return own.topIDs[:]
}

func (j *refineJob) compute(own *private, logits []float32, row int, ids []int32) {
	f, w := j.f, j.o.W
	x := f.x[int(f.out.logits[row])*f.ldx:][:f.lim.Dim]
	size := w.Type.RowBytes(w.Cols)
	for _, id := range ids {
		logit := f.set.DotRow(w.Type, j.o.Rows[int(id)*size:][:size], x, own.row)
		if j.o.Scale != 0 {
			logit *= j.o.Scale
		}
		if j.o.Bias != nil {
			logit += j.o.Bias[id]
		}
		logits[id] = logit
	}
}
