//go:build !amd64 || purego

package kernel

func (Set) matmul(m *Matrix, y []float32, ldy int, p *Panels, g0, g1 int, add bool) {
	matmulGeneric(m, y, ldy, p, g0, g1, add)
}
