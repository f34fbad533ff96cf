//go:build !purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

//go:noescape
func quantizeSDOT(x *float32, quants, offset, affine, halves *byte, blocks, width, cols, ldx int)

// quantize writes x into a panel: from block b of its column c on.
func (s Set) quantize(p *streams, b, c int, x *Columns) {
	if s.tier == cpu.Generic {
		quantizeGeneric(p, b, c, x)
		return
	}
	offset, affine, halves := &p.fields(offsetStream, b, c)[0], &p.fields(affineStream, b, c)[0], &p.fields(halvesStream, b, c)[0]
	quantizeSDOT(&x.X[0], &p.quants(b, c)[0], offset, affine, halves, x.Len/BlockLen, p.width, x.N, x.LD)
}
