//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/quant"
)

//go:generate go run -C _asm ./row -out ../row_amd64.s -stubs ../row_stubs_amd64.go -pkg kernel

func (s Set) dotRow(t quant.Type, row []byte, x, scratch []float32) float32 {
	if t == quant.Q8_0 {
		blocks := len(x) / t.BlockSize()
		switch s.tier {
		case cpu.AVX512VNNI:
			return dotQ8AVX512(unsafe.SliceData(row), ptr(x), blocks)
		case cpu.AVX2:
			return dotQ8AVX2(unsafe.SliceData(row), ptr(x), blocks)
		}
	}
	return s.dotDecoded(t, row, x, scratch)
}
