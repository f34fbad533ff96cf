package main

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// The AVX2 kernels have the 16 rows of a group in two registers of 8 rows, so that
// an activation that is loaded serves both. What is multiplied, and in which width
// it is added up, depends on the size of the values:
//
//   - Values of up to six bits stay as small as they are stored, and VPMADDUBSW
//     adds several products in 16 bits before they are widened to 32.
//   - Values of eight bits, times activations of eight bits, fill 16 bits with two
//     products. With four columns values and activations are widened to 16 bits
//     first, and VPMADDWD adds two products in 32: two instructions for 16 products,
//     of which one is a multiplication. Fewer columns do not pay for the widening:
//     there VPMADDUBSW multiplies the magnitudes, and the activations take the sign.
//   - With AVX-VNNI, VPDPBUSD does it all: it multiplies eight bits and adds in 32.
//
// Four columns leave no registers for the float sums, which wait on the stack.

const avx2Signature = "func(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)"

// The two registers of a group's rows.
const sides = 2

// avx2 emits the loop of one format for one number of columns.
type avx2 struct {
	*asm
	f    *format
	cols int
	vnni bool

	// sums are the products of the rows of a side with a column, in 16 bits if
	// words() says so, otherwise in 32. With VPDPBUSD and few columns odd ones are
	// the products of odd vectors, so that none has to wait for the one before it.
	sums, odd [sides][]vec

	// A vector of values of either side, and what it is made from or its second half.
	v, u [sides]vec
	p, q vec    // an activation, a product
	free [2]vec // for masks
	mask map[uint32]vec

	// On the stack, a register for each side and column: the sums in 32 bits of the
	// vectors so far, those of the first half of a block, and the float sums. The widened
	// activations of a block take the place of the first.
	ints, first, y int

	source
}

// source is what a kernel multiplies and adds up, and where it is: packed, as the weights
// are in memory, or unfolded.
type source interface {
	// masks are those that value needs. They are in registers, as far as there are free ones.
	masks() []uint32

	// value emits what brings vector j of side r to v.
	value(j, r int)

	// activation is the four activations of column c that meet vector j. Once that is done,
	// advance emits what a cursor in the activations needs to reach those of the next one.
	activation(j, c int) operand.Mem
	advance(j int)

	// activations are those of four columns that meet vector j, which is even, and the next
	// one. They are asked for in order, before anything is multiplied.
	activations(j int) (low, high operand.Mem)

	// field is field i, up to 2, of column c in the panel's stream.
	field(i, c int) operand.Mem

	// sum is the place of the float sum of side r and column c.
	sum(r, c int) operand.Mem

	// wholeFactors emits what brings the factors of side r to registers: d multiplies the
	// integer sums, base is d times -magic, and m, if affine, multiplies the sum of the
	// activations.
	wholeFactors(r int, d, m, base vec)

	// halfFactors does so where the halves of a block have their own: d0 and d1, Q2_K's
	// minima m, and their base, (d0+d1) times -magic.
	halfFactors(r int, d0, d1 vec, m [2]vec, base vec)

	// subtracts reports whether m is a minimum, which is subtracted: otherwise it is added.
	subtracts() bool
}

var (
	unit   = reg.R13 // start of the unit of the scales
	stride = reg.R14 // bytes of four values, or one field, of all columns
	stack  = reg.R12 // start of the sums on the stack, aligned to a register
	before = reg.R15 // the distance at which the quants are prefetched
)

// Bytes on the stack.
const (
	ymmBytes  = 32
	stackSums = sides * 4 * ymmBytes // a register for each side and column
)

// avx2Cols are the numbers of columns that have a loop, largest first.
var avx2Cols = []int{4, 2, 1}

func avx2Kernel(a *asm, f *format, vnni bool) {
	name := "avx2" + f.name
	if vnni {
		name = "avxVNNI" + f.name
	}
	a.Function(name)
	a.SignatureExpr(avx2Signature)
	a.Doc(fmt.Sprintf("%s multiplies groups of %s weights.", name, f.name))
	a.frame(1 + f.parts())
	a.param("quants", quants)
	a.param("scales", scales)
	a.param("y", out)
	a.param("groups", groups)
	a.param("ldy", ldy)
	a.SHLQ(operand.Imm(2), ldy)
	a.param("width", stride)
	a.SHLQ(operand.Imm(2), stride)
	a.param("ahead", before)
	a.choose(avx2Cols, func(c int, label string) {
		newAVX2(a, f, c, vnni).loop(label)
	})
}

func newAVX2(a *asm, f *format, cols int, vnni bool) *avx2 {
	k := &avx2{asm: a, f: f, cols: cols, vnni: vnni, first: (f.parts() - 1) * stackSums, y: f.parts() * stackSums}
	k.sums = [sides][]vec{ymm[:cols], ymm[cols : 2*cols]}
	if cols < 4 {
		k.odd = [sides][]vec{ymm[2*cols : 3*cols], ymm[3*cols : 4*cols]}
	}
	k.v, k.u = [sides]vec{ymm[8], ymm[9]}, [sides]vec{ymm[10], ymm[11]}
	k.p, k.q, k.free = ymm[12], ymm[13], [2]vec{ymm[14], ymm[15]}
	k.source = packed{k}
	return k
}

