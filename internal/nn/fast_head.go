package nn

import (
	"math"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// Rounding the head's input to int8 costs more fidelity than any other rounding
// of a step: nothing comes after it that would average it out. With Limits.Refine
// the head multiplies what rounding has left of the input too, as columns of
// their own, and adds the two. That is 15 bits instead of 8 for twice the
// arithmetic and the same weights read once.

// headJob normalises and quantises the rows for the head.
type headJob struct {
	f     *Fast
	n     *Norm
	tasks counter
}

// Head returns the logits of the batch's wanted rows.
func (f *Fast) Head(n *Norm, o *Output) []float32 {
	if f.rows != len(f.batch.Logits) {
		panic("nn: Head without Narrow")
	}
	if f.rows == 0 {
		return nil
	}
	f.prof.begin(KindNorm)
	rests := 0
	if f.lim.Refine {
		rests = f.rows
	}
	f.final.Reset(f.rows + rests)
	f.head.n = n
	f.rowwise(&f.head, &f.head.tasks, f.rows)
	f.h, f.post = f.final, nil
	f.prof.end(f.rows)

	f.prof.begin(KindHead)
	vocab, ld := f.lim.Vocab, pad(f.lim.Vocab)
	j := &f.project
	j.start(f.logits, ld, false)
	j.append(&o.Linear, 0)
	j.fold = rests
	j.run()
	if vocab != ld {
		for r := 1; r < f.rows; r++ {
			copy(f.logits[r*vocab:][:vocab], f.logits[r*ld:][:vocab])
		}
	}
	logits := f.logits[:f.rows*vocab]
	if o.Softcap > 0 {
		softcap(logits, o.Softcap)
	}
	f.prof.end(f.rows, o.W)
	return logits
}

func (j *headJob) Do(worker, _ int) {
	f := j.f
	row := f.own[worker].row
	for r := j.tasks.next(); r < f.rows; r = j.tasks.next() {
		x := f.x[r*f.ldx:][:f.lim.Dim]
		if f.post != nil {
			f.addPost(x, row, r)
		}
		f.set.RMSNorm(row, x, j.n.Weight, j.n.Eps)
		f.set.Quantize(f.final, r, 0, row)
		if f.lim.Refine {
			remainder(row)
			f.set.Quantize(f.final, f.rows+r, 0, row)
		}
	}
}

// remainder leaves of x what kernel.Set.Quantize does not keep of it: the same
// float32 operations find the same integers.
func remainder(x []float32) {
	const (
		least = 1e-30
		magic = 3 << 22 // adding it leaves no bits below the point
	)
	for ; len(x) > 0; x = x[kernel.BlockLen:] {
		b := x[:kernel.BlockLen]
		amax := float32(least)
		for _, v := range b {
			amax = max(amax, v, -v)
		}
		scale, d := 127/amax, amax/127
		for i, v := range b {
			q := float32(v*scale) + magic
			b[i] = v - float32((q-magic)*d)
		}
	}
}

func softcap(logits []float32, c float32) {
	for i, l := range logits {
		logits[i] = c * float32(math.Tanh(float64(l/c)))
	}
}
