package kernel

import (
	"math"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
)

// TestDotRow: every format, every tier, against float64, between pages that
// cannot be touched.
func TestDotRow(t *testing.T) {
	types := []quant.Type{quant.F32, quant.F16, quant.Q8_0, quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q4_K, quant.Q6_K}
	forEachTier(t, func(t *testing.T, s Set) {
		rng := testRand()
		for _, typ := range types {
			for _, blocks := range []int{0, 1, 2, 3, 4, 5, 18, 33} {
				n := blocks * typ.BlockSize()
				weights, x := make([]float32, n), randomRow(rng, n)
				row := make([]byte, typ.RowBytes(n))
				if err := quant.Quantize(typ, row, randomRow(rng, n)); err != nil {
					t.Fatal(err)
				}
				if err := quant.Dequantize(typ, weights, row); err != nil {
					t.Fatal(err)
				}
				var want, size float64
				for i, w := range weights {
					want += float64(w) * float64(x[i])
					size += math.Abs(float64(w) * float64(x[i]))
				}
				for _, front := range []bool{false, true} {
					in := guarded[byte](t, len(row), front)
					copy(in, row)
					got := s.DotRow(typ, in, placed(t, x, front), make([]float32, n+1))
					if !within(got, want, dotRelErr*(1+float64(n)/8)*size) {
						t.Errorf("%v: row of %d = %g, want %g", typ, n, got, want)
					}
				}
			}
		}
	})
}

// TestDotRowExtremes: all int8, under scales up to the ends of a half.
func TestDotRowExtremes(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		x, row, scratch := make([]float32, 32), make([]byte, 34), make([]float32, 32)
		x[17] = 1
		for _, scale := range []float32{0, 6e-8, -1.0 / 3, 65504} {
			h := quant.F32ToF16(scale)
			row[0], row[1] = byte(h), byte(h>>8)
			for q := -128; q < 128; q++ {
				row[2+17] = byte(int8(q))
				want := quant.F16ToF32(h) * float32(q)
				if got := s.DotRow(quant.Q8_0, row, x, scratch); got != want {
					t.Fatalf("%g * %d = %g, want %g", scale, q, got, want)
				}
			}
		}
	})
}

func TestDotRowLengths(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a row of another length did not panic")
		}
	}()
	Set{}.DotRow(quant.Q8_0, make([]byte, 34), make([]float32, 64), make([]float32, 64))
}

func BenchmarkDotRow(b *testing.B) {
	const n = 1024
	rng := testRand()
	for _, typ := range []quant.Type{quant.Q8_0, quant.Q6_K} {
		b.Run(typ.String(), func(b *testing.B) {
			row, x, scratch := make([]byte, typ.RowBytes(n)), randomRow(rng, n), make([]float32, n)
			if err := quant.Quantize(typ, row, randomRow(rng, n)); err != nil {
				b.Fatal(err)
			}
			s := New(Tiers()[0])
			for b.Loop() {
				s.DotRow(typ, row, x, scratch)
			}
		})
	}
}
