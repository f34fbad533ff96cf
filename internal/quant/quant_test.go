package quant

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata from what the code does now")

// supported are the types with both directions, and the largest error of a
// round trip of normally distributed numbers, relative to their deviation (root
// mean square).
var supported = []struct {
	typ   Type
	bound float64
}{
	{F32, 0}, {F16, 0.00025}, {BF16, 0.002}, {Q8_0, 0.006},
	{Q4_0, 0.09}, {Q4_1, 0.08}, {Q5_0, 0.045}, {Q5_1, 0.04},
	{Q2_K, 0.28}, {Q3_K, 0.15}, {Q4_K, 0.076}, {Q5_K, 0.038}, {Q6_K, 0.0175},
	{IQ4_NL, 0.078}, {IQ4_XS, 0.079}, {MXFP4, 0.118},
	{IQ2_XXS, 0.39}, {IQ2_XS, 0.33}, {IQ2_S, 0.28}, {IQ3_XXS, 0.21}, {IQ3_S, 0.156},
	{TQ1_0, 0.45}, {TQ2_0, 0.45}, {Q1_0, 0.62}, {Q2_0, 0.365},
}

func normals(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func roundTrip(t *testing.T, typ Type, x []float32) []float32 {
	t.Helper()
	b := bytes.Repeat([]byte{0xa5}, typ.RowBytes(len(x))) // an encoder must not depend on what was there
	if err := Quantize(typ, b, x); err != nil {
		t.Fatal(err)
	}
	y := make([]float32, len(x))
	if err := Dequantize(typ, y, b); err != nil {
		t.Fatal(err)
	}
	return y
}

func TestRoundTripError(t *testing.T) {
	const n = 256 * 64
	for _, s := range supported {
		t.Run(s.typ.String(), func(t *testing.T) {
			x := normals(1, n)
			y := roundTrip(t, s.typ, x)
			var sum float64
			for i := range x {
				sum += float64(x[i]-y[i]) * float64(x[i]-y[i])
			}
			if rms := math.Sqrt(sum / n); rms > s.bound {
				t.Errorf("root mean square error %.5f, want at most %v", rms, s.bound)
			}
		})
	}
}

// What a format can express exactly, it must keep.
func TestExactValuesSurvive(t *testing.T) {
	ramp := make([]float32, 256)
	for i := range ramp {
		ramp[i] = float32(i%16) - 8 // -8…7: Q4_0's range
	}
	for name, c := range map[string]struct {
		x     []float32
		types []Type
	}{
		"zeros": {make([]float32, 256), []Type{F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4,
			IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, TQ1_0, TQ2_0, Q2_0}},
		"ramp": {ramp, []Type{F32, F16, BF16, Q4_0, Q4_1}},
	} {
		for _, typ := range c.types {
			if y := roundTrip(t, typ, c.x); !slices.Equal(y, c.x) {
				t.Errorf("%s, %v: got %v", name, typ, y)
			}
		}
	}
}

// NaN and infinity have no meaning in a block, but must not bring us down.
func TestQuantizeSurvivesAnyFloat(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, v := range []float32{inf, -inf, inf - inf, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32} {
		for _, s := range supported {
			x := normals(2, 256)
			x[17], x[200] = v, -v
			roundTrip(t, s.typ, x)
			for i := range x {
				x[i] = v
			}
			roundTrip(t, s.typ, x)
		}
	}
}

// The smallest formats worked out by hand: scale 2, minimum -3, all nibbles.
func TestKnownBlocks(t *testing.T) {
	nibbles := "f0e1d2c3b4a5968778695a4b3c2d1e0f" // byte i: high nibble 15-i, low nibble i
	for _, c := range []struct {
		typ   Type
		block string
		value func(i int) float32 // element i
	}{
		{Q4_0, "0040" + nibbles, func(i int) float32 { return 2 * float32(nibble(i)-8) }},
		{Q4_1, "004000c2" + nibbles, func(i int) float32 { return 2*float32(nibble(i)) - 3 }},
		{Q5_0, "004001000080" + nibbles, func(i int) float32 { return 2 * float32(nibble(i)+16*ends(i)-16) }},
		{Q5_1, "004000c201000080" + nibbles, func(i int) float32 { return 2*float32(nibble(i)+16*ends(i)) - 3 }},
		{Q8_0, "0040" + "807f" + strings.Repeat("ff", 30), func(i int) float32 { return []float32{-256, 254, -2}[min(i, 2)] }},
		{MXFP4, "81" + nibbles, func(i int) float32 { return 2 * float32(mxfp4Levels[nibble(i)]) }},
		{MXFP4, "00" + nibbles, func(i int) float32 { return 0x1p-128 * float32(mxfp4Levels[nibble(i)]) }},
		{MXFP4, "ff" + nibbles, func(i int) float32 { return 0x1p127 * float32(mxfp4Levels[nibble(i)]) }},
		{Q1_0, "0040" + "01" + strings.Repeat("00", 14) + "80", func(i int) float32 { return []float32{2, -2}[min(1, i*(127-i))] }},
		{Q2_0, "0040" + strings.Repeat("e4", 16), func(i int) float32 { return 2 * float32(i%4-1) }},
		{IQ4_NL, "0040" + nibbles, func(i int) float32 { return 2 * float32(iq4Values[nibble(i)]) }},
	} {
		block, err := hex.DecodeString(c.block)
		if err != nil {
			t.Fatal(err)
		}
		y := make([]float32, c.typ.BlockSize())
		if err := Dequantize(c.typ, y, block); err != nil {
			t.Fatal(err)
		}
		for i, got := range y {
			if want := c.value(i); got != want {
				t.Errorf("%v: element %d: got %v, want %v", c.typ, i, got, want)
			}
		}
	}
}

func nibble(i int) int { return []int{i, 31 - i}[i/16] }

// ends is the fifth bit in TestKnownBlocks: set for the first and last element.
func ends(i int) int {
	if i == 0 || i == 31 {
		return 1
	}
	return 0
}

// testdata/dequantize.txt holds blocks of random bytes and what becomes of
// them, and the grids of the IQ formats. check.py, beside it, compares them with
// gguf-py.
func TestDequantizeGolden(t *testing.T) {
	const path = "testdata/dequantize.txt"
	var got strings.Builder
	got.WriteString("# type, block, first four values, SHA-256 of all values as little-endian float32;\n# or a grid: type, number of entries, SHA-256 of their values as bytes.\n" +
		"# Blocks: random bytes with halves in [2^-8, 2^-4). check.py compares the values with gguf-py 0.19.0.\n" +
		"# Rewrite: go test ./internal/quant -run Golden -rewrite\n")
	for _, s := range supported {
		block := goldenBlock(s.typ)
		y := make([]float32, s.typ.BlockSize()*len(block)/s.typ.BlockBytes())
		if err := Dequantize(s.typ, y, block); err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		if err := binary.Write(sum, binary.LittleEndian, y); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%v %x %v %x\n", s.typ, block, y[:4], sum.Sum(nil))
	}
	for typ, g := range grids {
		if g == nil {
			continue
		}
		sum := sha256.New()
		for _, entry := range g.entries {
			for i := range g.values {
				sum.Write([]byte{byte(g.Levels[entry>>(8*i)&7])})
			}
		}
		fmt.Fprintf(&got, "grid %v %d %x\n", Type(typ), len(g.entries), sum.Sum(nil))
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("%s:%d differs; look at the change, then run with -rewrite", path, i+1)
		}
	}
}

