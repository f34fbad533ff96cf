package quant

import (
	"strings"
	"testing"
)

func TestTypesAreFoundByName(t *testing.T) {
	known := 0
	for id := range Type(64) {
		if !id.Known() {
			if id.BlockSize() != 0 || id.BlockBytes() != 0 || id.RowBytes(256) != 0 || !strings.HasPrefix(id.String(), "Type(") {
				t.Errorf("type %d is unknown, yet has a size or a name", uint32(id))
			}
			continue
		}
		known++
		for _, name := range []string{id.String(), strings.ToLower(id.String())} {
			if got, ok := ParseType(name); !ok || got != id {
				t.Errorf("ParseType(%q) = %v, %v", name, got, ok)
			}
		}
	}
	if known != 35 {
		t.Errorf("%d types are known, want 35", known)
	}
	if _, ok := ParseType(""); ok {
		t.Error("the empty name has a type")
	}
	if Type(1 << 31).Known() {
		t.Error("type 2^31 is known")
	}
}

// Bits per weight as ggml documents them: a slip in a block's size shows here.
func TestBitsPerWeight(t *testing.T) {
	for typ, want := range map[Type]float64{
		Q4_0: 4.5, Q4_1: 5, Q5_0: 5.5, Q5_1: 6, Q8_0: 8.5,
		Q2_K: 2.625, Q3_K: 3.4375, Q4_K: 4.5, Q5_K: 5.5, Q6_K: 6.5625,
		IQ2_XXS: 2.0625, IQ2_XS: 2.3125, IQ2_S: 2.5625, IQ3_XXS: 3.0625, IQ3_S: 3.4375,
		IQ1_S: 1.5625, IQ1_M: 1.75, IQ4_NL: 4.5, IQ4_XS: 4.25, TQ1_0: 1.6875, TQ2_0: 2.0625,
		MXFP4: 4.25, NVFP4: 4.5, Q1_0: 1.125, Q2_0: 2.25,
	} {
		if got := float64(typ.BlockBytes()*8) / float64(typ.BlockSize()); got != want {
			t.Errorf("%v: %v bits per weight, want %v", typ, got, want)
		}
	}
}
