//go:build !amd64 || purego

package kernel

import "github.com/penstock-llm/penstock/internal/quant"

func (s Set) dotRow(t quant.Type, row []byte, x, scratch []float32) float32 {
	return s.dotDecoded(t, row, x, scratch)
}
