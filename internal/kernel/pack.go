package kernel

import (
	"fmt"
	"math"

	"github.com/penstock-llm/penstock/internal/quant"
)

// Lanes rows of a weight matrix form a group. The quants of all groups are one
// run of bytes, block after block, and the scales another: a product reads both
// from end to end, which is what hardware prefetchers follow (a run per group,
// scales before quants, measured half the bandwidth). Values keep their own bit
// width; formats of 3, 5 and 6 bits are split into two planes:
//
//	bytes    [8][16][4]    value 4j+t of row r at [j][r][t]
//	nibbles  [4][16][4]    low half: value 4j+t, high half: value 16+4j+t
//	pairs    [2][16][4]    bits 2f and 2f+1 of [v][r][t]: value 4(4v+f)+t
//	bits     [16][4]       bit j of [r][t]: value 4j+t
//
// The IQ2 and IQ3 formats have indices of grids in a file. Here they have the values
// that these stand for, because looking them up in a product would cost more than
// reading the bits: 3 of a value for IQ2 and 4 for IQ3. That makes a matrix of IQ2_XXS
// 1.6 times as large as in the file, of IQ3_XXS and IQ2_XS 1.4 times, of IQ2_S and
// IQ3_S 1.3 times; one of TQ1_0, with 2 bits, 1.2 times.
//
// Scales are float16, 16 rows each, or one byte per row where the format has
// integer scales below a float16 super-block scale, or an exponent. Rows beyond the
// last are zeros.

// format is a weight type: its geometry, and the functions that pack and read it.
type format struct {
	geometry
	quants int  // bytes of quants of a group per 32 values
	scales int  // bytes of scales of a group per unit
	float  bool // multiplies Panels.X

	// prefetch is the number of columns from which prefetching quants pays, by
	// measurement on Zen 4.
	prefetch int

	pack      func(dst groupRow, src []byte)
	packGroup func(u *groupUnit)           // nil: pack does it, row by row
	unpack    func(quants []byte) unpacked // one block of 32
	expand    func(unit []byte, i int) blockScales
}

var formats = withGeometry([...]format{
	quant.F32:    {float: true, pack: packF32, packGroup: groupF32},
	quant.F16:    {float: true, pack: packF16, packGroup: groupF16},
	quant.BF16:   {float: true, pack: packF16, packGroup: groupF16},
	quant.Q8_0:   {prefetch: 5, pack: packQ8_0, packGroup: groupQ8_0, unpack: unpackBytes, expand: expandD},
	quant.Q4_0:   {prefetch: 2, pack: packQ4_0, packGroup: groupQ4_0, unpack: unpackNibbles, expand: expandD},
	quant.Q5_0:   {prefetch: 1, pack: packQ5_0, packGroup: groupQ5_0, unpack: unpackFive, expand: expandD},
	quant.IQ4_NL: {prefetch: 2, pack: packQ4_0, packGroup: groupQ4_0, unpack: unpackIQ4, expand: expandD},
	quant.IQ4_XS: {prefetch: 2, pack: packIQ4_XS, packGroup: groupIQ4_XS, unpack: unpackIQ4, expand: expandIQ4_XS},
	quant.MXFP4:  {prefetch: 2, pack: packMXFP4, packGroup: groupMXFP4, unpack: unpackMXFP4, expand: expandExponent},
	quant.Q4_1:   {prefetch: 2, pack: packQ4_1, packGroup: groupQ4_1, unpack: unpackNibbles, expand: expandDM},
	quant.Q5_1:   {prefetch: 2, pack: packQ5_1, packGroup: groupQ5_1, unpack: unpackFive, expand: expandDM},
	quant.Q4_K:   {prefetch: 2, pack: packQ4_K, packGroup: groupQ4_K, unpack: unpackNibbles, expand: expandQ4_K},
	quant.Q5_K:   {prefetch: 1, pack: packQ5_K, packGroup: groupQ5_K, unpack: unpackFive, expand: expandQ4_K},
	quant.Q6_K:   {prefetch: 1, pack: packQ6_K, packGroup: groupQ6_K, unpack: unpackSix, expand: expandQ6_K},
	quant.Q3_K:   {prefetch: 2, pack: packQ3_K, packGroup: groupQ3_K, unpack: unpackThree, expand: expandQ6_K},
	quant.Q2_K:   {prefetch: 2, pack: packQ2_K, packGroup: groupQ2_K, unpack: unpackTwo, expand: expandQ2_K},

	quant.IQ2_XXS: {prefetch: 2, pack: packGrid(quant.IQ2_XXS), unpack: unpackIQ2, expand: expandIQ2_XXS},
	quant.IQ2_XS:  {prefetch: 2, pack: packGrid(quant.IQ2_XS), unpack: unpackIQ2, expand: expandIQ2_XS},
	quant.IQ2_S:   {prefetch: 2, pack: packGrid(quant.IQ2_S), unpack: unpackIQ2, expand: expandIQ2_XS},
	quant.IQ3_XXS: {prefetch: 2, pack: packGrid(quant.IQ3_XXS), unpack: unpackIQ3_XXS, expand: expandIQ3_XXS},
	quant.IQ3_S:   {prefetch: 2, pack: packGrid(quant.IQ3_S), unpack: unpackOddNibbles, expand: expandIQ4_XS},
	quant.TQ1_0:   {prefetch: 2, pack: packTQ1_0, packGroup: groupTQ1_0, unpack: unpackTwo, expand: expandD},
	quant.TQ2_0:   {prefetch: 2, pack: packTQ2_0, packGroup: groupTQ2_0, unpack: unpackTwo, expand: expandD},
	quant.Q2_0:    {prefetch: 2, pack: packQ2_0, packGroup: groupQ2_0, unpack: unpackTwo, expand: expandD},
	quant.Q1_0:    {prefetch: 2, pack: packQ1_0, packGroup: groupQ1_0, unpack: unpackOddBits, expand: expandD},
})

