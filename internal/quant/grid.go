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
// The package kernel repacks such blocks by the same reader that decodes them here.
type Grid struct {
	Levels []int8  // the magnitudes that codes stand for
	Factor float32 // a power of two

	typ     Type
	entries []uint64 // the codes of an entry, one in each byte
	values  int      // of an entry
	span    int      // values that share a scale

	// evenSigns says that the number of minus signs in 8 values is even, so that
	// seven of them say all.
	evenSigns bool
	put       func(b []byte, i int, index [2]int, signs byte) // writes values 8i to 8i+7
	putScale  func(b []byte, s int, scale byte)               // and the scale of run s of span values
}

var grids = [...]*Grid{
	IQ2_XXS: {typ: IQ2_XXS, Levels: levels2, Factor: 0.25, entries: unpackGrid(gridIQ2XXS, 8, 3), values: 8, span: 32, evenSigns: true,
		put: putIQ2_XXS, putScale: putScaleIQ2_XXS},
	IQ2_XS: {typ: IQ2_XS, Levels: levels2, Factor: 0.25, entries: unpackGrid(gridIQ2XS, 8, 3), values: 8, span: 16, evenSigns: true,
		put: putIQ2_XS, putScale: putScaleIQ2_XS},
	IQ2_S: {typ: IQ2_S, Levels: levels2, Factor: 0.25, entries: unpackGrid(gridIQ2S, 8, 3), values: 8, span: 16,
		put: putIQ2_S, putScale: putScaleIQ2_XS},
	IQ3_XXS: {typ: IQ3_XXS, Levels: []int8{4, 12, 20, 28, 36, 44, 52, 62}, Factor: 0.5, entries: unpackGrid(gridIQ3XXS, 4, 8), values: 4, span: 32, evenSigns: true,
		put: putIQ3_XXS, putScale: putScaleIQ3_XXS},
	IQ3_S: {typ: IQ3_S, Levels: []int8{1, 3, 5, 7, 9, 11, 13, 15}, Factor: 2, entries: unpackGrid(gridIQ3S, 4, 8), values: 4, span: 32,
		put: putIQ3_S, putScale: putScaleIQ3_S},
}

var levels2 = []int8{8, 25, 43}

// GridOf is the grid of an IQ2 or IQ3 format, nil for other types.
func GridOf(t Type) *Grid {
	if int(t) >= len(grids) {
		return nil
	}
	return grids[t]
}

// GridBlock is what a block says, but for its factor d: of eights of values the
// codes, one in each byte, and the signs, one in each bit, set for minus; and the
// scale of each 16 values.
type GridBlock struct {
	Codes  [32]uint64
	Signs  [32]byte
	Scales [16]byte
}

// Read takes block b apart.
func (g *Grid) Read(b []byte, v *GridBlock) {
	switch g.typ { // not a function variable, for which v would have to be allocated
	case IQ2_XXS:
		g.readIQ2_XXS((*[66]byte)(b), v)
	case IQ2_XS:
		g.readIQ2_XS((*[74]byte)(b), v)
	case IQ2_S:
		g.readIQ2_S((*[82]byte)(b), v)
	case IQ3_XXS:
		g.readIQ3_XXS((*[98]byte)(b), v)
	case IQ3_S:
		g.readIQ3_S((*[110]byte)(b), v)
	}
}

// decode is the decoder of a grid's format. All products but the last are exact,
// so their order does not matter.
func (g *Grid) decode(y []float32, b []byte) {
	var v GridBlock
	g.Read(b, &v)
	d := half(b)
	for i, codes := range v.Codes {
		db := d * (float32(v.Scales[i/2]) + 0.5) * g.Factor
		for j := range 8 {
			w := db * float32(g.Levels[codes>>(8*j)&7])
			if v.Signs[i]>>j&1 != 0 {
				w = -w
			}
			y[8*i+j] = w
		}
	}
}

// eighthSign adds to seven signs the one that makes the number of minus signs even.
var eighthSign = func() (tab [128]byte) {
	for i := range tab {
		tab[i] = byte(i | bits.OnesCount(uint(i))&1<<7)
	}
	return
}()

// fourSigns reads four times seven signs and, above them, the scale of 32 values.
func (v *GridBlock) fourSigns(s int, word uint32) {
	for l := range 4 {
		v.Signs[4*s+l] = eighthSign[word>>(7*l)&127]
	}
	v.Scales[2*s], v.Scales[2*s+1] = byte(word>>28), byte(word>>28)
}

// IQ2_XXS: d f16, for each 32 values 4 bytes of indices and 4 bytes of four times
// seven signs, and the scale.
func (g *Grid) readIQ2_XXS(b *[66]byte, v *GridBlock) {
	entries := (*[256]uint64)(g.entries)
	for s := range 8 {
		q := (*[8]byte)(b[2+8*s:])
		for l := range 4 {
			v.Codes[4*s+l] = entries[q[l]]
		}
		v.fourSigns(s, binary.LittleEndian.Uint32(q[4:]))
	}
}

// IQ2_XS: d f16, [32]uint16 of 9 bits of index and seven signs, [8]byte of scales.
func (g *Grid) readIQ2_XS(b *[74]byte, v *GridBlock) {
	entries := (*[512]uint64)(g.entries)
	for i := range v.Codes {
		q := binary.LittleEndian.Uint16(b[2+2*i:])
		v.Codes[i], v.Signs[i] = entries[q&511], eighthSign[q>>9]
		v.Scales[i/2] = b[66+i/4] >> (i / 2 % 2 * 4) & 15
	}
}

// IQ2_S: d f16, low bytes of the indices [32]byte, signs [32]byte, upper two bits
// of the indices [8]byte, [8]byte of scales.
func (g *Grid) readIQ2_S(b *[82]byte, v *GridBlock) {
	entries := (*[1024]uint64)(g.entries)
	for i := range v.Codes {
		high := int(b[66+i/4]) >> (i % 4 * 2) & 3
		v.Codes[i], v.Signs[i] = entries[int(b[2+i])|high<<8], b[34+i]
		v.Scales[i/2] = b[74+i/4] >> (i / 2 % 2 * 4) & 15
	}
}

// IQ3_XXS: d f16, indices [64]byte, for each 32 values 4 bytes of four times seven
// signs, and the scale.
func (g *Grid) readIQ3_XXS(b *[98]byte, v *GridBlock) {
	entries := (*[256]uint64)(g.entries)
	for i := range v.Codes {
		v.Codes[i] = entries[b[2+2*i]] | entries[b[3+2*i]]<<32
	}
	for s := range 8 {
		v.fourSigns(s, binary.LittleEndian.Uint32(b[66+4*s:]))
	}
}

// IQ3_S: d f16, low bytes of the indices [64]byte, their upper bit [8]byte, signs
// [32]byte, [4]byte of scales.
func (g *Grid) readIQ3_S(b *[110]byte, v *GridBlock) {
	entries := (*[512]uint64)(g.entries)
	for i := range v.Codes {
		high := int(b[66+i/4]) >> (i % 4 * 2)
		v.Codes[i] = entries[int(b[2+2*i])|high&1<<8] | entries[int(b[3+2*i])|high>>1&1<<8]<<32
		v.Signs[i] = b[74+i]
		v.Scales[i/2] = b[106+i/8] >> (i / 4 % 2 * 4) & 15
	}
}
