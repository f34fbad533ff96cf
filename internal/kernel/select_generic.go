package kernel

import "math"

var negInf = float32(math.Inf(-1))

func argMaxGeneric(x []float32) int {
	best, m := 0, negInf
	for i, v := range x {
		if v > m {
			best, m = i, v
		}
	}
	return best
}

// siftGeneric offers x[from:] to the heap. An equal value loses, because the one
// in the heap has the lower index.
func siftGeneric(h heap, x []float32, from int) {
	for i, v := range x[from:] {
		if v > h.vals[0] {
			h.replace(v, from+i)
		}
	}
}
