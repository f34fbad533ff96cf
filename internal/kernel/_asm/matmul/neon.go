package main

import (
	"fmt"
	"math/bits"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// The arm64 kernels take the 16 rows of a group in two passes of 8, two registers of
// four rows each. SDOT multiplies four values of four rows with those of one column;
// both are signed, so that values of 8 bits get their sign back and all others stay as
// they are stored. With all eight columns of a panel there are 16 integer sums, and the
// float sums are in memory, as in pair.go.
//
// SMMLA multiplies eight values of two rows with those of two columns, twice as many as
// SDOT. Neighbouring vectors are zipped for it, of weights and of activations, and a
// register of sums has two rows of two columns.

// neonArgs: sums is memory of neonSums bytes.
var neonArgs = []string{"quants", "scales", "x", "fields", "y", "sums", "blocks", "groups", "ldy", "cols", "width", "add"}

// General registers.
const (
	nQuants a64.R = iota // cursor in the group's half
	nScales              // cursor in the group's scales
	nX                   // cursor in the panel's quants
	nFields              // cursor in the panel's field stream
	nOut                 // y of the pass
	nSums
	nBlocks // blocks or units left
	nGroups // groups left
	nLdy    // bytes from column to column of y
	nStride // bytes of four values, or one field, of all columns
	nTmp
	nInUnit                 // blocks left of the unit
	nUnit                   // start of the unit
	nAt                     // an address
	nPass                   // 0 or 32: the place of the pass's first row in a vector
	nGroupQuants            // start of the group
	nGroupScales            // start of the group's scales
	nAdd                    // the argument add
	nQuantBytes  a64.R = 19 // of a group
	nScaleBytes  a64.R = 20
	nHalf        a64.R = 21 // half of nPass: the place of its factors of 2 bytes
	nByte        a64.R = 22 // a quarter: of those of a byte
	nUnits       a64.R = 23 // of a row: blocks, or units
)

// neon emits the loop of one format for one number of columns.
type neon struct {
	*a64.Asm
	f     *format
	cols  int
	mmla  bool
	label string

	single bool // the panel has but one column: the values of a block lie together

	masks map[byte]a64.V
}

// Vector registers beside the sums, which are the first 16.
const (
	vX      a64.V = 18 // and the next: a vector of the panel
	vT      a64.V = 20
	vU      a64.V = 21
	vP      a64.V = 22
	vQ      a64.V = 23
	vMasks  a64.V = 24 // and the next
	vSpare  a64.V = 26 // and the next
	vTable  a64.V = 27
	vD      a64.V = 28 // and the next: factors of four rows each
	vM      a64.V = 30
	vBase   a64.V = 16 // and the next: once the weights are multiplied
	sumsOf8       = 16
)

func neonKernel(a *a64.Asm, f *format, mmla bool) {
	name := "sdot" + f.name
	if mmla {
		name = "smmla" + f.name
	}
	a.Function(name, fmt.Sprintf("multiplies groups of %s weights.", f.name), neonArgs...)
	for _, arg := range []struct {
		name string
		r    a64.R
	}{
		{"quants", nGroupQuants}, {"scales", nGroupScales}, {"y", nOut}, {"sums", nSums}, {"blocks", nUnits},
		{"groups", nGroups}, {"ldy", nLdy}, {"width", nStride}, {"add", nAdd}, {"cols", nTmp},
	} {
		a.Arg(arg.name, arg.r)
	}
	a.Op("LSL $2, R%d, R%d", nLdy, nLdy)
	a.Op("LSL $2, R%d, R%d", nStride, nStride)
	a.Op("MOVD $%d, R%d", f.quants, nAt)
	a.Op("MUL R%d, R%d, R%d", nAt, nUnits, nQuantBytes)
	if f.blocks > 1 {
		a.Op("LSR $%d, R%d, R%d", bits.TrailingZeros(uint(f.blocks)), nUnits, nUnits)
	}
	a.Op("MOVD $%d, R%d", f.header+f.blocks*f.scales, nAt)
	a.Op("MUL R%d, R%d, R%d", nAt, nUnits, nScaleBytes)
	counts := []int{8, 4, 2, 1}
	a.Op("CMP $4, R%d", nStride)
	a.Op("BEQ single")
	for _, c := range counts[:3] {
		a.Op("CMP $%d, R%d", c, nTmp)
		a.Op("BEQ cols%d", c)
	}
	for i := len(counts) - 1; i >= 0; i-- {
		c := counts[i]
		k := &neon{Asm: a, f: f, cols: c, mmla: mmla && c == 8, label: fmt.Sprintf("cols%d", c), masks: map[byte]a64.V{}}
		k.loop()
	}
	single := &neon{Asm: a, f: f, cols: 1, label: "single", single: true, masks: map[byte]a64.V{}}
	single.loop()
}

// kept reports whether the float sums are in registers.
func (k *neon) kept() bool { return 2*k.cols*(1+k.f.parts()) <= sumsOf8 }

// unsigned reports whether the values are multiplied as they are stored though they
// have 8 bits: USMMLA can.
func (k *neon) unsigned() bool { return k.mmla && k.f.planes[0] == 8 }

// acc, y and first are the sums of rows 4r to 4r+3 of column c.
func (k *neon) acc(r, c int) a64.V   { return a64.V(r*k.cols + c) }
func (k *neon) y(r, c int) a64.V     { return a64.V((2+r)*k.cols + c) }
func (k *neon) first(r, c int) a64.V { return a64.V((4+r)*k.cols + c) }

// Where they are in memory, by their number.
func sumAt(i int) int   { return 16 * i }
func firstAt(i int) int { return 16 * (sumsOf8 + i) }

// mask is a register with b in every byte.
func (k *neon) mask(b byte) a64.V {
	v, ok := k.masks[b]
	if !ok {
		panic(fmt.Sprintf("%s: no mask %#x", k.f.name, b))
	}
	return v
}

// neonMasks are what the unpacker of a format needs.
func (f *format) neonMasks() []byte {
	switch {
	case f.planes[0] == 8:
		return []byte{0x80}
	case f.planes[0] == 4 && f.odd:
		return []byte{0x1e, 1}
	case f.planes[0] == 1:
		return []byte{2, 1}
	}
	low := map[int]byte{4: 0x0f, 2: 0x03}[f.planes[0]]
	if f.planes[1] == 0 {
		return []byte{low}
	}
	return []byte{low, map[[2]int]byte{{4, 1}: 0x10, {4, 2}: 0x30, {2, 1}: 0x04}[f.planes]}
}

func (k *neon) loop() {
	k.Label(k.label)
	k.loadMasks()
	if k.f.levels != nil {
		k.levelTable()
	}
	k.Label(k.label + "_group")
	k.Op("MOVD $0, R%d", nPass)
	k.Label(k.label + "_pass")
	k.Op("ADD R%d, R%d, R%d", nPass, nGroupQuants, nQuants)
	k.Op("MOVD R%d, R%d", nGroupScales, nScales)
	k.Op("LSR $1, R%d, R%d", nPass, nHalf)
	k.Op("LSR $2, R%d, R%d", nPass, nByte)
	k.Arg("x", nX)
	k.Arg("fields", nFields)
	k.Op("MOVD R%d, R%d", nUnits, nBlocks)
	k.clear()
	if k.f.blocks > 1 {
		k.Label(k.label + "_unit")
		k.Op("MOVD R%d, R%d", nScales, nUnit)
		k.Op("ADD $%d, R%d", k.f.header, nScales)
		k.Op("MOVD $%d, R%d", k.f.blocks, nInUnit)
	}
	k.Label(k.label + "_block")
	k.block()
	if k.f.blocks > 1 {
		k.Op("SUBS $1, R%d, R%d", nInUnit, nInUnit)
		k.Op("BNE %s_block", k.label)
		k.Op("SUBS $1, R%d, R%d", nBlocks, nBlocks)
		k.Op("BNE %s_unit", k.label)
	} else {
		k.Op("SUBS $1, R%d, R%d", nBlocks, nBlocks)
		k.Op("BNE %s_block", k.label)
	}
	k.finish()
	k.Op("ADD $32, R%d", nOut)
	k.Op("EOR $32, R%d, R%d", nPass, nPass)
	k.Op("CBNZ R%d, %s_pass", nPass, k.label)
	k.Op("ADD R%d, R%d, R%d", nQuantBytes, nGroupQuants, nGroupQuants)
	k.Op("ADD R%d, R%d, R%d", nScaleBytes, nGroupScales, nGroupScales)
	k.Op("SUBS $1, R%d, R%d", nGroups, nGroups)
	k.Op("BNE %s_group", k.label)
	k.Op("RET")
}

func (k *neon) loadMasks() {
	for i, b := range k.f.neonMasks() {
		k.masks[b] = vMasks + a64.V(i)
		k.Bytes(k.masks[b], b)
	}
}

// levelTable puts the format's 16 levels into vTable.
func (k *neon) levelTable() {
	var table [2]uint64
	for i, v := range k.f.levels {
		table[i/8] |= uint64(byte(v)) << (8 * (i % 8))
	}
	for i, v := range table {
		k.Op("MOVD $0x%016x, R%d", v, nAt)
		k.Op("FMOVD R%d, F%d", nAt, vSpare+a64.V(i))
	}
	k.ZipD1(vTable, vSpare, vTable)
}

// clear sets the float sums to zeros.
func (k *neon) clear() {
	if k.kept() {
		for i := range 2 * k.cols {
			k.Zero(k.y(0, 0) + a64.V(i))
		}
		return
	}
	k.Zero(vP)
	k.Zero(vP + 1)
	for i := 0; i < 2*k.cols; i += 2 {
		k.StorePair(vP, nSums, sumAt(i))
	}
}

// block emits one block of 32 values and advances the cursors.
func (k *neon) block() {
	parts := k.f.parts()
	if k.single {
		k.LoadPair(vM, nX, 0) // until the factors are expanded
		k.Op("ADD $32, R%d", nX)
	}
	for h := range parts {
		k.start(h)
		for j := 8 / parts * h; j < 8/parts*(h+1); j++ {
			switch {
			case !k.mmla:
				k.dot(j)
			case j%2 == 1:
				k.multiply(j - 1)
			}
		}
		switch {
		case k.f.stream != halves:
			k.expand(0)
		case h == 0:
			k.expandFirst()
		default:
			k.expandSecond()
		}
		switch {
		case k.mmla && k.f.stream == halves:
			k.mmlaHalf(h)
		case k.mmla:
			k.mmlaWhole()
		case k.f.stream == halves:
			k.scaleHalf(h)
		default:
			k.scaleWhole()
		}
	}
	k.Op("ADD $%d, R%d", k.f.quants, nQuants)
	if k.f.scales > 0 {
		k.Op("ADD $%d, R%d", k.f.scales, nScales)
	}
	if k.cols == 8 {
		k.Op("ADD $256, R%d", nX)
		k.Op("ADD $%d, R%d", 32*k.f.stream.fields(), nFields)
		return
	}
	for range k.f.stream.fields() {
		k.Op("ADD R%d, R%d", nStride, nFields)
	}
}

// row loads four bytes of each column from r on.
func (k *neon) row(v a64.V, r a64.R, disp int) {
	switch k.cols {
	case 8:
		k.LoadPair(v, r, disp)
	case 4:
		k.Load(v, r, disp)
	case 2:
		k.Load8(v, r, disp)
	case 1:
		k.Load4(v, r, disp)
	}
}

// field loads field i of the columns to v, and to the next if there are eight.
func (k *neon) field(i int, v a64.V) {
	if k.cols == 8 {
		k.row(v, nFields, 32*i)
		return
	}
	if i == 0 {
		k.row(v, nFields, 0)
		return
	}
	k.Op("ADD R%d, R%d, R%d", nStride, nFields, nAt)
	if i == 2 {
		k.Op("ADD R%d, R%d", nStride, nAt)
	}
	k.row(v, nAt, 0)
}

// start sets the integer sums of part h to the corrections in a field, less the magic
// bits, or to zeros. Where there are halves what they add of the magic number, as an
// integer, is in the sums.
func (k *neon) start(h int) {
	shift := bits.TrailingZeros(uint(k.f.gain))
	base := 0
	if k.f.stream == halves {
		base = magic >> shift
	}
	if k.f.signed && !k.unsigned() || k.f.stream == affine || k.f.minimum {
		k.Constant(0, nAt, uint32(base))
		for i := 1; i < 2*k.cols; i++ {
			k.Mov(a64.V(i), 0)
		}
		return
	}
	k.field(1+h, vX)
	k.Constant(vQ, nAt, uint32(base-magicBits>>shift))
	for i := 0; i < k.cols; i += 4 {
		x := vX + a64.V(i/4)
		k.Shift(x, x, -shift)
		k.Add(x, x, vQ)
	}
	if k.mmla {
		for pair := range 4 {
			k.DupD(k.sum(0, pair), vX+a64.V(pair/2), pair%2)
			for rows := 1; rows < 4; rows++ {
				k.Mov(k.sum(rows, pair), k.sum(0, pair))
			}
		}
		return
	}
	for c := range k.cols {
		k.Dup(k.acc(0, c), vX+a64.V(c/4), c%4)
		k.Mov(k.acc(1, c), k.acc(0, c))
	}
}

// dot adds vector j times every column.
func (k *neon) dot(j int) {
	const w = a64.V(16)
	k.value(j, w, vU)
	if k.single {
		for r := range 2 {
			k.Dot(k.acc(r, 0), w+a64.V(r), vM+a64.V(j/4), j%4)
		}
		return
	}
	if k.cols == 8 {
		k.row(vX, nX, 32*j)
	} else {
		k.row(vX, nX, 0)
		k.Op("ADD R%d, R%d", nStride, nX)
	}
	for c := range k.cols {
		for r := range 2 {
			k.Dot(k.acc(r, c), w+a64.V(r), vX+a64.V(c/4), c%4)
		}
	}
}

// value unpacks vector j of the eight rows to v and the next.
func (k *neon) value(j int, v, u a64.V) {
	switch planes := k.f.planes; {
	case planes[0] == 8:
		k.quant(j, v)
		for r := range a64.V(2) {
			if k.unsigned() {
				break
			}
			k.Eor(v+r, v+r, k.mask(0x80))
		}
	case planes[0] == 4 && k.f.odd:
		k.plane(j%4, 1-4*(j/4), 0x1e, v)
	case planes[0] == 4:
		k.plane(j%4, -4*(j/4), 0x0f, v)
	case planes[0] == 2:
		k.plane(j/4, -2*(j%4), 0x03, v)
	case planes[0] == 1: // odd
		k.plane(0, 1-j, 0x02, v)
	}
	second := func(i, n int, mask byte) {
		k.LoadPair(u, nQuants, 64*i)
		for r := range a64.V(2) {
			k.ShiftBytes(u+r, u+r, n)
			k.Bit(v+r, u+r, k.mask(mask))
		}
	}
	switch planes := k.f.planes; {
	case planes == [2]int{4, 1}:
		second(4, 4-j, 0x10)
	case planes == [2]int{4, 2}:
		second(4+j/4, 4-2*(j%4), 0x30)
	case planes == [2]int{2, 1}:
		second(2, 2-j, 0x04)
	}
	for r := range a64.V(2) {
		if k.f.odd {
			k.Orr(v+r, v+r, k.mask(1))
		}
		if k.f.levels != nil {
			k.Table(v+r, vTable, v+r)
		}
	}
}

// plane is v = (vector i << n) & mask of each byte; n may be negative.
func (k *neon) plane(i, n int, mask byte, v a64.V) {
	k.quant(i, v)
	for r := range a64.V(2) {
		k.ShiftBytes(v+r, v+r, n)
		if byte(0xff)>>max(-n, 0) != mask {
			k.And(v+r, v+r, k.mask(mask))
		}
	}
}

// quant loads the pass's half of vector i of the quants.
func (k *neon) quant(i int, v a64.V) { k.LoadPair(v, nQuants, 64*i) }
