//go:build (!amd64 && !arm64) || purego

package kernel

func (Set) sift(h heap, x []float32, from int) { siftGeneric(h, x, from) }
func (Set) peak(x []float32) (float32, bool)   { return peakGeneric(x) }

func (Set) mass(x []float32, max, scale float32) float32 { return massGeneric(x, max, scale) }

func (Set) band(out, x []float32, b Band) (Sums, int) {
	return bandGeneric(out, x, b)
}
