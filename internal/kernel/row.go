package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// DotRow is Σ w*x. The weights w are a row of a file's tensor, in its format t,
// with the values that quant.Dequantize gives them. The order of summation is the
// tier's own; vector.go has the bound of the error. The result depends on nothing
// but the tier and the arguments. scratch has room for len(x) values.
func (s Set) DotRow(t quant.Type, row []byte, x, scratch []float32) float32 {
	sameLength("DotRow", t.RowBytes(len(x)), len(row))
	return s.dotRow(t, row, x, scratch[:len(x)])
}
