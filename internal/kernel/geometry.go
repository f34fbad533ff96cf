package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// Bytes of all rows of a group.
const (
	halfRow    = 2 * Lanes            // of a float16 factor
	byteRow    = Lanes                // of a byte factor
	planeBytes = BlockLen * Lanes / 8 // of one bit of each value of a block
)

// geometry says how the packed weights of a format lie in a group of Lanes rows.
// The generator of the matrix kernels reads the table below from this file, so the
// assembly and the Go code agree. After a change, run make generate.
type geometry struct {
	unit   int    // values of a row that share an entry of the scales: 32, 64, 128 or 256
	halves int    // float16 factors of a unit, for each row
	bytes  int    // then byte factors of each block of 32 values, for each row
	planes [2]int // bits of a value in the first and in the second plane of the quants
	stream stream // what the kernels read of a panel besides its quants

	// Values are stored without a sign, with an offset of 128 >> shift, unless
	// the format has minima (affineStream, or minimum) or looks values up. Times
	// 1 << shift they fit into eight bits, and that is how some kernels have them.
	shift   int
	odd     bool // of a stored value the lowest bit, always 1, is left out
	divide  int  // the power of two that divides the float16 factor, if it is not 0
	minimum bool // what the factors add is the negative of a minimum
}

var geometries = [...]geometry{
	quant.F32:    {unit: 32, planes: [2]int{32}},
	quant.F16:    {unit: 32, planes: [2]int{16}},
	quant.BF16:   {unit: 32, planes: [2]int{16}},
	quant.Q8_0:   {unit: 32, halves: 1, planes: [2]int{8}},
	quant.Q4_0:   {unit: 32, halves: 1, planes: [2]int{4}, shift: 4},
	quant.Q5_0:   {unit: 32, halves: 1, planes: [2]int{4, 1}, shift: 3},
	quant.IQ4_NL: {unit: 32, halves: 1, planes: [2]int{4}},
	quant.IQ4_XS: {unit: 256, halves: 1, bytes: 1, planes: [2]int{4}},
	quant.MXFP4:  {unit: 32, bytes: 1, planes: [2]int{4}},
	quant.Q4_1:   {unit: 32, halves: 2, planes: [2]int{4}, stream: affineStream},
	quant.Q5_1:   {unit: 32, halves: 2, planes: [2]int{4, 1}, stream: affineStream},
	quant.Q4_K:   {unit: 256, halves: 2, bytes: 2, planes: [2]int{4}, stream: affineStream, minimum: true},
	quant.Q5_K:   {unit: 256, halves: 2, bytes: 2, planes: [2]int{4, 1}, stream: affineStream, minimum: true},
	quant.Q6_K:   {unit: 256, halves: 1, bytes: 2, planes: [2]int{4, 2}, stream: halvesStream, shift: 2},
	quant.Q3_K:   {unit: 256, halves: 1, bytes: 2, planes: [2]int{2, 1}, stream: halvesStream, shift: 5},
	quant.Q2_K:   {unit: 256, halves: 2, bytes: 2, planes: [2]int{2}, stream: halvesStream, minimum: true, shift: 6},

	quant.IQ2_XXS: {unit: 256, halves: 1, bytes: 1, planes: [2]int{2, 1}, divide: 8},
	quant.IQ2_XS:  {unit: 256, halves: 1, bytes: 1, planes: [2]int{2, 1}, divide: 4, stream: halvesStream},
	quant.IQ2_S:   {unit: 256, halves: 1, bytes: 1, planes: [2]int{2, 1}, divide: 4, stream: halvesStream},
	quant.IQ3_XXS: {unit: 256, halves: 1, bytes: 1, planes: [2]int{4}, divide: 4},
	quant.IQ3_S:   {unit: 256, halves: 1, bytes: 1, planes: [2]int{4}, shift: 3, odd: true},
	quant.TQ1_0:   {unit: 256, halves: 1, planes: [2]int{2}, shift: 6},
	quant.TQ2_0:   {unit: 256, halves: 1, planes: [2]int{2}, shift: 6},
	quant.Q2_0:    {unit: 64, halves: 1, planes: [2]int{2}, shift: 6},
	quant.Q1_0:    {unit: 128, halves: 1, planes: [2]int{1}, shift: 6, odd: true},
}

// quantBytes is the size of the quants of a block of 32 values.
func (g geometry) quantBytes() int { return planeBytes * (g.planes[0] + g.planes[1]) }

// scaleBytes is the size of a unit of the scales.
func (g geometry) scaleBytes() int { return halfRow*g.halves + byteRow*g.unit/BlockLen*g.bytes }
