package nn

import (
	"fmt"
	"sync/atomic"

	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/quant"
)

// pairRows is the number of rows of one matrix between two chunks of its twin,
// when a pair is packed as one.
const pairRows = 32

// Matrix is a weight matrix. The model says what it is, a backend's Load what
// it holds.
type Matrix struct {
	Type quant.Type // in the file
	Rows int        // outputs
	Cols int        // inputs

	packed *kernel.Matrix // Fast
	twin   bool           // packed holds a pair: chunks of pairRows rows in turn
	part   int            // which of the pair this is
	dense  []float32      // Reference: [Rows][Cols]
	of     *Matrix        // Reference: the experts that this is one of, number part; nil: it is whole
}

// PackedBytes is the memory that Fast needs for m, or an error if it has no
// kernels for it.
func (m *Matrix) PackedBytes() (int, error) { return kernel.PackedBytes(m.Type, m.Rows, m.Cols) }

// DenseBytes is the memory that Reference needs for m.
func (m *Matrix) DenseBytes() int { return 4 * m.Rows * m.Cols }

// MultipliesFloats reports whether m's weights are floats and so multiply
// activations that are floats too.
func (m *Matrix) MultipliesFloats() bool {
	return m.Type == quant.F32 || m.Type == quant.F16 || m.Type == quant.BF16
}

// bytes is what a pass over the matrix reads.
func (m *Matrix) bytes() int64 {
	if m.packed == nil {
		return int64(len(m.dense)) * 4
	}
	return int64(pad(m.Rows)/kernel.Lanes) * int64(m.packed.GroupBytes())
}

// view makes v the groups [g0, g1) of m, numbered from 0.
func (m *Matrix) view(v *kernel.Matrix, g0, g1 int) {
	*v = *m.packed
	n := m.packed.Groups()
	quants, scales := len(m.packed.Data)/n, len(m.packed.Scales)/n
	v.Rows = (g1 - g0) * kernel.Lanes
	v.Data = m.packed.Data[g0*quants : g1*quants]
	v.Scales = m.packed.Scales[g0*scales : g1*scales]
}

// checkSource says whether src holds the matrix as in a file.
func (m *Matrix) checkSource(src []byte) error {
	if want := m.Rows * m.Type.RowBytes(m.Cols); len(src) != want {
		return fmt.Errorf("%v matrix of %d x %d: %d bytes, want %d", m.Type, m.Rows, m.Cols, len(src), want)
	}
	return nil
}

// fillJob loads a matrix chunk by chunk. Memory lies on the node of the worker that
// first writes to it. So each writes the part of the matrix that it will read, and
// takes nothing from workers of other nodes.
type fillJob struct {
	m     *Matrix
	src   []byte
	set   kernel.Set
	spans spans
	err   atomic.Pointer[error]
}

// fillRows is the number of rows of one task: whole groups and whole chunks of
// a pair.
const fillRows = 64

func (j *fillJob) Do(worker, workers int) {
	m := j.m
	if seats := j.spans.seats; worker == 0 && workers > 1 && seats[1].Node == 0 && seats[workers-1].Node > 0 {
		return // the caller's thread may be on any node; its neighbours do its part
	}
	row := m.Type.RowBytes(m.Cols)
	for t, _, ok := j.spans.next(worker); ok; t, _, ok = j.spans.next(worker) {
		first := t * fillRows
		last := min(first+fillRows, m.Rows)
		if err := j.fill(first, j.src[first*row:last*row], last-first); err != nil {
			j.err.CompareAndSwap(nil, &err)
		}
	}
}

// fill loads rows [first, first+n) from src.
func (j *fillJob) fill(first int, src []byte, n int) error {
	m := j.m
	if m.packed == nil {
		return quant.Dequantize(m.Type, m.dense[first*m.Cols:(first+n)*m.Cols], src)
	}
	if !m.twin {
		j.set.Pack(m.packed, first, src, n)
		return nil
	}
	row := m.Type.RowBytes(m.Cols)
	for ; n > 0; n -= pairRows {
		chunk := min(n, pairRows)
		j.set.Pack(m.packed, (2*(first/pairRows)+m.part)*pairRows, src[:chunk*row], chunk)
		first, src = first+chunk, src[chunk*row:]
	}
	return nil
}

func fill(pool *Pool, set kernel.Set, m *Matrix, src []byte) error {
	if err := m.checkSource(src); err != nil {
		return err
	}
	j := &fillJob{m: m, src: src, set: set, spans: newSpans(pool)}
	j.spans.even((m.Rows+fillRows-1)/fillRows, 1)
	if j.spans.near = pool.nodes() > 1; j.spans.near {
		pool.Run(j) // whoever did not come would leave its part undone
	} else {
		pool.Share(j)
	}
	if err := j.err.Load(); err != nil {
		return *err
	}
	return nil
}
