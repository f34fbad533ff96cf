//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

//go:noescape
func quantizeVNNI(x *float32, quants, offset, affine, halves *byte, blocks, width, cols, ldx int)

//go:noescape
func quantizeAVX2(x *float32, quants, offset, affine, halves *byte, blocks, width, cols, ldx int)

//go:noescape
func quantizePanelVNNI(x *float32, quants, offset, affine, halves *byte, blocks, ldx int)

// quantize writes x into a panel: from block b of its column c on.
func (s Set) quantize(p *streams, b, c int, x *Columns) {
	if s.tier == cpu.Generic {
		quantizeGeneric(p, b, c, x)
		return
	}
	src, quants := &x.X[0], &p.quants(b, c)[0]
	offset, affine, halves := &p.fields(offsetStream, b, c)[0], &p.fields(affineStream, b, c)[0], &p.fields(halvesStream, b, c)[0]
	if s.tier == cpu.AVX512VNNI && x.N == PanelCols {
		quantizePanelVNNI(src, quants, offset, affine, halves, x.Len/BlockLen, x.LD)
		return
	}
	if s.tier == cpu.AVX512VNNI {
		quantizeVNNI(src, quants, offset, affine, halves, x.Len/BlockLen, p.width, x.N, x.LD)
		return
	}
	quantizeAVX2(src, quants, offset, affine, halves, x.Len/BlockLen, p.width, x.N, x.LD)
}
