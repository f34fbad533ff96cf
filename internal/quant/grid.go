package quant

import (
	"encoding/binary"
	"math/bits"
)

// Grid is how an IQ2 or IQ3 format says its 256 values. The magnitudes of 8 (IQ3:
// 4) neighbours are an entry of a grid, of which a block has the index; their signs
// are a bit each. Each 16 or 32 values have a scale of 4 bits:
//
//	y = ±d * (scale+0.5) * Factor * Levels[code]
//
// The package kernel repacks such blocks by the same methods that decode them here.
type Grid struct {
	Levels []int8  // the magnitudes that codes stand for
	Factor float32 // a power of two

	entries []uint64 // the codes of an entry, one in each byte
	values  int      // of an entry
	span    int      // values that share a scale

	// index is the index of the entries of values 8i to 8i+7 of a block: one, or
	// two for IQ3.
	index func(b []byte, i int) [2]int
	signs func(b []byte, i int) byte // of values 8i to 8i+7, bit by bit
	scale func(b []byte, s int) byte // of run s of so many values as share one

	// evenSigns says that the number of minus signs in 8 values is even, so that
	// seven of them say all.
	evenSigns bool
	put       func(b []byte, i int, index [2]int, signs byte) // writes what index and signs read
	putScale  func(b []byte, s int, scale byte)
}

var grids = [...]*Grid{
	IQ2_XXS: {Levels: levels2, Factor: 0.25, entries: unpackGrid(gridIQ2XXS, 8, 3), values: 8, span: 32, evenSigns: true,
		index: indexIQ2_XXS, signs: signsIQ2_XXS, scale: scaleIQ2_XXS, put: putIQ2_XXS, putScale: putScaleIQ2_XXS},
	IQ2_XS: {Levels: levels2, Factor: 0.25, entries: unpackGrid(gridIQ2XS, 8, 3), values: 8, span: 16, evenSigns: true,
		index: indexIQ2_XS, signs: signsIQ2_XS, scale: scaleIQ2_XS, put: putIQ2_XS, putScale: putScaleIQ2_XS},
	IQ2_S: {Levels: levels2, Factor: 0.25, entries: unpackGrid(gridIQ2S, 8, 3), values: 8, span: 16,
		index: indexIQ2_S, signs: signsIQ2_S, scale: scaleIQ2_XS, put: putIQ2_S, putScale: putScaleIQ2_XS},
	IQ3_XXS: {Levels: []int8{4, 12, 20, 28, 36, 44, 52, 62}, Factor: 0.5, entries: unpackGrid(gridIQ3XXS, 4, 8), values: 4, span: 32, evenSigns: true,
		index: indexIQ3_XXS, signs: signsIQ3_XXS, scale: scaleIQ3_XXS, put: putIQ3_XXS, putScale: putScaleIQ3_XXS},
	IQ3_S: {Levels: []int8{1, 3, 5, 7, 9, 11, 13, 15}, Factor: 2, entries: unpackGrid(gridIQ3S, 4, 8), values: 4, span: 32,
		index: indexIQ3_S, signs: signsIQ3_S, scale: scaleIQ3_S, put: putIQ3_S, putScale: putScaleIQ3_S},
}

var levels2 = []int8{8, 25, 43}

// GridOf is the grid of an IQ2 or IQ3 format, nil for other types.
func GridOf(t Type) *Grid {
	if int(t) >= len(grids) {
		return nil
	}
	return grids[t]
}

// Eight returns values 8i to 8i+7 of block b: the codes, one in each byte, and
// their signs, one in each bit, set for minus.
func (g *Grid) Eight(b []byte, i int) (codes uint64, signs byte) {
	index := g.index(b, i)
	codes = g.entries[index[0]]
	if g.values == 4 {
		codes |= g.entries[index[1]] << 32
	}
	return codes, g.signs(b, i)
}

// Scale is the scale of values 16i to 16i+15 of block b.
func (g *Grid) Scale(b []byte, i int) byte { return g.scale(b, i*16/g.span) }

// decode is the decoder of a grid's format. All products but the last are
// exact, so their order does not matter.
func (g *Grid) decode(y []float32, b []byte) {
	for i := range 32 {
		db := half(b) * (float32(g.Scale(b, i/2)) + 0.5) * g.Factor
		codes, signs := g.Eight(b, i)
		for j := range 8 {
			v := db * float32(g.Levels[codes>>(8*j)&7])
			if signs>>j&1 != 0 {
				v = -v
			}
			y[8*i+j] = v
		}
	}
}

// eighthSign adds the sign that makes the number of minus signs even.
func eighthSign(seven uint32) byte {
	seven &= 127
	return byte(seven | uint32(bits.OnesCount32(seven)&1)<<7)
}

// IQ2_XXS: d f16, for each 32 values 4 bytes of indices and 4 bytes of four times
// seven signs, and the scale.

func indexIQ2_XXS(b []byte, i int) [2]int { return [2]int{int(b[2+i/4*8+i%4])} }
func signsIQ2_XXS(b []byte, i int) byte {
	return eighthSign(binary.LittleEndian.Uint32(b[6+i/4*8:]) >> (7 * (i % 4)))
}
func scaleIQ2_XXS(b []byte, s int) byte { return b[9+8*s] >> 4 }

// IQ2_XS: d f16, [32]uint16 of 9 bits of index and seven signs, [8]byte of scales.

func indexIQ2_XS(b []byte, i int) [2]int {
	return [2]int{int(binary.LittleEndian.Uint16(b[2+2*i:]) & 511)}
}
func signsIQ2_XS(b []byte, i int) byte { return eighthSign(uint32(b[3+2*i] >> 1)) }
func scaleIQ2_XS(b []byte, s int) byte { return b[len(b)-8+s/2] >> (s % 2 * 4) & 15 }

// IQ2_S: d f16, low bytes of the indices [32]byte, signs [32]byte, upper two bits
// of the indices [8]byte, [8]byte of scales.

func indexIQ2_S(b []byte, i int) [2]int {
	return [2]int{int(b[2+i]) | int(b[66+i/4]>>(i%4*2)&3)<<8}
}
func signsIQ2_S(b []byte, i int) byte { return b[34+i] }

// IQ3_XXS: d f16, indices [64]byte, for each 32 values 4 bytes of four times seven
// signs, and the scale.

func indexIQ3_XXS(b []byte, i int) [2]int { return [2]int{int(b[2+2*i]), int(b[3+2*i])} }
func signsIQ3_XXS(b []byte, i int) byte {
	return eighthSign(binary.LittleEndian.Uint32(b[66+i/4*4:]) >> (7 * (i % 4)))
}
func scaleIQ3_XXS(b []byte, s int) byte { return b[69+4*s] >> 4 }

// IQ3_S: d f16, low bytes of the indices [64]byte, their upper bit [8]byte, signs
// [32]byte, [4]byte of scales.

func indexIQ3_S(b []byte, i int) [2]int {
	high := int(b[66+i/4]) >> (i % 4 * 2)
	return [2]int{int(b[2+2*i]) | high&1<<8, int(b[3+2*i]) | high>>1&1<<8}
}
func signsIQ3_S(b []byte, i int) byte { return b[74+i] }
func scaleIQ3_S(b []byte, s int) byte { return b[106+s/2] >> (s % 2 * 4) & 15 }
