package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// dotDecoded is DotRow in two passes: it decodes the weights, then multiplies.
func (s Set) dotDecoded(t quant.Type, row []byte, x, scratch []float32) float32 {
	if err := quant.Dequantize(t, scratch, row); err != nil {
		panic(err) // a type that cannot be decoded: the caller's mistake
	}
	return s.dot(scratch, x)
}
