package lanes

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/reg"
)

// DotVEX is VPDPBUSD of 256 bits in its AVX-VNNI encoding, with the operands in the
// order of Go's assembler: x is signed, v is not. That assembler knows the
// instruction's AVX-512 encoding only, so that here the bytes are written. The
// registers are among the first sixteen and do not change any more.
func DotVEX(x, v, acc reg.VecPhysical) *ir.Instruction {
	rm, vvvv, r := number(x), number(v), number(acc)
	code := []byte{
		0xc4,                                // VEX, three bytes
		^r>>3&1<<7 | 1<<6 | ^rm>>3&1<<5 | 2, // inverted upper bits of the registers; the map 0f38
		^vvvv&15<<3 | 1<<2 | 1,              // 256 bits; the prefix 66
		0x50,
		3<<6 | r&7<<3 | rm&7,
	}
	text := make([]string, len(code))
	for i, b := range code {
		text[i] = fmt.Sprintf("BYTE $0x%02x", b)
	}
	return &ir.Instruction{
		Opcode: strings.Join(text, "; ") + fmt.Sprintf(" // VPDPBUSD Y%d, Y%d, Y%d", rm, vvvv, r),
		ISA:    []string{"AVX_VNNI"},
	}
}

func number(r reg.VecPhysical) byte {
	n := r.(reg.Physical).PhysicalIndex()
	if n > 15 {
		panic(fmt.Sprintf("register %d in an instruction with a VEX prefix", n))
	}
	return byte(n)
}
