//go:build !purego

package kernel

func (Set) sift(h heap, x []float32, from int) { siftGeneric(h, x, from) }

// peak takes the largest number and, for the NaN, the largest magnitude, which is one
// if there is any.
func (s Set) peak(x []float32) (top float32, nan bool) {
	n, done := s.steps(len(x))
	top, nan = peakGeneric(x[done:])
	if n == 0 {
		return top, nan
	}
	magnitude := vecPeakNEON(ptr(x), n)
	return vecMaxNEON(ptr(x), n, top), nan || magnitude != magnitude
}

func (Set) band(out, x []float32, b Band) (Sums, int) {
	return bandGeneric(out, x, b)
}
