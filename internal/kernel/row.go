package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// DotRow is Σ w*x, where row holds the weights w in a file's format t, one that
// quant.Dequantize knows; they take part with the values that it gives them. It
// is as exact as Dot, and as little does the result depend on anything but the
// tier and the arguments. scratch has room for len(x) values.
func (s Set) DotRow(t quant.Type, row []byte, x, scratch []float32) float32 {
	sameLength("DotRow", t.RowBytes(len(x)), len(row))
	return s.dotRow(t, row, x, scratch[:len(x)])
}
