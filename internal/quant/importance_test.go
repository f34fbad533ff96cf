package quant

import (
	"strings"
	"testing"
)

// TestImportance: where columns matter differently, rounding by that costs less than
// rounding as if all were alike, in every format that has a choice.
func TestImportance(t *testing.T) {
	const rows, n = 16, 512
	x := normals(7, rows*n)
	w := make([]float32, n)
	for i := range w {
		w[i] = 0.01
		if i%5 == 0 {
			w[i] = 4
		}
	}
	cost := func(typ Type, importance []float32) (sum float64) {
		b := make([]byte, rows*typ.RowBytes(n))
		if err := QuantizeRows(typ, b, x, importance); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, rows*n)
		if err := Dequantize(typ, y, b); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			sum += float64(w[i%n]) * float64(x[i]-y[i]) * float64(x[i]-y[i])
		}
		return sum
	}
	for _, s := range supported {
		with, without := cost(s.typ, w), cost(s.typ, nil)
		switch s.typ {
		case F32, F16, BF16, Q8_0, MXFP4, Q1_0:
			if with != without {
				t.Errorf("%v: %g with weights, %g without", s.typ, with, without)
			}
		default:
			if with > 0.98*without {
				t.Errorf("%v: the error is %.3f of that without weights", s.typ, with/without)
			}
		}
		if nothing := cost(s.typ, make([]float32, n)); nothing != without {
			t.Errorf("%v: weights of zeros are not left out", s.typ)
		}
	}
	for _, wrong := range [][]float32{w[:100], w[:511]} {
		if err := QuantizeRows(Q4_K, make([]byte, rows*Q4_K.RowBytes(n)), x, wrong); err == nil || !strings.Contains(err.Error(), "weights of columns") {
			t.Errorf("%d weights: %v", len(wrong), err)
		}
	}
}
