//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

//go:noescape
func quantizeVNNI(x *float32, quants, offset, affine, halves *byte, blocks, width, cols, ldx int)

//go:noescape
func quantizeAVX2(x *float32, quants, offset, affine, halves *byte, blocks, width, cols, ldx int)

//go:noescape
func quantizePanelVNNI(x *float32, quants, offset, affine, halves *byte, blocks, ldx int)

// quantize writes n columns of a panel of w columns from column c and block b0
// on: k values of x each, ldx apart.
func (s Set) quantize(panel []byte, nb, w, c, n, b0 int, x []float32, ldx, k int) {
	if s.tier == cpu.Generic {
		quantizeGeneric(panel, nb, w, c, n, b0, x, ldx, k)
		return
	}
	quants := &panel[b0*quantBytes*w+4*c]
	offset := &panel[streamOffset(offsetStream, nb, w)+b0*offsetBytes*w+4*c]
	affine := &panel[streamOffset(affineStream, nb, w)+b0*affineBytes*w+4*c]
	halves := &panel[streamOffset(halvesStream, nb, w)+b0*halvesBytes*w+4*c]
	if s.tier == cpu.AVX512VNNI && n == PanelCols {
		quantizePanelVNNI(&x[0], quants, offset, affine, halves, k/BlockLen, ldx)
		return
	}
	if s.tier == cpu.AVX512VNNI {
		quantizeVNNI(&x[0], quants, offset, affine, halves, k/BlockLen, w, n, ldx)
		return
	}
	quantizeAVX2(&x[0], quants, offset, affine, halves, k/BlockLen, w, n, ldx)
}
