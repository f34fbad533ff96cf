package nn

// Experts adds the outputs of each row's experts to x.
func (r *Reference) Experts(e *Experts) {
	logits := r.linear(KindRouter, &e.Router, r.h)
	out := table(len(r.x), r.lim.Dim)
	ids, weights := make([]int32, e.Routing.Used), make([]float32, e.Routing.Used)
	for i := range r.x {
		r.look(r.rows[i], logits[i])
		e.Routing.choose(logits[i], ids, weights)
		for k, id := range ids {
			y := r.expert(e, int(id), r.h[i:i+1])[0]
			for d, v := range y {
				out[i][d] += weights[k] * v
			}
		}
	}
	if e.Shared != nil {
		r.shared(e.Shared, out)
	}
	for i := range r.x {
		addTo(r.x[i], out[i])
	}
}

// expert is the output of one expert for rows h.
func (r *Reference) expert(e *Experts, id int, h [][]float32) [][]float32 {
	n, dim := e.ff(), r.lim.Dim
	gate := r.linear(KindExperts, &Linear{W: e.Gate.expert(id, n), Bias: biasOf(e.GateBias, id, n), Scale: scaleOf(e.GateScale, id)}, h)
	up := r.linear(KindExperts, &Linear{W: e.Up.expert(id, n), Bias: biasOf(e.UpBias, id, n), Scale: scaleOf(e.UpScale, id)}, h)
	e.Act.gate(gate, up)
	return r.linear(KindExpertsDown, &Linear{W: e.Down.expert(id, dim), Bias: biasOf(e.DownBias, id, dim), Scale: scaleOf(e.DownScale, id)}, gate)
}

// shared adds the output of the network that all rows use.
func (r *Reference) shared(s *Shared, out [][]float32) {
	y := r.linear(KindDown, &s.Down, r.gated(&s.FFN))
	var open [][]float32
	if s.Gate != nil {
		open = r.linear(KindRouter, &Linear{W: s.Gate}, r.h)
	}
	for i := range y {
		by := float32(1)
		if open != nil {
			r.look(r.rows[i], open[i])
			by = float32(sigmoid(float64(open[i][0])))
		}
		for d, v := range y[i] {
			out[i][d] += by * v
		}
	}
}

// expert is the n rows of expert number e, as a matrix of its own.
func (m *Matrix) expert(e, n int) *Matrix {
	return &Matrix{Type: m.Type, Rows: n, Cols: m.Cols, dense: m.dense[e*n*m.Cols:][:n*m.Cols], of: m, part: e}
}

// whole is the matrix that m is a part of, and which of its experts m is.
func (m *Matrix) whole() (*Matrix, int) {
	if m.of == nil {
		return m, 0
	}
	return m.of, m.part
}

// biasOf is the bias of expert number e, if there are any.
func biasOf(all []float32, e, n int) []float32 {
	if all == nil {
		return nil
	}
	return all[e*n:][:n]
}
