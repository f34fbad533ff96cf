package kernel

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
)

// TestMXFP4Exponents: every exponent gives the product that the decoder's weights
// give, except that what is below 2^-123 counts as zero, and that a product with
// 2^104 or more need not be finite.
func TestMXFP4Exponents(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		const rows, k = 256, BlockLen
		src := make([]byte, 0, rows*17)
		for e := range rows { // row e is 6 times 2^(e-127) and zeros
			src = append(append(src, byte(e), 7), make([]byte, 15)...)
		}
		m, err := NewMatrix(quant.MXFP4, rows, k)
		if err != nil {
			t.Fatal(err)
		}
		s.Pack(m, 0, src, rows)
		p, x := NewPanels(k, 1, false), make([]float32, k)
		x[0] = 127.0 / (1 << 6) // of which the int8 value is 127 and the scale 2^-6
		s.Quantize(p, 0, 0, x)
		y := make([]float32, rows)
		s.Mul(m, p, 0, m.Groups(), Output{Y: y, LD: rows})
		w := dequantize(t, quant.MXFP4, src, rows*k)
		for e, got := range y {
			want := w[e*k] * x[0]
			if e < 2 {
				want = 0
			}
			if got != want && e < 127+104 {
				t.Errorf("exponent %d: got %g, want %g", e, got, want)
			}
		}
		if err := m.Free(); err != nil {
			t.Fatal(err)
		}
	})
}
