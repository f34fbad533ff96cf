// Package lanes lets one generator serve both vector tiers: an Arch hands out
// registers of its width and hides the few instructions that differ.
package lanes

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Arch is a vector width.
type Arch struct {
	Name  string // suffix of the function names
	Lanes int    // float32 in a register
}

var (
	AVX512 = Arch{"AVX512", 16}
	AVX2   = Arch{"AVX2", 8}
	All    = []Arch{AVX512, AVX2}
)

// Wide says that a is AVX-512: 32 registers, masks, broadcast operands.
func (a Arch) Wide() bool { return a.Lanes == 16 }

// Bytes is the size of a register.
func (a Arch) Bytes() int { return 4 * a.Lanes }

// Reg is a new vector register.
func (a Arch) Reg() reg.VecVirtual {
	if a.Wide() {
		return ZMM()
	}
	return YMM()
}

// Half is a new register of half the width.
func (a Arch) Half() reg.VecVirtual {
	if a.Wide() {
		return YMM()
	}
	return XMM()
}

// Regs are n new registers.
func (a Arch) Regs(n int) []reg.VecVirtual {
	rs := make([]reg.VecVirtual, n)
	for i := range rs {
		rs[i] = a.Reg()
	}
	return rs
}

// Zero clears r.
func (a Arch) Zero(r reg.VecVirtual) {
	if a.Wide() {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
}

var constants = map[uint32]Mem{}

// Word is a static 32-bit constant.
func Word(bits uint32) Mem {
	m, ok := constants[bits]
	if !ok {
		m = ConstData(fmt.Sprintf("word%08x", bits), U32(bits))
		constants[bits] = m
	}
	return m
}

// Const is v in every lane.
func (a Arch) Const(v float64) reg.VecVirtual {
	r := a.Reg()
	VBROADCASTSS(Word(math.Float32bits(float32(v))), r)
	return r
}

var spreads = map[uint32]Mem{}

// Operand is v in every lane, for use as an operand: a register where there are
// 32, memory where there are 16.
func (a Arch) Operand(v float64) Op {
	if a.Wide() {
		return a.Const(v)
	}
	bits := math.Float32bits(float32(v))
	m, ok := spreads[bits]
	if !ok {
		m = GLOBL(fmt.Sprintf("spread%08x", bits), attr.RODATA|attr.NOPTR)
		for i := range a.Lanes {
			DATA(4*i, U32(bits))
		}
		spreads[bits] = m
	}
	return m
}

// Pattern is a register whose lane i has v(i).
func (a Arch) Pattern(name string, v func(i int) float64) reg.VecVirtual {
	m := GLOBL(name+a.Name, attr.RODATA|attr.NOPTR)
	for i := range a.Lanes {
		DATA(4*i, U32(math.Float32bits(float32(v(i)))))
	}
	r := a.Reg()
	VMOVUPS(m, r)
	return r
}

// Param is a float32 argument in every lane.
func (a Arch) Param(name string) reg.VecVirtual {
	r := a.Reg()
	VBROADCASTSS(Argument(name), r)
	return r
}

// Argument is the place on the stack of a float32 argument.
//
// avo's own Load and Store move a float32 by MOVSS, an instruction of SSE.
// Between instructions that write 256 or 512 bits, each one makes an Intel core
// wait more than a hundred cycles. Argument and SetResult are what the
// generators use instead.
func Argument(name string) Mem { return address(Param(name)) }

// SetResult stores the lowest lane of x as the function's only result.
func SetResult(x reg.VecVirtual) { VMOVSS(x.AsX(), address(ReturnIndex(0))) }

// SetNamed stores the lowest lane of x as the result of that name.
func SetNamed(name string, x reg.VecVirtual) { VMOVSS(x.AsX(), address(Return(name))) }

// address is where an argument or a result of the function lies.
func address(c gotypes.Component) Mem {
	basic, err := c.Resolve()
	if err != nil {
		panic(err) // the signature has no such argument
	}
	return basic.Addr
}

// Pointer loads an integer or pointer argument.
func Pointer(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// Reduce folds r with op (VADDPS, VMAXPS) into the lowest lane of the result.
func (a Arch) Reduce(r reg.VecVirtual, op func(...Op)) reg.VecVirtual {
	y := r.AsY()
	if a.Wide() {
		hi := YMM()
		VEXTRACTF64X4(U8(1), r, hi)
		op(hi, r.AsY(), hi)
		y = hi
	}
	x, t := XMM(), XMM()
	VEXTRACTF128(U8(1), y, x)
	op(x, y.(reg.VecVirtual).AsX(), x)
	VPERMILPS(U8(0x4e), x, t)
	op(t, x, x)
	VPERMILPS(U8(0xb1), x, t)
	op(t, x, x)
	return x
}

var labels int

// NewLabel makes a name that is unique in the file.
func NewLabel(kind string) string {
	labels++
	return fmt.Sprintf("%s%d", kind, labels)
}

// Loop runs body n times, n in a register that it uses up; zero is no round.
func Loop(n reg.GPVirtual, body func()) {
	head, done := NewLabel("loop"), NewLabel("done")
	TESTQ(n, n)
	JLE(LabelRef(done))
	Label(head)
	body()
	DECQ(n)
	JNZ(LabelRef(head))
	Label(done)
}

// Unrolled runs step for n vectors, by of them in a round as long as they last.
// step(k) handles the k-th vector of a round; advance(r) moves on by r vectors.
// Steps of the rest all have k = 0.
func Unrolled(n reg.GPVirtual, by int, step func(k int), advance func(rounds int)) {
	head, rest := NewLabel("wide"), NewLabel("rest")
	Label(head)
	CMPQ(n, U32(by))
	JLT(LabelRef(rest))
	for k := range by {
		step(k)
	}
	advance(by)
	SUBQ(U32(by), n)
	JMP(LabelRef(head))
	Label(rest)
	Loop(n, func() {
		step(0)
		advance(1)
	})
}

// PairLoop runs pair for every two of n, and one for the last if n is odd.
func PairLoop(n reg.GPVirtual, pair, one func()) {
	head, rest, done := NewLabel("pairs"), NewLabel("odd"), NewLabel("done")
	Label(head)
	CMPQ(n, U32(2))
	JLT(LabelRef(rest))
	pair()
	SUBQ(U32(2), n)
	JMP(LabelRef(head))
	Label(rest)
	TESTQ(n, n)
	JLE(LabelRef(done))
	one()
	Label(done)
}

// Finish ends a function.
func Finish() {
	VZEROUPPER()
	RET()
}
