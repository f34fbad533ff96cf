// Package quant knows the number formats of GGUF tensors: their ids, names and
// block sizes, and how to turn a block into float32 and back.
//
// It is the specification, written to be read and checked; it is not where the
// arithmetic of inference happens (package kernel multiplies packed blocks
// directly) and it knows nothing of files or tensors. The gguf reader asks it
// for sizes, the float32 reference path and the kernels' tests for values.
package quant

import (
	"fmt"
	"strings"
)

// Type is a tensor's number format. The values are ggml's, as stored in a
// GGUF file.
type Type uint32

// Ids that are missing belonged to formats that ggml has dropped.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q2_0    Type = 42
)

// layout is what it takes to find a block without understanding it.
type layout struct {
	name     string
	elements int // per block
	bytes    int // per block
}

var layouts = [...]layout{
	F32:     {"F32", 1, 4},
	F16:     {"F16", 1, 2},
	Q4_0:    {"Q4_0", 32, 18},
	Q4_1:    {"Q4_1", 32, 20},
	Q5_0:    {"Q5_0", 32, 22},
	Q5_1:    {"Q5_1", 32, 24},
	Q8_0:    {"Q8_0", 32, 34},
	Q8_1:    {"Q8_1", 32, 36},
	Q2_K:    {"Q2_K", 256, 84},
	Q3_K:    {"Q3_K", 256, 110},
	Q4_K:    {"Q4_K", 256, 144},
	Q5_K:    {"Q5_K", 256, 176},
	Q6_K:    {"Q6_K", 256, 210},
	Q8_K:    {"Q8_K", 256, 292},
	IQ2_XXS: {"IQ2_XXS", 256, 66},
	IQ2_XS:  {"IQ2_XS", 256, 74},
	IQ3_XXS: {"IQ3_XXS", 256, 98},
	IQ1_S:   {"IQ1_S", 256, 50},
	IQ4_NL:  {"IQ4_NL", 32, 18},
	IQ3_S:   {"IQ3_S", 256, 110},
	IQ2_S:   {"IQ2_S", 256, 82},
	IQ4_XS:  {"IQ4_XS", 256, 136},
	I8:      {"I8", 1, 1},
	I16:     {"I16", 1, 2},
	I32:     {"I32", 1, 4},
	I64:     {"I64", 1, 8},
	F64:     {"F64", 1, 8},
	IQ1_M:   {"IQ1_M", 256, 56},
	BF16:    {"BF16", 1, 2},
	TQ1_0:   {"TQ1_0", 256, 54},
	TQ2_0:   {"TQ2_0", 256, 66},
	MXFP4:   {"MXFP4", 32, 17},
	NVFP4:   {"NVFP4", 64, 36},
	Q1_0:    {"Q1_0", 128, 18},
	Q2_0:    {"Q2_0", 64, 18},
}

// layout is the zero value for a type that is not known.
func (t Type) layout() layout {
	if int(t) >= len(layouts) {
		return layout{}
	}
	return layouts[t]
}

// Known reports whether t has a name and a size.
func (t Type) Known() bool { return t.layout().name != "" }

// String is ggml's name without its prefix, such as "Q4_K".
func (t Type) String() string {
	if l := t.layout(); l.name != "" {
		return l.name
	}
	return fmt.Sprintf("Type(%d)", uint32(t))
}

// BlockSize is the number of elements in a block, 0 if t is not known.
func (t Type) BlockSize() int { return t.layout().elements }

// BlockBytes is the size of a block in bytes, 0 if t is not known.
func (t Type) BlockBytes() int { return t.layout().bytes }

// RowBytes is the size of n elements, where n is a multiple of BlockSize. It is
// 0 if t is not known.
func (t Type) RowBytes(n int) int {
	l := t.layout()
	if l.elements == 0 {
		return 0
	}
	return n / l.elements * l.bytes
}

// ParseType finds the type with the given name, in either case.
func ParseType(name string) (Type, bool) {
	for t, l := range layouts {
		if l.name != "" && strings.EqualFold(l.name, name) {
			return Type(t), true
		}
	}
	return 0, false
}

// checkLengths refuses slices that do not hold the same whole number of blocks.
func checkLengths(t Type, elements, bytes int) error {
	size := t.BlockSize()
	if size == 0 {
		return fmt.Errorf("type %d is not known", uint32(t))
	}
	if elements%size != 0 {
		return fmt.Errorf("%v: %d elements are not whole blocks of %d", t, elements, size)
	}
	if want := t.RowBytes(elements); bytes != want {
		return fmt.Errorf("%v: %d elements take %d bytes, not %d", t, elements, want, bytes)
	}
	return nil
}
