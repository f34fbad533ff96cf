//go:build amd64 && !purego

package kernel

func (Set) argMax(x []float32) int             { return argMaxGeneric(x) }
func (Set) sift(h heap, x []float32, from int) { siftGeneric(h, x, from) }