// withGeometry fills in what geometries says of each format.
func withGeometry(fs [len(geometries)]format) [len(geometries)]format {
	for t, g := range geometries {
		fs[t].geometry, fs[t].quants, fs[t].scales = g, g.quantBytes(), g.scaleBytes()
	}
	return fs
}

// formatOf returns the format of a type, or nil if the type has no kernels.
func formatOf(t quant.Type) *format {
	if int(t) >= len(formats) || formats[t].unit == 0 {
		return nil
	}
	return &formats[t]
}

// Supports reports whether matrices of type t can be packed and multiplied.
func Supports(t quant.Type) bool { return formatOf(t) != nil }

// Matrix is a weight matrix repacked for the kernels.
type Matrix struct {
	Type   quant.Type
	Rows   int // y's length; padded to a multiple of Lanes in Data
	Cols   int
	Data   []byte // quants  [Groups()][blocks of a row]
	Scales []byte // [Groups()][units of a row]

	format     *format
	quantBytes int    // of one group in Data
	scaleBytes int    // of one group in Scales
	memory     []byte // what Free gives back
}

// size checks a shape and returns the bytes of a group's quants and scales.
func size(t quant.Type, rows, cols int) (quants, scales int, err error) {
	f := formatOf(t)
	switch {
	case f == nil:
		return 0, 0, fmt.Errorf("no kernels for %v weights", t)
	case rows <= 0 || cols <= 0:
		return 0, 0, fmt.Errorf("%d x %d matrix", rows, cols)
	case cols%f.unit != 0:
		return 0, 0, fmt.Errorf("%v matrix with %d columns: want a multiple of %d", t, cols, f.unit)
	case cols > math.MaxInt32 || rows > math.MaxInt32:
		return 0, 0, fmt.Errorf("%d x %d matrix is too large", rows, cols)
	}
	quants, scales = cols/BlockLen*f.quants, cols/f.unit*f.scales
	if groupsOf(rows) > math.MaxInt/(quants+scales) {
		return 0, 0, fmt.Errorf("%d x %d matrix is too large", rows, cols)
	}
	return quants, scales, nil
}

func groupsOf(rows int) int { return (rows + Lanes - 1) / Lanes }

// PackedBytes is the memory that a packed matrix needs.
func PackedBytes(t quant.Type, rows, cols int) (int, error) {
	quants, scales, err := size(t, rows, cols)
	return groupsOf(rows) * (quants + scales), err
}

