package kernel

import "fmt"

// TopK finds the k largest elements of x, or all if there are fewer, and writes
// their values and indices, largest first, the lower index first among equals.
// It returns how many there are. NaN counts as -Inf. x is read once and not
// changed; vals and ids have room for k.
func (s Set) TopK(x []float32, k int, vals []float32, ids []int32) int {
	k = min(k, len(x))
	if k <= 0 {
		return 0
	}
	if len(vals) < k || len(ids) < k {
		panic(fmt.Sprintf("kernel: TopK %d into %d values and %d ids", k, len(vals), len(ids)))
	}
	h := heap{vals[:k], ids[:k]}
	h.fill(x[:k])
	s.sift(h, x, k)
	h.sort()
	return k
}

// heap keeps the best elements seen so far, the worst of them at the root.
type heap struct {
	vals []float32
	ids  []int32
}

// worse orders by value, then by index: among equals the later one is worse.
func worse(v, w float32, i, j int32) bool { return v < w || v == w && i > j }

func (h heap) fill(x []float32) {
	for i, v := range x {
		if v != v {
			v = negInf
		}
		h.vals[i], h.ids[i] = v, int32(i)
	}
	for i := len(x)/2 - 1; i >= 0; i-- {
		h.down(i, h.vals[i], h.ids[i])
	}
}

// replace puts a better element in the root's place.
func (h heap) replace(v float32, id int) { h.down(0, v, int32(id)) }

// down puts an element into the hole at i, after moving the hole down past all
// that is worse.
func (h heap) down(i int, v float32, id int32) {
	vals, ids := h.vals, h.ids[:len(h.vals)]
	for {
		c := 2*i + 1
		if c >= len(vals) {
			break
		}
		if r := c + 1; r < len(vals) && worse(vals[r], vals[c], ids[r], ids[c]) {
			c = r
		}
		if !worse(vals[c], v, ids[c], id) {
			break
		}
		vals[i], ids[i] = vals[c], ids[c]
		i = c
	}
	vals[i], ids[i] = v, id
}

// sort removes the worst element again and again, and puts it at the end of what
// is not sorted yet.
func (h heap) sort() {
	for n := len(h.vals) - 1; n > 0; n-- {
		v, id := h.vals[n], h.ids[n]
		h.vals[n], h.ids[n] = h.vals[0], h.ids[0]
		heap{h.vals[:n], h.ids[:n]}.down(0, v, id)
	}
}
