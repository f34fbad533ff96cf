//go:build amd64 && !purego

package kernel

func (s Set) matmul(m *Matrix, y []float32, ldy int, p *Panels, g0, g1 int, add bool) {
	matmulGeneric(m, y, ldy, p, g0, g1, add)
}

func (s Set) quantize(panel []byte, nb, w, c, b0 int, x []float32) {
	quantizeGeneric(panel, nb, w, c, b0, x)
}
