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
// The columns are cut into panels of 8, and the last panel has as many as remain.
// It is not padded to 8, because a narrow panel stays in the first-level cache.
// With nb = K/32 blocks, a panel of W columns is four streams, one after the other:
//
//	quants   [nb][8][W][4] int8     value 4j+t of column c at [j][c][t]
//	offset   [nb] {dx [W] f32, magicBits - 128·sum [W] i32}
//	affine   [nb] {dx [W] f32, dx·sum [W] f32}
//	halves   [nb] {dx [W] f32, magicBits - 128·sum of values 0-15 [W] i32, of 16-31 [W] i32}
//
// dx is the block's scale and sum the sum of its int8 values. A kernel reads
// the quants and the one field stream that its format needs. An integer sum that begins
// with such a field takes the weights' offset of 128 into account, and is a float32 in the
// end without a conversion.
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

// The bits of the float32 magic are magicBits, and adding an integer of less than 22 bits
// and a sign to either gives the bits of the sum.
const (
	magic     = 3 << 22
	magicBits = 0x4b400000
)

// panel is a run of columns.
type panel struct{ first, width int }

// panels is the number of panels in use.
func (p *Panels) panels() int { return (p.Cols + PanelCols - 1) / PanelCols }

// panel is the i-th panel.
func (p *Panels) panel(i int) panel {
	first := i * PanelCols
	return panel{first, min(PanelCols, p.Cols-first)}
}

