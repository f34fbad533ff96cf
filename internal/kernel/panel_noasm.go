//go:build (!amd64 && !arm64) || purego

package kernel

func (Set) quantize(p *streams, b, c int, x *Columns) { quantizeGeneric(p, b, c, x) }
