package nn

import "math"

// headJob normalises the rows where they are, and quantises them for the head.
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
	f.final.Reset(f.rows)
	f.head.n = n
	f.rowwise(&f.head, &f.head.tasks, f.rows)
	f.h, f.post = f.final, nil
	f.prof.end(f.rows)

	f.prof.begin(KindHead)
	vocab, ld := f.lim.Vocab, pad(f.lim.Vocab)
	j := &f.project
	j.start(f.logits, ld, false)
	j.append(&o.Linear, 0)
	j.run()
	if vocab != ld {
		for r := 1; r < f.rows; r++ {
			copy(f.logits[r*vocab:][:vocab], f.logits[r*ld:][:vocab])
		}
	}
	if o.Rows != nil && !o.W.MultipliesFloats() {
		f.refine(o)
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
		if !f.set.RMSNorm(x, x, j.n.Weight, j.n.Eps) {
			f.faults.add(int(f.tiling.wanted[r]))
		}
		f.set.Quantize(f.final, r, 0, x)
	}
}

func softcap(logits []float32, c float32) {
	for i, l := range logits {
		logits[i] = c * float32(math.Tanh(float64(l/c)))
	}
}
