// Command attention generates the attention kernels of both vector tiers.
//
// The functions work on the state of attend.go: query i's rows of q, s and o are
// row bytes apart, blocks points at the places (in strides from the base) of the
// blocks of the part of the chunk that is computed, s (or p) at its first
// position. One call handles at most a chunk.
package main

import (
	"flag"
	"log"

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
	places  = 18   // chunkPlaces
)

// parts are the files: what the cache types share, and each of them.
var parts = map[string]func(lanes.Arch){
	"shared": func(a lanes.Arch) {
		weights(a)
		softcap(a)
		quantize(a)
		rotate(a)
		grid(a)
	},
	"f16": func(a lanes.Arch) {
		storeK(a)
		storeV(a)
		scoresF16(a)
		valuesF16(a)
	},
	"i16": func(a lanes.Arch) { integers(a, element{"I16", 2}) },
	"i8":  func(a lanes.Arch) { integers(a, element{"I8", 1}) },
}

func main() {
	part := flag.String("part", "", "which file to generate")
	flag.Parse()
	emit, ok := parts[*part]
	if !ok {
		log.Fatalf("attention: no part %q", *part)
	}
	ConstraintExpr("!purego")
	for _, a := range lanes.All {
		emit(a)
	}
	Generate()
}

func integers(a lanes.Arch, e element) {
	scoresInt(a, e)
	valuesInt(a, e)
	if a.Wide() {
		storeKeyInt(a, e)
		storeValueInt(a, e)
	}
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

// following returns the address of the block that ids points at, which is the
// one after the current block.
func following(base, stride, ids reg.GPVirtual) reg.GPVirtual {
	at := GP64()
	MOVLQSX(Mem{Base: ids}, at)
	IMULQ(stride, at)
	ADDQ(base, at)
	return at
}

// prefetch asks for n bytes at p and moves on, a line at a time. Blocks may lie
// anywhere, and several columns of V are as many streams: what comes next must
// be asked for. T1 measured better than T2, T0 and NTA.
func prefetch(p reg.GPVirtual, n int) {
	for at := 0; at < n; at += 64 {
		PREFETCHT1(Mem{Base: p, Disp: at})
	}
	ADDQ(I32(n), p)
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
