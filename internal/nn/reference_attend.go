package nn

import "math"

// Attend stores the step's keys and values and sets h to the heads' outputs.
func (r *Reference) Attend(a *Attention) {
	r.checkLayer(a)
	r.prof.begin(KindAttention)
	kept := &r.kept[a.Group]
	for i := range r.batch.Rows() {
		seq, pos := r.position(i)
		at := r.slot(a.Group, seq, pos)
		r.look(i, r.q[i])
		r.look(i, r.k[i])
		r.look(i, r.v[i])
		for head := range a.KVHeads {
			a.turn(r.k[i][head*a.HeadDim:][:a.HeadDim], a.keyNorm(head), pos)
		}
		kept.keys[a.Layer][at], kept.vals[a.Layer][at] = r.k[i], r.v[i]
	}
	r.h = table(len(r.rows), a.Heads*a.HeadDim)
	if len(r.rows) > 0 {
		r.pool.Share(&headsJob{r: r, a: a})
	}
	r.prof.end(len(r.rows))
}

// turn normalises and rotates one head in place.
func (a *Attention) turn(x []float32, n *Norm, pos int32) {
	if n != nil {
		copy(x, n.apply(x))
	}
	if a.Rope == nil {
		return
	}
	pairs := a.Rope.Pairs
	cos, sin := make([]float32, pairs), make([]float32, pairs)
	a.Rope.Fill(cos, sin, pos)
	for p := range pairs {
		i, j := 2*p, 2*p+1
		if a.Rope.Style == Halves {
			i, j = p, p+pairs
		}
		c, s := float64(cos[p]), float64(sin[p])
		u, v := float64(x[i]), float64(x[j])
		x[i], x[j] = float32(u*c-v*s), float32(u*s+v*c)
	}
}

// headsJob computes attention, one row and head at a time.
type headsJob struct {
	r     *Reference
	a     *Attention
	tasks counter
}

func (j *headsJob) Do(_, _ int) {
	for t := j.tasks.next(); t < len(j.r.rows)*j.a.Heads; t = j.tasks.next() {
		j.head(t/j.a.Heads, t%j.a.Heads)
	}
}

// head computes out = Σ softmax(scale * q·k) v over what row i sees.
func (j *headsJob) head(i, head int) {
	r, a := j.r, j.a
	kept := &r.kept[a.Group]
	seq, pos := r.position(r.rows[i])
	q := r.q[r.rows[i]][head*a.HeadDim:][:a.HeadDim]
	a.turn(q, a.queryNorm(head), pos)
	temper := float64(a.Temper.at(pos))
	kv := head / (a.Heads / a.KVHeads) * a.HeadDim
	first, end := a.sees(pos, r.batch.Positions[r.batch.Start[seq+1]-1]+1)
	scores, bias := make([]float64, end-first), a.bias(head, pos)
	peak := math.Inf(-1)
	if a.Sinks != nil {
		peak = float64(a.Sinks[head])
	}
	for t := range scores {
		k := kept.keys[a.Layer][r.slot(a.Group, seq, first+int32(t))][kv:][:a.HeadDim]
		sum := 0.0
		for d, x := range q {
			sum += float64(x) * float64(k[d])
		}
		sum *= float64(a.Scale) * temper
		if c := float64(a.Softcap); c > 0 {
			sum = c * math.Tanh(sum/c)
		}
		if bias != nil {
			sum += float64(bias[first+int32(t)])
		}
		scores[t] = sum
		peak = max(peak, sum)
	}
	total := 0.0
	if a.Sinks != nil {
		total = math.Exp(float64(a.Sinks[head]) - peak)
	}
	out := make([]float64, a.HeadDim)
	for t, s := range scores {
		w := math.Exp(s - peak)
		total += w
		v := kept.vals[a.Layer][r.slot(a.Group, seq, first+int32(t))][kv:][:a.HeadDim]
		for d := range out {
			out[d] += w * float64(v[d])
		}
	}
	for d, o := range out {
		r.h[i][head*a.HeadDim+d] = float32(o / total)
	}
}
