package model

// Pooling says how the final hidden states of a text's tokens become its embedding.
type Pooling uint8

const (
	NoPooling Pooling = iota // the file names none: it was not made for embeddings
	MeanPooling
	FirstPooling // the state of the first token, which encoders call cls
	LastPooling

	rankPooling // in files only: what Config.Pooling becomes depends on the architecture
)

func (p Pooling) String() string { return [...]string{"none", "mean", "cls", "last"}[p] }

// pooling reads ARCH.pooling_type, whose numbers are llama.cpp's. Models that score
// pairs of texts say rank: their head reads the state of the first token, but for
// decoders, of which only the last one has seen the whole text.
func (m *metadata) pooling() Pooling {
	const name = "pooling_type"
	if !m.has(name) {
		return NoPooling
	}
	v, ok := m.file.Uint(m.key(name))
	if n, whole := m.integer(name); whole && int32(n) == -1 { // unspecified, in files that have every key
		return NoPooling
	}
	switch {
	case ok && v == uint64(rankPooling) && m.arch == "qwen3":
		m.ranks = true
		return LastPooling
	case ok && v == uint64(rankPooling):
		m.ranks = true
		return FirstPooling
	case ok && v <= uint64(LastPooling):
		return Pooling(v)
	}
	raw, _ := m.file.Value(m.key(name))
	m.fail("key %q is %s: supported are 0 (none), 1 (mean), 2 (cls), 3 (last) and 4 (rank)", m.key(name), brief(raw))
	return NoPooling
}
