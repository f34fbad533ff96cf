// Command attention generates the attention kernels of both vector tiers.
//
// The functions work on the state of attend.go: query i's rows of q, s and o are
// row bytes apart, blocks points at the block ids of the part of the chunk that
// is computed, s (or p) at its first position. One call handles at most a chunk.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

const (
	queries = 8    // TileQueries
	tokens  = 16   // BlockTokens
	row     = 1024 // bytes: MaxHeadDim and attendChunk floats
	unroll  = 2    // steps of the loops over tokens
)

func main() {
	ConstraintExpr("!purego")
	for _, a := range lanes.All {
		weights(a)
		softcap(a)
		storeK(a)
		storeV(a)
		scoresF16(a)
		valuesF16(a)
		quantize(a)
		rotate(a)
		grid(a)
		for _, e := range elements {
			scoresInt(a, e)
			valuesInt(a, e)
		}
	}
	for _, e := range elements {
		spread(e)
	}
	Generate()
}

func begin(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(doc...)
}

// nextBlock returns the address of the block that ids points at, and moves on.
func nextBlock(base, stride, ids reg.GPVirtual) reg.GPVirtual {
	at := GP64()
	MOVLQSX(Mem{Base: ids}, at)
	IMULQ(stride, at)
	ADDQ(base, at)
	ADDQ(Imm(4), ids)
	return at
}

// copyOf is a register that a loop may use up.
func copyOf(r reg.GPVirtual) reg.GPVirtual {
	c := GP64()
	MOVQ(r, c)
	return c
}

// perQueries emits a body for each number of queries and the choice among them
// by the argument n.
func perQueries(body func(n int)) {
	n := lanes.Pointer("n")
	for i := 1; i < queries; i++ {
		next := lanes.NewLabel("more")
		CMPQ(n, Imm(uint64(i)))
		JNE(LabelRef(next))
		body(i)
		Label(next)
	}
	body(queries)
}
