package model

import "math"

// bindMPNet binds MPNet: BERT with learned positions, to whose scores a number is
// added that depends on the head and on how far apart two tokens are. There are a few
// dozen such numbers for each head: the nearest distances have their own, farther
// ones share them, in ranges that grow with the distance. All layers use the same.
//
// llama.cpp does not serve the architecture: the names of its keys and of the tensor
// attn_rel_b are this project's, which reads the model from safetensors.
func bindMPNet(b *binder) network {
	c := &b.config
	m := b.bert(nil, nil)
	first := b.meta.countOr("first_position", maxContext, 0)
	b.places(&m.embedding, first)
	const name = "attn_rel_b.weight"
	t, ok := b.file.Tensor(name)
	if !ok || t.Rows() < 4 || t.Rows()%2 != 0 || t.Rows() > maxDim {
		b.find(name, false, c.Heads, 32)
		b.meta.fail("tensor %q: expected an even number of rows, 4 or more", name)
		return m
	}
	ranges := t.Rows()
	t, ok = b.find(name, false, c.Heads, ranges)
	if !ok {
		return m
	}
	values := make([]float32, ranges*c.Heads) // [ranges][heads]
	if err := dequantize(t, values); err != nil {
		b.meta.fail("tensor %q: %v", name, err)
	}
	for _, v := range values { // attention would hide it
		if v-v != 0 {
			b.meta.fail("tensor %q: a number is not finite", name)
		}
	}
	bias := make([][]float32, c.Heads)
	for h := range bias {
		bias[h] = make([]float32, 2*c.Context-1)
		for i := range bias[h] {
			bias[h][i] = values[distanceRange(i-(c.Context-1), ranges)*c.Heads+h]
		}
	}
	for i := range m.layers {
		m.layers[i].attn.Bias = bias
	}
	return m
}

// distanceRange is the range of a distance, of so many: the first half is for tokens
// before the query and for itself, the second for those after it. In a half, one part
// of two is for single distances; the others grow by equal factors up to a distance
// of 128, and the last range has all that is beyond.
func distanceRange(distance, ranges int) int {
	const most = 128
	half := ranges / 2
	base := 0
	if distance > 0 {
		base = half
	} else {
		distance = -distance
	}
	exact := half / 2
	if distance < exact {
		return base + distance
	}
	// in float32, as the model was trained
	growth := float32(math.Log(float64(float32(distance)/float32(exact)))) / float32(math.Log(float64(most)/float64(exact)))
	return base + min(half-1, exact+int(growth*float32(half-exact)))
}
