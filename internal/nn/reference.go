package nn

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
)

// Reference is the backend that says what the right answer is: weights
// dequantised to float32, activations, keys and values kept in float32, every
// sum in float64, no kernels. It allocates as it pleases. Rows of a matrix and
// heads of a row are spread over the pool, which changes no result.
type Reference struct {
	pool *Pool
	lim  Limits
	prof profiler

	batch *batch.Batch
	rows  []int // rows of the batch that x holds
	out   outputs
	final [][]float32 // rows that are wanted, normalised

	faults faults

	x, h    [][]float32
	q, k, v [][]float32

	store *kvcache.Store
	kept  [batch.Groups]kept

	observe func(m *Matrix, expert int, rows [][]float32) // nil: nobody wants to know
}

// Observe has f told of the inputs of every product: those of matrix m, or of one of its
// experts. The rows are f's to read until it returns.
func (r *Reference) Observe(f func(m *Matrix, expert int, rows [][]float32)) { r.observe = f }

// kept is the keys and values of a group's layers, by the block ids of the store that
// the step was given: [layer][block*BlockTokens+slot][kvHeads*headDim].
type kept struct{ keys, vals [][][]float32 }

func newKept(c kvcache.Config) kept {
	k := kept{keys: make([][][]float32, c.Layers), vals: make([][][]float32, c.Layers)}
	for l := range c.Layers {
		k.keys[l] = make([][]float32, c.Blocks*kernel.BlockTokens)
		k.vals[l] = make([][]float32, c.Blocks*kernel.BlockTokens)
	}
	return k
}

// NewReference makes a backend for steps up to lim.
func NewReference(pool *Pool, lim Limits) *Reference {
	return &Reference{pool: pool, lim: lim, prof: profiler{pool: pool}, faults: newFaults(lim.Rows)}
}

// Load dequantises a matrix.
func (r *Reference) Load(m *Matrix, src []byte) error {
	m.dense = make([]float32, m.Rows*m.Cols)
	return fill(r.pool, kernel.Set{}, m, src)
}

// LoadPair loads two matrices.
func (r *Reference) LoadPair(gate, up *Matrix, gateSrc, upSrc []byte) error {
	return errors.Join(r.Load(gate, gateSrc), r.Load(up, upSrc))
}

// Begin starts a step.
func (r *Reference) Begin(b *batch.Batch, s *kvcache.Store) {
	r.lim.accept(b)
	r.batch = b
	r.faults.clear()
	r.out.reset(b)
	r.rows = r.rows[:0]
	for i := range b.Rows() {
		r.rows = append(r.rows, i)
	}
	if r.store != s {
		r.store = s
		for g := range r.kept {
			if c := s.Cache(batch.Group(g)); c != nil {
				r.kept[g] = newKept(c.Config())
			}
		}
	}
	r.prof.step(b.Rows())
}

// Embed sets x to the embeddings of the tokens.
func (r *Reference) Embed(e *Embedding) {
	r.prof.begin(KindEmbed)
	r.x = table(len(r.rows), e.Dim)
	for i, t := range r.batch.Tokens {
		e.row(r.x[i], t)
		if e.Scale != 0 {
			for d := range r.x[i] {
				r.x[i][d] *= e.Scale
			}
		}
		if e.Places != nil {
			place := make([]float32, e.Dim)
			e.Places.row(place, int32(e.First)+r.batch.Positions[i])
			addTo(r.x[i], place)
		}
		seq, _ := r.position(i)
		addTo(r.x[i], e.Part(r.batch.Tokens, int(r.batch.Start[seq]), i))
	}
	r.prof.end(len(r.rows))
}

// table is rows of n zeros.
func table(rows, n int) [][]float32 {
	all := make([]float32, rows*n)
	t := make([][]float32, rows)
	for i := range t {
		t[i] = all[i*n : (i+1)*n : (i+1)*n]
	}
	return t
}

// apply returns x / sqrt(mean(x²) + eps) * weight, or with a bias
// (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias, or without a weight x.
func (n *Norm) apply(x []float32) []float32 {
	switch {
	case n.Weight == nil:
		return slices.Clone(x)
	case n.Bias != nil:
		return n.applyLayer(x)
	}
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+float64(n.Eps))
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(float64(v) * scale * float64(n.Weight[i]))
	}
	return y
}

// Apply normalises x in place.
func (n *Norm) Apply(x []float32) { copy(x, n.apply(x)) }

