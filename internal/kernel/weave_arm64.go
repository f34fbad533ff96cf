//go:build !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
)

//go:noescape
func weaveNEON(dst, src *byte, stride, steps int)

func (s Set) weave(dst, src []byte, stride, steps int) {
	if s.tier == cpu.Generic {
		weaveGeneric(dst, src, stride, steps)
		return
	}
	weaveNEON(unsafe.SliceData(dst), unsafe.SliceData(src), stride, steps)
}