// goldenBlock is a block (four for single numbers) of random bytes whose scales
// are moderate halves, wherever the format keeps them.
func goldenBlock(typ Type) []byte {
	scales := map[Type][]int{
		F16: {0, 2, 4, 6}, Q4_0: {0}, Q4_1: {0, 2}, Q5_0: {0}, Q5_1: {0, 2}, Q8_0: {0}, IQ4_NL: {0},
		Q2_K: {80, 82}, Q3_K: {108}, Q4_K: {0, 2}, Q5_K: {0, 2}, Q6_K: {208}, IQ4_XS: {0},
		IQ2_XXS: {0}, IQ2_XS: {0}, IQ2_S: {0}, IQ3_XXS: {0}, IQ3_S: {0}, TQ1_0: {52}, TQ2_0: {64}, Q1_0: {0}, Q2_0: {0},
	}
	rng := rand.New(rand.NewPCG(uint64(typ), 7))
	b := make([]byte, typ.BlockBytes()*max(1, 4/typ.BlockSize()))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	switch typ {
	case MXFP4:
		b[0] = 0x78 + b[0]%8 // near 2^-5
	case F32, BF16:
		for i := range 4 {
			b[(i+1)*len(b)/4-1] = 0x3c // a moderate exponent
		}
	}
	for _, at := range scales[typ] {
		binary.LittleEndian.PutUint16(b[at:], uint16(0x1c00+rng.IntN(0x1000)))
	}
	return b
}

func TestLengthsAreChecked(t *testing.T) {
	for want, err := range map[string]error{
		"31 elements are not whole blocks of 32": Dequantize(Q4_0, make([]float32, 31), make([]byte, 18)),
		"512 elements take 288 bytes, not 144":   Dequantize(Q4_K, make([]float32, 512), make([]byte, 144)),
		"32 elements take 34 bytes, not 35":      Quantize(Q8_0, make([]byte, 35), make([]float32, 32)),
		"type 99 is not known":                   Dequantize(Type(99), make([]float32, 32), make([]byte, 32)),
		"dequantising IQ1_S is not supported":    Dequantize(IQ1_S, make([]float32, 256), make([]byte, 50)),
		"dequantising NVFP4 is not supported":    Dequantize(NVFP4, make([]float32, 64), make([]byte, 36)),
		"quantising to Q8_K is not supported":    Quantize(Q8_K, make([]byte, 292), make([]float32, 256)),
		"type 4 is not known":                    Quantize(Type(4), nil, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := Dequantize(Q6_K, nil, nil); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}

func BenchmarkDequantize(b *testing.B) {
	for _, s := range supported {
		b.Run(s.typ.String(), func(b *testing.B) {
			y := make([]float32, 4096)
			src := make([]byte, s.typ.RowBytes(len(y)))
			b.SetBytes(int64(4 * len(y)))
			for b.Loop() {
				if err := Dequantize(s.typ, y, src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