// frame makes room on the stack for so many sets of sums.
func (a *asm) frame(sets int) {
	room := a.AllocLocal(sets*stackSums + ymmBytes)
	a.LEAQ(room.Offset(ymmBytes-1), stack)
	a.ANDQ(operand.I8(-ymmBytes), stack)
}

func (k *avx2) loop(label string) {
	k.Label(label + "_group")
	k.VPXOR(k.p, k.p, k.p)
	for r := range sides {
		for c := range k.cols {
			k.VMOVAPS(k.p, k.sum(r, c))
		}
	}
	k.param("x", xs)
	k.param("fields", fields)
	k.param("blocks", blocks)
	if k.f.blocks > 1 {
		k.SHRQ(k.f.unitShift(), blocks)
		k.Label(label + "_unit")
		k.MOVQ(scales, unit)
		k.ADDQ(operand.Imm(uint64(k.f.header)), scales)
		k.MOVQ(operand.U32(uint32(k.f.blocks)), inUnit)
	}
	k.Label(label + "_block")
	k.block()
	k.nextBlock(k.f, label)
	for r := range sides {
		for c, y := range k.sums[r] {
			k.VMOVAPS(k.sum(r, c), y)
			if k.f.gain > 1 {
				k.VMULPS(k.repeat(math.Float32bits(1/float32(k.f.gain))), y, y)
			}
		}
		k.store(k.sums[r], 32*r, fmt.Sprintf("%s_store%d", label, r))
	}
	k.nextGroup(label)
}

func (k *avx2) block() {
	for line := 0; line < k.f.quants; line += 64 {
		k.PREFETCHT2(operand.Mem{Base: quants, Index: before, Scale: 1, Disp: line})
	}
	k.loadMasks()
	if k.wide() {
		k.widen()
	}
	k.products()
	if k.f.stream == halves {
		k.addHalves()
	} else {
		k.addWhole()
	}
	k.ADDQ(operand.U32(uint32(k.f.quants)), quants)
	if k.f.scales > 0 {
		k.ADDQ(operand.Imm(uint64(k.f.scales)), scales)
	}
	for range k.f.stream.fields() {
		k.ADDQ(stride, fields)
	}
}

// products multiplies the values of a block with every column.
func (k *avx2) products() {
	for h := range k.f.parts() {
		if !k.words() {
			k.start(h)
		}
		first, count := h*8/k.f.parts(), 8/k.f.parts()
		for j := first; j < first+count; j++ {
			for r := range sides {
				k.value(j, r)
				if k.signed() {
					k.VPABSB(k.v[r], k.u[r])
				}
			}
			switch {
			case k.vnni:
				k.dot(j)
			case k.wide():
				k.multiplyWide(j)
			case k.words():
				k.multiplyWords(j, (j-first)%k.f.run == 0)
				if n := j - first + 1; n%k.f.run == 0 || n == count {
					k.addWords(h, n <= k.f.run, n == count)
				}
			default:
				k.multiply(j)
			}
			k.advance(j)
		}
		k.finish(h)
	}
}

// wide reports whether values and activations are widened to 16 bits.
func (k *avx2) wide() bool { return k.f.signed && k.f.run == 1 && k.cols == 4 && !k.vnni }

// signed reports whether the values are multiplied as magnitude and sign.
func (k *avx2) signed() bool { return k.f.signed && !k.vnni && !k.wide() }

// words reports whether products are added in 16 bits.
func (k *avx2) words() bool { return k.f.run > 1 && !k.vnni }

// shift is the bits by which sums are smaller than in vnni.go. Those in 16 bits become as
// large when they are widened.
func (k *avx2) shift() int {
	if k.words() {
		return 0
	}
	return bits.TrailingZeros(uint(k.f.gain))
}

// beginning is what the integer sums of part h and column c begin with: its correction in
// a field, or the magic number. Either is brought down to sums that are as small as their
// values are stored: all is divisible by the gain. It is in a register or in memory.
func (k *avx2) beginning(h, c int) operand.Op {
	if k.signed() || k.f.stream == affine || k.f.minimum {
		return k.repeat(magicBits >> k.shift())
	}
	k.VPBROADCASTD(k.field(1+h, c), k.p)
	if k.shift() > 0 {
		k.VPSRAD(operand.Imm(uint64(k.shift())), k.p, k.p)
	}
	return k.p
}

// start sets sums of 32 bits to what they begin with.
func (k *avx2) start(h int) {
	for c := range k.cols {
		from := k.beginning(h, c)
		for r := range sides {
			k.VMOVDQA(from, k.sums[r][c])
		}
	}
}

// finish makes the integer sums of part h numbers as vnni.go has them: the bits of magic
// plus gain times the sum. Those of the first half of a block go to the stack.
func (k *avx2) finish(h int) {
	for r := range sides {
		for c, sum := range k.sums[r] {
			if k.vnni && k.cols < 4 {
				k.VPADDD(k.odd[r][c], sum, sum)
			}
			if k.shift() > 0 {
				k.VPSLLD(operand.Imm(uint64(k.shift())), sum, sum)
			}
			if k.f.stream == halves && h == 0 {
				k.VMOVDQA(sum, k.slot(k.first, r, c))
			}
		}
	}
}

