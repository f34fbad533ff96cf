package model

// Pooling says how the final hidden states of a text's tokens become its embedding.
type Pooling uint8

const (
	NoPooling Pooling = iota // the file names none: it was not made for embeddings
	MeanPooling
	FirstPooling // the state of the first token, which encoders call cls
	LastPooling
)

func (p Pooling) String() string { return [...]string{"none", "mean", "cls", "last"}[p] }

// pooling reads ARCH.pooling_type, whose numbers are llama.cpp's. A rank head is
// refused: what such a model computes is no embedding.
func (m *metadata) pooling() Pooling {
	const name = "pooling_type"
	if !m.has(name) {
		return NoPooling
	}
	v, ok := m.file.Uint(m.key(name))
	if ok && v <= uint64(LastPooling) {
		return Pooling(v)
	}
	raw, _ := m.file.Value(m.key(name))
	m.fail("key %q is %s: supported are 0 (none), 1 (mean), 2 (cls) and 3 (last)", m.key(name), brief(raw))
	return NoPooling
}
