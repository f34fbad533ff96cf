package kernel

import (
	"fmt"
	"unsafe"
)

const (
	// PanelCols is the number of columns that the kernels take at most at once.
	PanelCols = 8
	// Lanes is the number of rows of a group of packed weights.
	Lanes = 16
	// BlockLen is the number of activations that share a scale.
	BlockLen = 32
)

// Panels holds a batch of activation columns, quantised to int8 per block of 32
// and laid out for the matrix kernels. It does not depend on the format of the
// weights: matrices of several formats may read the same panels.
//
// The columns are cut into panels of 8 columns, and one of those that remain: a
// panel as narrow as its columns stays in the first-level cache. With nb = K/32
// blocks, a panel of W columns is four streams, one after the other:
//
//	quants   [nb][8][W][4] int8     value 4j+t of column c at [j][c][t]
//	offset   [nb] {dx [W] f32, -128·sum [W] i32}
//	affine   [nb] {dx [W] f32, dx·sum [W] f32}
//	halves   [nb] {dx [W] f32, -128·sum of values 0-15 [W] i32, of 16-31 [W] i32}
//
// dx is the block's scale and sum the sum of its int8 values. A kernel reads
// the quants and the one field stream that its format needs.
//
// The block's scale is amax/127, a value is round-to-even(x · (127/amax)), in
// float32; amax is at least 1e-30. A block with an infinity or a NaN becomes
// zeros with an infinite or NaN scale, so that every product with it is NaN.
type Panels struct {
	K    int // length of a column, a multiple of 32
	Cols int // columns in use
	Data []byte

	// X is a float32 copy of the same columns, each panel [K][W]; nil unless
	// asked for. Float weights multiply it.
	X []float32

	maxCols int
}

// panel is a run of columns.
type panel struct{ first, width int }

// panels is the number of panels in use.
func (p *Panels) panels() int { return (p.Cols + PanelCols - 1) / PanelCols }

// panel is the i-th panel.
func (p *Panels) panel(i int) panel {
	first := i * PanelCols
	return panel{first, min(PanelCols, p.Cols-first)}
}

// bytes is the part of Data that belongs to a panel.
func (p *Panels) bytes(q panel) []byte {
	column := p.K / BlockLen * columnBytes
	return p.Data[q.first*column : (q.first+q.width)*column]
}

// floats is the part of X that belongs to a panel.
func (p *Panels) floats(q panel) []float32 {
	return p.X[q.first*p.K : (q.first+q.width)*p.K]
}

// Bytes of one block and column in each stream of a panel.
const (
	quantBytes  = BlockLen
	offsetBytes = 8
	affineBytes = 8
	halvesBytes = 12
	columnBytes = quantBytes + offsetBytes + affineBytes + halvesBytes
)

// NewPanels makes room for maxCols columns of length k, a multiple of 32. With
// floats it also keeps a float32 copy, for matrices with NeedsFloats.
func NewPanels(k, maxCols int, floats bool) *Panels {
	p := newPanels(k, maxCols)
	p.Data = alignedBytes(p.dataBytes())
	if floats {
		b := alignedBytes(maxCols * k * 4)
		p.X = unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), maxCols*k)
	}
	return p
}

// newPanels is panels that lack their memory.
func newPanels(k, maxCols int) *Panels {
	if k <= 0 || k%BlockLen != 0 || maxCols <= 0 {
		panic(fmt.Sprintf("kernel: panels of %d columns of length %d", maxCols, k))
	}
	return &Panels{K: k, Cols: maxCols, maxCols: maxCols}
}

func (p *Panels) dataBytes() int { return p.maxCols * p.K / BlockLen * columnBytes }

// alignedBytes is garbage-collected memory aligned to a cache line.
func alignedBytes(n int) []byte {
	b := make([]byte, n+63)
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & 63)
	return b[off : off+n : off+n]
}

// Reset sets the number of columns for the next batch. The contents are
// undefined until Quantize has written every block of every column.
func (p *Panels) Reset(cols int) {
	if cols < 0 || cols > p.maxCols {
		panic(fmt.Sprintf("kernel: Panels.Reset: %d columns, room for %d", cols, p.maxCols))
	}
	p.Cols = cols
}

// stream is one of the three field streams of a panel.
type stream uint8

const (
	offsetStream stream = iota
	affineStream
	halvesStream
)

// streamOffset is where stream s starts within a panel of nb blocks and width
// columns.
func streamOffset(s stream, nb, width int) int {
	at := [...]int{
		offsetStream: quantBytes,
		affineStream: quantBytes + offsetBytes,
		halvesStream: quantBytes + offsetBytes + affineBytes,
	}
	return at[s] * nb * width
}

// Quantize writes x, which begins at position k0 of column col. k0 and len(x)
// are multiples of 32. Different segments may be written at the same time.
func (s Set) Quantize(p *Panels, col, k0 int, x []float32) {
	s.QuantizeColumns(p, col, 1, k0, x, len(x), len(x))
}

// QuantizeColumns quantises n columns from col on, k values each from position
// k0 on: column i's are x[i*ldx:][:k]. It does what Quantize does, several times
// as fast: the columns of a panel share cache lines.
func (s Set) QuantizeColumns(p *Panels, col, n, k0 int, x []float32, ldx, k int) {
	if col < 0 || n < 0 || col+n > p.Cols || k0 < 0 || k0%BlockLen != 0 || k%BlockLen != 0 || k < 0 || k > p.K-k0 {
		panic(fmt.Sprintf("kernel: Quantize: %d values at %d of columns %d to %d in panels of %d columns of %d", k, k0, col, col+n, p.Cols, p.K))
	}
	if n == 0 || k == 0 {
		return
	}
	if ldx < 0 || len(x) < (n-1)*ldx+k {
		panic(fmt.Sprintf("kernel: Quantize: %d columns of %d values, %d apart, in %d", n, k, ldx, len(x)))
	}
	for n > 0 {
		q := p.panel(col / PanelCols)
		lane := col - q.first
		some := min(n, q.width-lane)
		s.quantize(p.bytes(q), p.K/BlockLen, q.width, lane, some, k0/BlockLen, x, ldx, k)
		if p.X != nil {
			p.copyFloats(q, lane, some, k0, x, ldx, k)
		}
		if n -= some; n > 0 {
			col, x = col+some, x[some*ldx:]
		}
	}
}

// copyFloats keeps the float32 copy of columns of a panel.
func (p *Panels) copyFloats(q panel, lane, n, k0 int, x []float32, ldx, k int) {
	dst := p.floats(q)[k0*q.width:]
	if q.width == 1 {
		copy(dst, x[:k])
		return
	}
	for c := range n {
		for i, v := range x[c*ldx:][:k] {
			dst[i*q.width+lane+c] = v
		}
	}
}
