//go:build (!amd64 && !arm64) || purego

package kernel

func (Set) matmul(m *Matrix, p *Panels, g0, g1 int, out Output) {
	matmulGeneric(m, p, g0, g1, out)
}