// streams is the part of Data that belongs to a panel.
func (p *Panels) streams(q panel) streams {
	nb := p.K / BlockLen
	column := nb * columnBytes
	return streams{data: p.Data[q.first*column : (q.first+q.width)*column], blocks: nb, width: q.width}
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

// newPanels makes panels without their memory.
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

// ResetAs is Reset for columns of another length, as far as there is room.
func (p *Panels) ResetAs(k, cols int) {
	if k <= 0 || k%BlockLen != 0 || p.maxCols*k/BlockLen*columnBytes > len(p.Data) {
		panic(fmt.Sprintf("kernel: Panels.ResetAs: columns of %d in %d bytes", k, len(p.Data)))
	}
	p.K = k
	p.Reset(cols)
}

// stream is one of the three field streams of a panel.
type stream uint8

const (
	offsetStream stream = iota
	affineStream
	halvesStream
)

// streamStart and streamBytes say where a field stream lies in a panel and what
// it has of each block, in bytes per block and column.
var (
	streamStart = [...]int{
		offsetStream: quantBytes,
		affineStream: quantBytes + offsetBytes,
		halvesStream: quantBytes + offsetBytes + affineBytes,
	}
	streamBytes = [...]int{offsetStream: offsetBytes, affineStream: affineBytes, halvesStream: halvesBytes}
)

// streams is the memory of one panel. It is passed by its address: what is copied right
// after it was written makes a processor wait for its own stores.
type streams struct {
	data          []byte
	blocks, width int // blocks of a column, and columns
}

// quants starts at column c of block b.
func (p *streams) quants(b, c int) []byte { return p.data[b*quantBytes*p.width+4*c:] }

// fields starts at column c of block b in a field stream.
func (p *streams) fields(s stream, b, c int) []byte {
	return p.data[(streamStart[s]*p.blocks+streamBytes[s]*b)*p.width+4*c:]
}

// column is one column of one block: its value 4j+t is quants[4*width*j+t].
type column struct {
	quants, fields []byte
	width          int
}

// column is column c of block b, with its fields in stream s.
func (p *streams) column(s stream, b, c int) column {
	return column{quants: p.quants(b, c), fields: p.fields(s, b, c), width: p.width}
}

// field is the column's i-th field.
func (c column) field(i int) uint32 { return le.Uint32(c.fields[4*c.width*i:]) }

// Columns are N vectors of Len values: vector i is X[i*LD:][:Len]. As streams they are
// passed by their address.
type Columns struct {
	X          []float32
	N, LD, Len int
}

// Quantize writes x, which begins at position k0 of column col. k0 and len(x)
// are multiples of 32. Different segments may be written at the same time.
func (s Set) Quantize(p *Panels, col, k0 int, x []float32) {
	s.QuantizeColumns(p, col, k0, &Columns{X: x, N: 1, LD: len(x), Len: len(x)})
}

// QuantizeColumns writes x into the columns from col on, each from position k0
// on. It does what a Quantize of each does, several times as fast, because the
// columns of a panel share cache lines.
func (s Set) QuantizeColumns(p *Panels, col, k0 int, x *Columns) {
	if col < 0 || x.N < 0 || col+x.N > p.Cols || k0 < 0 || k0%BlockLen != 0 || x.Len%BlockLen != 0 || x.Len < 0 || x.Len > p.K-k0 {
		panic(fmt.Sprintf("kernel: Quantize: %d values at %d of columns %d to %d in panels of %d columns of %d", x.Len, k0, col, col+x.N, p.Cols, p.K))
	}
	if x.N == 0 || x.Len == 0 {
		return
	}
	if x.LD < 0 || len(x.X) < (x.N-1)*x.LD+x.Len {
		panic(fmt.Sprintf("kernel: Quantize: %d columns of %d values, %d apart, in %d", x.N, x.Len, x.LD, len(x.X)))
	}
	for first := 0; first < x.N; {
		q := p.panel(col / PanelCols)
		lane, dst := col-q.first, p.streams(q)
		part := Columns{X: x.X[first*x.LD:], N: min(x.N-first, q.width-lane), LD: x.LD, Len: x.Len}
		s.quantize(&dst, k0/BlockLen, lane, &part)
		if p.X != nil {
			p.copyFloats(q, lane, k0, &part)
		}
		col, first = col+part.N, first+part.N
	}
}

// copyFloats keeps the float32 copy of columns of a panel, from column lane on.
func (p *Panels) copyFloats(q panel, lane, k0 int, x *Columns) {
	dst := p.floats(q)[k0*q.width:]
	if q.width == 1 {
		copy(dst, x.X[:x.Len])
		return
	}
	if x.N == PanelCols {
		interleave(dst, x)
		return
	}
	for c := range x.N {
		for i, v := range x.X[c*x.LD:][:x.Len] {
			dst[i*q.width+lane+c] = v
		}
	}
}

// interleave writes the values of 8 columns in turn.
func interleave(dst []float32, x *Columns) {
	a := x.X[:x.Len]
	b, c, d, e := x.X[x.LD:][:len(a)], x.X[2*x.LD:][:len(a)], x.X[3*x.LD:][:len(a)], x.X[4*x.LD:][:len(a)]
	f, g, h := x.X[5*x.LD:][:len(a)], x.X[6*x.LD:][:len(a)], x.X[7*x.LD:][:len(a)]
	for i := range a {
		*(*[PanelCols]float32)(dst[i*PanelCols:]) = [PanelCols]float32{a[i], b[i], c[i], d[i], e[i], f[i], g[i], h[i]}
	}
}

// Part makes v the columns [first, first+cols) of p, as panels of their own: they
// are cut anew into panels of 8. Parts that do not overlap may be written and read
// at the same time; p itself is not usable beside its parts.
func (p *Panels) Part(v *Panels, first, cols int) {
	if first < 0 || cols < 0 || first+cols > p.maxCols {
		panic(fmt.Sprintf("kernel: Panels.Part: columns %d to %d of %d", first, first+cols, p.maxCols))
	}
	column := p.K / BlockLen * columnBytes
	*v = Panels{K: p.K, Cols: cols, maxCols: cols, Data: p.Data[first*column : (first+cols)*column]}
	if p.X != nil {
		v.X = p.X[first*p.K : (first+cols)*p.K]
	}
}
