package engine

import (
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
)

// MockConfig shapes a Mock.
type MockConfig struct {
	Vocab       int
	Blocks      int
	BlockTokens int // batch.BlockTokens
	MaxRows     int // 512
	MaxLogits   int // 64

	// Generated tokens lie in [First, Last); zero: anywhere in the vocabulary.
	First, Last int32

	// A step takes StepTime, and RowTime for each row; zero: no longer than it must.
	StepTime, RowTime time.Duration
}

// Mock is an Executor without a model. It costs next to no time, so what is measured
// with it is everything around the model. Its cache holds a digest of all tokens up to a position, which each row
// reads through its block table as attention would read keys. The likeliest
// token is a function of the digest, so a wrong block, position or token changes
// everything that follows: Token says what must come.
type Mock struct {
	cfg    MockConfig
	digest []uint64  // [Blocks*BlockTokens]
	logits []float32 // [MaxLogits, Vocab]
	states []float32 // [MaxRows, mockDim]
}

// mockDim is the width of a mock's hidden states.
const mockDim = 8

const mockPeak = 20

// NewMock makes a mock with an empty cache.
func NewMock(cfg MockConfig) *Mock {
	if cfg.BlockTokens == 0 {
		cfg.BlockTokens = batch.BlockTokens
	}
	if cfg.MaxRows == 0 {
		cfg.MaxRows = 512
	}
	if cfg.MaxLogits == 0 {
		cfg.MaxLogits = 64
	}
	if cfg.Last == 0 {
		cfg.Last = int32(cfg.Vocab)
	}
	return &Mock{
		cfg:    cfg,
		digest: make([]uint64, cfg.Blocks*cfg.BlockTokens),
		logits: make([]float32, cfg.MaxLogits*cfg.Vocab),
		states: make([]float32, cfg.MaxRows*mockDim),
	}
}

// Vocab is the number of tokens.
func (m *Mock) Vocab() int { return m.cfg.Vocab }

// MaxRows is the number of rows of the largest batch.
func (m *Mock) MaxRows() int { return m.cfg.MaxRows }

// MaxLogits is the number of rows of logits of the largest batch.
func (m *Mock) MaxLogits() int { return m.cfg.MaxLogits }

// Forward computes the digests of b and the logits of the rows that it names.
func (m *Mock) Forward(b *batch.Batch) []float32 {
	next, state := 0, 0
	for i := range b.Seqs() {
		blocks := b.Blocks[i]
		at := func(pos int32) *uint64 {
			n := int(pos)
			return &m.digest[int(blocks[n/m.cfg.BlockTokens])*m.cfg.BlockTokens+n%m.cfg.BlockTokens]
		}
		for r := b.Start[i]; r < b.Start[i+1]; r++ {
			pos, d := b.Positions[r], uint64(0)
			if pos > 0 {
				d = *at(pos - 1)
			}
			d = mockDigest(d, b.Tokens[r])
			*at(pos) = d
			if next < len(b.Logits) && b.Logits[next] == r {
				m.peak(next, m.token(d))
				next++
			}
			if state < len(b.Hidden) && b.Hidden[state] == r {
				mockState(m.states[state*mockDim:][:mockDim], d)
				state++
			}
		}
	}
	if wait := m.cfg.StepTime + time.Duration(b.Rows())*m.cfg.RowTime; wait > 0 {
		time.Sleep(wait)
	}
	return m.logits[:len(b.Logits)*m.cfg.Vocab]
}

// Dim is the width of the hidden states.
func (m *Mock) Dim() int { return mockDim }

// Hidden is the hidden state of a row, which is a function of all tokens up to it.
func (m *Mock) Hidden(i int) []float32 { return m.states[i*mockDim:][:mockDim] }

func mockState(x []float32, d uint64) {
	for i := range x {
		x[i] = float32(int8(d>>(8*i))) / 64
	}
}

// NotFinite is empty: a mock has no numbers that could go wrong.
func (m *Mock) NotFinite() []int32 { return nil }

// peak makes token the likeliest of a row of logits.
func (m *Mock) peak(row int, token int32) {
	x := m.logits[row*m.cfg.Vocab : (row+1)*m.cfg.Vocab]
	clear(x)
	x[token] = mockPeak
}

func mockDigest(d uint64, token int32) uint64 {
	d = (d ^ uint64(uint32(token)) ^ 0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	return d ^ d>>32
}

func (m *Mock) token(d uint64) int32 {
	return m.cfg.First + int32(d%uint64(m.cfg.Last-m.cfg.First))
}

// Token is the likeliest token after these: what a greedy request must get.
func (m *Mock) Token(context []int32) int32 {
	var d uint64
	for _, t := range context {
		d = mockDigest(d, t)
	}
	return m.token(d)
}
