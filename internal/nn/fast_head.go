package nn

import "math"

// headJob normalises the rows where they are, and quantises those with logits for
// the head.
type headJob struct {
	f     *Fast
	n     *Norm // nil: they are normalised already
	tasks counter
}

// Head normalises the wanted rows and returns the logits of those that have any.
func (f *Fast) Head(n *Norm, o *Output) []float32 {
	if f.last(n); f.rows == 0 {
		return nil
	}
	if f.rows = len(f.batch.Logits); f.rows == 0 {
		return nil
	}

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

// States normalises the wanted rows.
func (f *Fast) States(n *Norm) { f.last(n) }

// last normalises the wanted rows, and quantises those with logits for the head.
func (f *Fast) last(n *Norm) {
	if f.rows != len(f.out.rows) {
		panic("nn: Head without Narrow")
	}
	if f.rows == 0 {
		return
	}
	f.prof.begin(KindNorm)
	if len(f.batch.Logits) > 0 {
		f.final.Reset(len(f.batch.Logits))
	}
	f.head.n = n
	f.rowwise(&f.head, &f.head.tasks, f.rows)
	f.h, f.post.pending = f.final, false
	f.prof.end(f.rows)
}

// Hidden is a row whose final hidden state is wanted.
func (f *Fast) Hidden(i int) []float32 {
	return f.x[int(f.out.hidden[i])*f.ldx:][:f.lim.Dim]
}

func (j *headJob) Do(worker, _ int) {
	f := j.f
	row := f.own[worker].row
	for r := j.tasks.next(); r < f.rows; r = j.tasks.next() {
		x := f.x[r*f.ldx:][:f.lim.Dim]
		if f.post.pending {
			f.addPost(x, row, r)
		}
		if j.n != nil && !f.apply(j.n, x, x, 0) {
			f.faults.add(int(f.tiling.wanted[r]))
		}
		if len(f.batch.Hidden) > 0 && !f.set.Finite(x) { // nobody looks at it after this
			f.faults.add(int(f.tiling.wanted[r]))
		}
		if at := f.out.logit[r]; at >= 0 {
			f.set.Quantize(f.final, int(at), 0, x)
		}
	}
}

func softcap(logits []float32, c float32) {
	for i, l := range logits {
		logits[i] = c * float32(math.Tanh(float64(l/c)))
	}
}
