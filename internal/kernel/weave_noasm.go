//go:build (!amd64 && !arm64) || purego

package kernel

func (s Set) weave(dst, src []byte, stride, steps int) { weaveGeneric(dst, src, stride, steps) }