// NewMatrix makes room for a rows x cols matrix of type t, all zeros until Pack
// fills it. The matrices of a model are better kept in an Arena.
func NewMatrix(t quant.Type, rows, cols int) (*Matrix, error) {
	n, err := PackedBytes(t, rows, cols)
	if err != nil {
		return nil, err
	}
	memory, err := Alloc(n)
	if err != nil {
		return nil, err
	}
	m, err := matrixIn(memory, t, rows, cols)
	if err == nil {
		m.memory = memory
	}
	return m, err
}

// matrixIn lays a matrix out in PackedBytes zeros.
func matrixIn(memory []byte, t quant.Type, rows, cols int) (*Matrix, error) {
	quants, scales, err := size(t, rows, cols)
	if err != nil {
		return nil, err
	}
	at := groupsOf(rows) * quants
	return &Matrix{
		Type: t, Rows: rows, Cols: cols, Data: memory[:at:at], Scales: memory[at:],
		format: formatOf(t), quantBytes: quants, scaleBytes: scales,
	}, nil
}

// Free gives back what NewMatrix took. The matrix must not be used afterwards.
func (m *Matrix) Free() error {
	all := m.memory
	m.Data, m.Scales, m.memory = nil, nil, nil
	return Free(all)
}

// Groups is the number of groups of Lanes rows.
func (m *Matrix) Groups() int { return groupsOf(m.Rows) }

// GroupBytes is the memory of a group: what a product reads per group.
func (m *Matrix) GroupBytes() int { return m.quantBytes + m.scaleBytes }

// NeedsFloats reports whether products need Panels made with floats.
func (m *Matrix) NeedsFloats() bool { return m.format.float }

// Pack writes rows [row0, row0+rows) of src, whole rows in GGUF's layout. row0
// is a multiple of Lanes, and so is rows except at the end of the matrix.
// Disjoint ranges may be packed at the same time. Padding rows keep their zeros.
func (s Set) Pack(m *Matrix, row0 int, src []byte, rows int) {
	rowBytes := m.Type.RowBytes(m.Cols)
	if row0 < 0 || row0%Lanes != 0 || rows < 0 || rows > m.Rows-row0 || rows%Lanes != 0 && row0+rows != m.Rows {
		panic(fmt.Sprintf("kernel: Pack: rows [%d, %d) of %d", row0, row0+rows, m.Rows))
	}
	if len(src) != rows*rowBytes {
		panic(fmt.Sprintf("kernel: Pack: %d bytes for %d rows of %d bytes", len(src), rows, rowBytes))
	}
	groups := 0
	if m.format.packGroup != nil {
		groups = rows / Lanes
		s.packGroups(m, row0/Lanes, groups, src)
	}
	whole := groups * Lanes
	m.packRows(row0+whole, src[whole*rowBytes:], rows-whole)
}

// packRows packs one row after the other.
func (m *Matrix) packRows(row0 int, src []byte, rows int) {
	rowBytes := m.Type.RowBytes(m.Cols)
	for i := range rows {
		quants, scales := m.group((row0 + i) / Lanes)
		m.format.pack(groupRow{format: m.format, scales: scales, quants: quants, r: (row0 + i) % Lanes}, src[i*rowBytes:(i+1)*rowBytes])
	}
}

// group is the quants and scales of group g.
func (m *Matrix) group(g int) (quants, scales []byte) {
	return m.Data[g*m.quantBytes : (g+1)*m.quantBytes], m.Scales[g*m.scaleBytes : (g+1)*m.scaleBytes]
}

// groupRow is where the packers write: row r of a group.
type groupRow struct {
	format         *format
	scales, quants []byte
	r              int
}

// block is the row's place in the quants of block b, from its first four bytes on.
func (g *groupRow) block(b int) []byte { return g.quants[g.format.quants*b+4*g.r:] }

// secondPlane is the row's place in the second plane of block b.
func (g *groupRow) secondPlane(b int) []byte {
	return g.block(b)[planeBytes*g.format.planes[0]:]
}

// unit is entry u of the scales, of all rows.
func (g *groupRow) unit(u int) []byte { return g.scales[g.format.scales*u:] }
