//go:build !amd64 || purego

package kernel

func (Set) quantize(panel []byte, nb, w, c, n, b0 int, x []float32, ldx, k int) {
	quantizeGeneric(panel, nb, w, c, n, b0, x, ldx, k)
}