// dot adds vector j times every column.
func (k *avx2) dot(j int) {
	into := k.sums
	if k.cols < 4 && j%2 == 1 {
		into = k.odd
	}
	for c := range k.cols {
		k.VPBROADCASTD(k.activation(j, c), k.p)
		for r := range sides {
			if k.cols < 4 && j%(8/k.f.parts()) == 1 {
				k.VPXOR(into[r][c], into[r][c], into[r][c])
			}
			k.dotVEX(k.p, k.v[r], into[r][c])
		}
	}
}

// multiplyWords adds vector j times every column in 16 bits, or begins with it.
func (k *avx2) multiplyWords(j int, begin bool) {
	for c := range k.cols {
		k.VPBROADCASTD(k.activation(j, c), k.p)
		for r := range sides {
			product := k.q
			if begin {
				product = k.sums[r][c]
			}
			k.multiplyBytes(r, product)
			if !begin {
				k.VPADDW(k.q, k.sums[r][c], k.sums[r][c])
			}
		}
	}
}

// addWords widens the sums of 16 bits to 32, times the gain, and adds to them those of
// earlier vectors of the part, or what its sums begin with. If it is not the last time they
// go to the stack.
func (k *avx2) addWords(h int, begin, last bool) {
	gain := k.repeat(uint32(k.f.gain) * 0x00010001)
	for c := range k.cols {
		var from operand.Op
		if begin {
			from = k.beginning(h, c)
		}
		for r := range sides {
			if !begin {
				from = k.slot(k.ints, r, c)
			}
			sum := k.sums[r][c]
			k.VPMADDWD(gain, sum, sum)
			k.VPADDD(from, sum, sum)
			if !last {
				k.VMOVDQA(sum, k.slot(k.ints, r, c))
			}
		}
	}
}

// multiply adds vector j times every column in 32 bits.
func (k *avx2) multiply(j int) {
	for c := range k.cols {
		k.VPBROADCASTD(k.activation(j, c), k.p)
		for r := range sides {
			k.multiplyBytes(r, k.q)
			k.VPMADDWD(k.repeat(0x00010001), k.q, k.q)
			k.VPADDD(k.q, k.sums[r][c], k.sums[r][c])
		}
	}
}

// multiplyBytes is the values of side r times the activations in p, in 16 bits.
func (k *avx2) multiplyBytes(r int, product vec) {
	if k.signed() {
		k.VPSIGNB(k.v[r], k.p, k.q)
		k.VPMADDUBSW(k.q, k.u[r], product)
		return
	}
	k.VPMADDUBSW(k.p, k.v[r], product)
}

// widen puts the block's activations on the stack in 16 bits. Of each four values of a
// column it puts the first and the third into a dword, the second and the fourth into
// another, 32 bytes farther; those of two vectors, four columns each, are next to each other.
func (k *avx2) widen() {
	for j := 0; j < 8; j += 2 {
		low, high := k.activations(j)
		k.VMOVDQU(low, k.p.AsX())
		k.VINSERTI128(operand.Imm(1), high, k.p, k.p)
		k.VPSRAW(operand.Imm(8), k.p, k.q)
		k.VPSLLW(operand.Imm(8), k.p, k.p)
		k.VPSRAW(operand.Imm(8), k.p, k.p)
		k.VMOVDQA(k.p, at(stack, k.ints+32*j))
		k.VMOVDQA(k.q, at(stack, k.ints+32*j+32))
	}
}

// multiplyWide adds vector j, widened to 16 bits, times every column.
func (k *avx2) multiplyWide(j int) {
	for r := range sides {
		k.VPSRLW(operand.Imm(8), k.v[r], k.u[r])
		k.and(0x00ff00ff, k.v[r], k.v[r])
	}
	for c := range k.cols {
		for parity, values := range [][sides]vec{k.v, k.u} {
			k.VPBROADCASTD(at(stack, k.ints+64*(j/2)+32*parity+16*(j%2)+4*c), k.p)
			for r := range sides {
				k.VPMADDWD(k.p, values[r], k.q)
				k.VPADDD(k.q, k.sums[r][c], k.sums[r][c])
			}
		}
	}
}

// slot is the place on the stack, in the set of sums at an offset, of side r and column c.
func (k *avx2) slot(set, r, c int) operand.Mem { return at(stack, set+ymmBytes*(k.cols*r+c)) }

// repeat is a read-only vector of equal dwords.
func (a *asm) repeat(v uint32) operand.Mem {
	m, ok := a.repeats[v]
	if !ok {
		m = a.dwords(fmt.Sprintf("all_%08x", v), v, v, v, v, v, v, v, v)
		a.repeats[v] = m
	}
	return m
}

// dotVEX is VPDPBUSD as AVX-VNNI encodes it.
func (a *asm) dotVEX(x, v, acc vec) { a.Instruction(lanes.DotVEX(x, v, acc)) }