func (n *Norm) applyLayer(x []float32) []float32 {
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean)
	}
	scale := 1 / math.Sqrt(variance/float64(len(x))+float64(n.Eps))
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32((float64(v)-mean)*scale*float64(n.Weight[i]) + float64(n.Bias[i]))
	}
	return y
}

// NormStay sets x and h to the normalised x.
func (r *Reference) NormStay(n *Norm) {
	r.Norm(n)
	r.x = r.h // the next operation replaces h before anything is added to x
}

// Norm sets h to the normalised x.
func (r *Reference) Norm(n *Norm) {
	r.prof.begin(KindNorm)
	r.h = make([][]float32, len(r.x))
	for i, x := range r.x {
		r.look(r.rows[i], x)
		r.h[i] = n.apply(x)
	}
	r.prof.end(len(r.rows))
}

// linear computes y = scale * W x + b for every x.
func (r *Reference) linear(k Kind, l *Linear, x [][]float32) [][]float32 {
	r.prof.begin(k)
	y := table(len(x), l.W.Rows)
	if r.observe != nil && len(x) > 0 {
		m, expert := l.W.whole()
		r.observe(m, expert, x)
	}
	if len(x) > 0 {
		r.pool.Share(&denseJob{w: l.W, x: abreast(x), y: y})
	}
	for _, row := range y {
		if l.Scale != 0 {
			for i := range row {
				row[i] *= l.Scale
			}
		}
		for i, b := range l.Bias {
			row[i] += b
		}
	}
	r.prof.end(len(x), l.W)
	return y
}

// Project computes queries, keys and values.
func (r *Reference) Project(p *QKV) {
	r.q = r.linear(KindQKV, &p.Q, r.h)
	r.k = r.linear(KindQKV, &p.K, r.h)
	r.v = r.linear(KindQKV, &p.V, r.h)
	for i := range r.h {
		if p.QNorm != nil {
			r.q[i] = p.QNorm.apply(r.q[i])
		}
		if p.KNorm != nil {
			r.k[i] = p.KNorm.apply(r.k[i])
		}
	}
}

// ProjectAdd adds l(h) to x.
func (r *Reference) ProjectAdd(l *Linear) {
	for i, y := range r.linear(KindOut, l, r.h) {
		addTo(r.x[i], y)
	}
}

// ProjectNormAdd adds n(l(h)) to x.
func (r *Reference) ProjectNormAdd(l *Linear, n *Norm) {
	for i, y := range r.linear(KindOut, l, r.h) {
		addTo(r.x[i], n.apply(y))
	}
}

func addTo(x, y []float32) {
	for i, v := range y {
		x[i] += v
	}
}

// Gated sets h to act(gate h) * (up h).
func (r *Reference) Gated(f *FFN) { r.h = r.gated(f) }

func (r *Reference) gated(f *FFN) [][]float32 {
	gate := r.linear(KindGated, &f.Gate, r.h)
	f.Act.gate(gate, r.linear(KindGated, &f.Up, r.h))
	return gate
}

// gate sets gate to act(gate) * up.
func (a Activation) gate(gate, up [][]float32) {
	for i := range gate {
		for j, g := range gate[i] {
			gate[i][j] = float32(a.apply(float64(g), float64(up[i][j])))
		}
	}
}

func (a Activation) apply(x, up float64) float64 {
	switch a {
	case GELUErf:
		return 0.5 * x * math.Erfc(-x/math.Sqrt2) * up
	case GELU:
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) * up
	case SwiGLUOAI:
		x = min(x, oaiLimit)
		return x * sigmoid(oaiAlpha*x) * (min(max(up, -oaiLimit), oaiLimit) + 1)
	}
	return x * sigmoid(x) * up
}

// Activate sets h to act(l(h)).
func (r *Reference) Activate(l *Linear, act Activation) {
	h := r.linear(KindGated, l, r.h)
	for i := range h {
		for j, v := range h[i] {
			h[i][j] = float32(act.apply(float64(v), 1))
		}
	}
	r.h = h
}

// Narrow keeps the rows that are wanted.
func (r *Reference) Narrow() {
	x := make([][]float32, len(r.out.rows))
	r.rows = r.rows[:0]
	for i, row := range r.out.rows {
		x[i] = r.x[row]
		r.rows = append(r.rows, int(row))
	}
	r.x = x
}

// Head normalises the wanted rows and returns the logits of those that have any.
func (r *Reference) Head(n *Norm, o *Output) []float32 {
	r.States(n)
	r.h = nil
	for i, logit := range r.out.logit {
		if logit >= 0 {
			r.h = append(r.h, r.final[i])
		}
	}
	logits := make([]float32, 0, len(r.h)*r.lim.Vocab)
	for _, y := range r.linear(KindHead, &o.Linear, r.h) {
		logits = append(logits, y...)
	}
	if o.Softcap > 0 {
		softcap(logits, o.Softcap)
	}
	return logits
}

