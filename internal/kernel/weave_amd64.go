//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
)

//go:generate go run -C _asm ./pack -out ../weave_amd64.s -stubs ../weave_stubs_amd64.go -pkg kernel

func (s Set) weave(dst, src []byte, stride, steps int) {
	switch s.tier {
	case cpu.AVX512VNNI:
		weaveAVX512(unsafe.SliceData(dst), unsafe.SliceData(src), stride, steps)
	case cpu.AVX2:
		weaveAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), stride, steps)
	default:
		weaveGeneric(dst, src, stride, steps)
	}
}
