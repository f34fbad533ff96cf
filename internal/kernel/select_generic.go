package kernel

import "math"

var negInf = float32(math.Inf(-1))

// siftGeneric offers x[from:] to the heap. An equal value loses, because the one
// in the heap has the lower index.
func siftGeneric(h heap, x []float32, from int) {
	for i, v := range x[from:] {
		if v > h.vals[0] {
			h.replace(v, from+i)
		}
	}
}

func peakGeneric(x []float32) (max float32, nan bool) {
	max = negInf
	for _, v := range x {
		if v > max {
			max = v
		}
		nan = nan || v != v
	}
	return max, nan
}

func massGeneric(x []float32, max, scale float32) float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(exp32((v - max) * scale))
	}
	return float32(sum)
}

func bandGeneric(out, x []float32, b Band) (Sums, int) {
	n := 0
	var total, aboveLo, aboveHi float64
	for _, v := range x {
		w := float64(exp32((v - b.Max) * b.Scale))
		total += w
		if v > b.Lo {
			aboveLo += w
		}
		switch {
		case v > b.Hi:
			aboveHi += w
		case v > b.Lo:
			out[n] = v
			n++
		}
	}
	return Sums{float32(total), float32(aboveLo), float32(aboveHi)}, n
}
