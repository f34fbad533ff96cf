package model

import (
	"math"

	"github.com/penstock-llm/penstock/internal/nn"
)

// head is what a model does to a text's pooled states: the dense layers of an
// embedder, or the classifier of a reranker. It runs once for a text, so it is
// plain code over floats.
type head struct {
	layers  []dense
	softmax bool // the result is the first label's probability
}

// dense is y = norm(act(W x + b)).
type dense struct {
	w, b []float32 // [out][in] and [out]; b nil: none
	act  func(float64) float64
	norm *nn.Norm
}

// dense binds a dense layer from in values on. Its tensor says to how many.
func (b *binder) dense(name string, in int) dense {
	t, ok := b.file.Tensor(name + ".weight")
	if !ok || len(t.Shape) == 0 || len(t.Shape) > 2 || t.Rows() > maxDim {
		b.find(name+".weight", false, in, 1) // says what is missing or wrong
		return dense{}
	}
	out := t.Rows()
	if t, ok = b.find(name+".weight", false, in, out); !ok {
		return dense{}
	}
	d := dense{w: make([]float32, in*out), b: b.vector(name+".bias", true, out)}
	if err := dequantize(t, d.w); err != nil {
		b.meta.fail("tensor %q: %v", t.Name, err)
	}
	return d
}

// classifier binds the head of an encoder that scores pairs of texts: a dense layer
// with an activation, a norm after it, and the projection to the labels, each if
// the file has it.
func (b *binder) classifier(act func(float64) float64) {
	var h head
	n := b.config.Dim
	if b.has("cls.weight") {
		d := b.dense("cls", n)
		d.act = act
		n = d.out(n)
		if w := b.vector("cls.norm.weight", true, n); w != nil {
			d.norm = &nn.Norm{Weight: w, Bias: make([]float32, n), Eps: float32(b.config.NormEps)}
		}
		h.layers = append(h.layers, d)
	}
	if b.has("cls.output.weight") {
		h.layers = append(h.layers, b.dense("cls.output", n))
	}
	if len(h.layers) > 0 {
		b.head = &h
	}
}

// checkHead holds the head against what the file's pooling says, and sets the
// number of labels.
func (b *binder) checkHead() {
	c := &b.config
	if !b.meta.ranks {
		if b.head != nil && b.head.out(c.Dim) != c.Dim {
			b.meta.fail("key %q is not 4 (rank), but the file has a head of %d labels", b.meta.key("pooling_type"), b.head.out(c.Dim))
		}
		return
	}
	if b.head == nil {
		b.meta.fail("key %q is 4 (rank), but the file has no tensor %q", b.meta.key("pooling_type"), "cls.output.weight")
		return
	}
	c.Labels, c.Probable = b.head.out(c.Dim), b.head.softmax
}

func (h *head) out(in int) int {
	for i := range h.layers {
		in = h.layers[i].out(in)
	}
	if h.softmax {
		return 1
	}
	return in
}

func (d *dense) out(in int) int { return len(d.w) / max(in, 1) }

// apply computes the head of pooled states.
func (h *head) apply(x []float32) []float32 {
	for i := range h.layers {
		x = h.layers[i].apply(x)
	}
	if h.softmax {
		sum := 0.0
		for _, v := range x {
			sum += math.Exp(float64(v) - float64(x[0]))
		}
		return []float32{float32(1 / sum)}
	}
	return x
}

func (d *dense) apply(x []float32) []float32 {
	y := make([]float32, d.out(len(x)))
	for o := range y {
		w := d.w[o*len(x):][:len(x)]
		var s0, s1, s2, s3 float64
		for i := 0; i+4 <= len(w); i += 4 {
			s0 += float64(w[i]) * float64(x[i])
			s1 += float64(w[i+1]) * float64(x[i+1])
			s2 += float64(w[i+2]) * float64(x[i+2])
			s3 += float64(w[i+3]) * float64(x[i+3])
		}
		for i := len(w) &^ 3; i < len(w); i++ {
			s0 += float64(w[i]) * float64(x[i])
		}
		sum := s0 + s1 + s2 + s3
		if d.b != nil {
			sum += float64(d.b[o])
		}
		if d.act != nil {
			sum = d.act(sum)
		}
		y[o] = float32(sum)
	}
	if d.norm != nil {
		d.norm.Apply(y)
	}
	return y
}

func geluErf(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }
