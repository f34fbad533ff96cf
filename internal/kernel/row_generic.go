package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// dotDecoded is DotRow by way of the weights themselves.
func (s Set) dotDecoded(t quant.Type, row []byte, x, scratch []float32) float32 {
	if err := quant.Dequantize(t, scratch, row); err != nil {
		panic(err) // a type that the caller should not have come with
	}
	return s.dot(scratch, x)
}