// States normalises the wanted rows.
func (r *Reference) States(n *Norm) {
	if len(r.rows) != len(r.out.rows) {
		panic("nn: Head without Narrow")
	}
	r.final = r.x
	if n != nil {
		r.Norm(n)
		r.final = r.h
	}
	for i, x := range r.final {
		r.look(r.rows[i], x)
	}
}

// Hidden is a row whose final hidden state is wanted.
func (r *Reference) Hidden(i int) []float32 { return r.final[r.out.hidden[i]] }

// NotFinite lists the rows of the step with a NaN or an infinity.
func (r *Reference) NotFinite() []int32 { return r.faults.list() }

// look notes a row of the batch if something of it is not finite.
func (r *Reference) look(row int, x []float32) {
	for _, v := range x {
		if v-v != 0 {
			r.faults.add(row)
			return
		}
	}
}

// Profile reads the counters.
func (r *Reference) Profile() Profile { return r.prof.total }

// SetProfile switches the counters; switching them on clears them.
func (r *Reference) SetProfile(on bool) { r.prof.set(on) }

// Close lets go of the weights' memory.
func (r *Reference) Close() error {
	*r = Reference{}
	return nil
}

// denseJob is a float32 matrix times columns, summed in float64.
type denseJob struct {
	w     *Matrix
	x     [][][columnsAbreast]float64 // of abreast
	y     [][]float32
	tasks counter
}

const (
	// denseRows is the number of rows of one task.
	denseRows = 8

	// columnsAbreast are multiplied at the same time, so that their sums do not wait for one
	// another. More would not fit into the registers.
	columnsAbreast = 4
)

func (j *denseJob) Do(_, _ int) {
	for first := j.tasks.next() * denseRows; first < j.w.Rows; first = j.tasks.next() * denseRows {
		for i := range j.x { // stays in a cache while the rows meet it
			for row := first; row < min(first+denseRows, j.w.Rows); row++ {
				j.multiply(row, i)
			}
		}
	}
}

// multiply multiplies one row of weights with the i-th columns that are abreast.
func (j *denseJob) multiply(row, i int) {
	first := i * columnsAbreast
	sums := dots(j.w.dense[row*j.w.Cols:][:j.w.Cols], j.x[i])
	for c := first; c < min(first+columnsAbreast, len(j.y)); c++ {
		j.y[c][row] = float32(sums[c-first])
	}
}

// dots are the products of w with each of the columns in x.
func dots(w []float32, x [][columnsAbreast]float64) [columnsAbreast]float64 {
	x = x[:len(w)]
	var s0, s1, s2, s3 float64
	for i, v := range w {
		v, x := float64(v), &x[i]
		s0 += v * x[0]
		s1 += v * x[1]
		s2 += v * x[2]
		s3 += v * x[3]
	}
	return [columnsAbreast]float64{s0, s1, s2, s3}
}

// abreast puts the values of four columns at a time next to each other: [columns/4,
// rounded up][len(x[0])]. One pointer to them takes half as long as four.
func abreast(x [][]float32) [][][columnsAbreast]float64 {
	y := make([][][columnsAbreast]float64, (len(x)+columnsAbreast-1)/columnsAbreast)
	for c, column := range x {
		if c%columnsAbreast == 0 {
			y[c/columnsAbreast] = make([][columnsAbreast]float64, len(column))
		}
		to := y[c/columnsAbreast]
		for i, v := range column {
			to[i][c%columnsAbreast] = float64(v)
		}
	}
	return y
}

// position is where the step's row i stands.
func (r *Reference) position(i int) (seq int, pos int32) {
	for int32(i) >= r.batch.Start[seq+1] {
		seq++
	}
	return seq, r.batch.Positions[i]
}

// slot is the index in keys and vals of a position of a sequence.
func (r *Reference) slot(g batch.Group, seq int, pos int32) int {
	return int(r.batch.Table(g, seq)[pos/kernel.BlockTokens])*kernel.BlockTokens + int(pos%kernel.BlockTokens)
}

func (r *Reference) checkLayer(a *Attention) {
	if layers := len(r.kept[a.Group].keys); a.Layer < 0 || a.Layer >= layers {
		panic(fmt.Sprintf("nn: layer %d of a cache of %d", a.Layer, layers))
	}
}
