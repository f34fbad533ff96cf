//go:build !amd64 || purego

package kernel

func (Set) quantize(panel []byte, nb, w, c, b0 int, x []float32) {
	quantizeGeneric(panel, nb, w, c, b0, x)
}
