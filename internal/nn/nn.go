// Package nn is the arithmetic of a transformer step in fewer than twenty coarse
// operations, and the worker pool that runs them. A model is written once,
// against Backend; two backends compute it:
//
//   - Fast works on weights packed for the kernels and activations quantised to
//     int8, fuses neighbouring operations and spreads them over the pool;
//   - Reference works on float32 weights in plain loops with float64 sums. It is
//     slow and obvious, and what Fast is measured against.
//
// It is not a tensor library: there is no graph, no shape inference and no
// operation that no supported model needs. It knows nothing of GGUF or of
// architectures. Package model calls it; the kernels are in package kernel.
//
// A backend is a machine with two registers of one row per token:
//
//	x: [rows, dim] the residual stream
//	h: [rows, …]   the current activations: normalised by Norm, heads' output
//	               after Attend, hidden units after Gated
//
// A row's result has the same bits whatever other rows are in the batch.
package nn

import (
	"math"
	"slices"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Backend computes steps. It is used by one goroutine at a time.
type Backend interface {
	// Load brings a matrix into the backend's form, in parallel. src holds its
	// rows as in the file, and is not needed afterwards. LoadPair does it for two
	// matrices of one shape that Gated will read side by side.
	Load(m *Matrix, src []byte) error
	LoadPair(gate, up *Matrix, gateSrc, upSrc []byte) error

	// Begin starts a step over the rows of b. The store holds the keys and
	// values of earlier steps.
	Begin(b *batch.Batch, s *kvcache.Store)
	// Embed sets x to the embeddings of the batch's tokens.
	Embed(e *Embedding)
	// Norm sets h to the normalised x.
	Norm(n *Norm)
	// NormStay sets x and h to the normalised x: for models that normalise after
	// each addition, whose residual stream is normalised itself.
	NormStay(n *Norm)
	// Project computes queries, keys and values from h.
	Project(p *QKV)
	// Narrow drops the rows of which nobody wants logits or hidden states; only the
	// last layer can, between Project and Attend.
	Narrow()
	// Attend stores the keys and values and sets h to the heads' outputs.
	Attend(a *Attention)
	// Convolve stores the products of Project's vectors and sets h to their convolution.
	Convolve(c *Convolution)
	// ProjectAdd adds l(h) to x.
	ProjectAdd(l *Linear)
	// ProjectNormAdd adds n(l(h)) to x.
	ProjectNormAdd(l *Linear, n *Norm)
	// Gated sets h to act(gate h) * (up h).
	Gated(f *FFN)
	// Experts adds the outputs of each row's experts to x. h stays as it is; it is
	// what a Norm with Routed has left.
	Experts(e *Experts)
	// Activate sets h to act(l(h)): a feed-forward layer without a gate.
	Activate(l *Linear, act Activation)
	// Head normalises the rows that the batch wants, and returns the logits of those
	// in b.Logits: [len(b.Logits), vocabulary], valid until the next step.
	Head(n *Norm, o *Output) []float32
	// States normalises the rows that the batch wants, for Hidden; with n nil they stay
	// as they are. It is what models without a vocabulary end with.
	States(n *Norm)
	// Hidden is row b.Hidden[i] as Head or States has left it: [dim], valid until the
	// next step.
	Hidden(i int) []float32

	// NotFinite lists the rows of the batch in which a NaN or an infinity has come
	// up in this step, ascending: their results, keys and values mean nothing. nil:
	// none. Logits that are not finite are the caller's to notice.
	NotFinite() []int32

	// Profile reads the counters that SetProfile switched on.
	Profile() Profile
	SetProfile(on bool)
	Close() error
}

// Limits are what a backend sizes its buffers by.
type Limits struct {
	Rows   int // rows of a step
	Logits int // rows whose logits a step wants
	Seqs   int // sequences of a step

	Dim    int // width of x
	Heads  int // width of the heads' outputs together
	Hidden int // width of the feed-forward layer; 0: there is none
	Vocab  int

	Experts  int // experts of a layer; 0: there are none
	Used     int // experts that a row uses
	ExpertFF int // width of an expert

	Conv int // channels of a short convolution; 0: there is none

	Group   int  // query heads that share a kv head
	KVHeads int  // kv heads of a layer
	HeadDim int  // width of one head
	Floats  bool // some matrix multiplies floats: F32, F16, BF16
}

// Embedding is the token table. Rows stay in the file's format and memory.
type Embedding struct {
	Type  quant.Type
	Dim   int
	Data  []byte  // [vocabulary] rows
	Scale float32 // multiplies every row; 0 means 1

	Places *Embedding // a table with a row for each position, which is added; nil: none
	First  int        // row of position 0 in it
	Add    []float32  // [Dim] is added to every row; nil: nothing is

	// Second is added in place of Add to the rows of a text's second part, which begins
	// after the first Separator. nil: all is one part.
	Second    []float32
	Separator int32
}

// Part is what is added to a row of a text whose first row is first.
func (e *Embedding) Part(tokens []int32, first, row int) []float32 {
	if e.Second != nil && slices.Contains(tokens[first:row], e.Separator) {
		return e.Second
	}
	return e.Add
}

// Norm is a root-mean-square normalisation, or with a bias a layer normalisation.
type Norm struct {
	Weight []float32 // nil: the row stays as it is
	Bias   []float32 // not nil: the mean is subtracted before, and the bias added after
	Eps    float32
	Routed bool // Experts reads the result
}

// Linear is y = scale * W h + b.
type Linear struct {
	W     *Matrix
	Bias  []float32 // nil: none
	Scale float32   // 0 means 1
}

// QKV is the three projections that attention starts from.
type QKV struct {
	Q, K, V      Linear
	QNorm, KNorm *Norm // over the queries, or the keys, of all heads together; nil: none
}

// Activation is the non-linearity of a feed-forward layer.
type Activation uint8

const (
	SiLU      Activation = iota // x * sigmoid(x)
	GELU                        // the tanh form
	SwiGLUOAI                   // gpt-oss: x * sigmoid(1.702 x) with x at most 7, times up + 1 with up in [-7, 7]
	GELUErf                     // as it is defined, by the error function
)

const (
	oaiAlpha = 1.702
	oaiLimit = 7
)

// FFN is the first half of a gated feed-forward layer; the second half is a
// Linear.
type FFN struct {
	Gate, Up Linear // loaded by LoadPair
	Act      Activation
}

// Output is the projection to the vocabulary.
type Output struct {
	Linear
	Rows    []byte  // W as in the file, from which Fast computes a row's largest logits again; nil: it does not
	Softcap float32 // c > 0: a logit l becomes c*tanh(l/c)
}

// Attention describes one layer's attention.
type Attention struct {
	Group   batch.Group // whose cache and block tables it has
	Layer   int         // in that cache
	Heads   int         // query heads
	KVHeads int
	HeadDim int
	QNorm   *Norm // of each head, before the rotation; nil: none
	KNorm   *Norm
	QNorms  []Norm // instead of QNorm and KNorm, one for each head; nil: none
	KNorms  []Norm
	Rope    *Rope // nil: positions do not rotate
	Window  int   // > 0: a row sees that many positions, itself included
	Scale   float32
	Softcap float32
	Temper  Temper

	// Both lets a row see the whole of its text, which must be in the batch from its
	// first position to its last. With a Window it sees so many positions before it and
	// after it, halved, and itself.
	Both bool
	// Bias[head] is added to a score by how far the key is from the query: the entry in
	// the middle where they are the same, the ones after it for keys that come later.
	// It is as long for every head and odd, and covers all distances. nil: none.
	Bias [][]float32

	// Sinks has a score of each query head for a position without a value, which
	// takes part in the softmax. [Heads]; nil: none.
	Sinks []float32
}

// queryNorm is the norm of a head's queries; nil: none.
func (a *Attention) queryNorm(head int) *Norm {
	if a.QNorms != nil {
		return &a.QNorms[head]
	}
	return a.QNorm
}

// keyNorm is the norm of the keys of a kv head; nil: none.
func (a *Attention) keyNorm(head int) *Norm {
	if a.KNorms != nil {
		return &a.KNorms[head]
	}
	return a.KNorm
}

// Temper makes queries grow with their position: that at position p is multiplied by
// 1 + Scale * log(1 + floor(p / Every)).
type Temper struct {
	Scale float32 // 0: they do not
	Every int
}

func (t Temper) at(pos int32) float32 {
	if t.Scale == 0 {
		return 1
	}
	return 1 + t.Scale*float32(math.Log(1+float64(int(pos)/t.Every)))
}

// sees is the range of positions that a row at position pos sees; end is one more
// than the last position of its sequence in the batch.
func (a *Attention) sees(pos, end int32) (from, to int32) {
	if !a.Both {
		return a.start(pos), pos + 1
	}
	if half := int32(a.Window / 2); a.Window > 0 {
		return max(0, pos-half), min(end, pos+half+1)
	}
	return 0, end
}

// bias is what is added to the scores of a row at position pos, from position 0 on.
func (a *Attention) bias(head int, pos int32) []float32 {
	if a.Bias == nil {
		return nil
	}
	b := a.Bias[head]
	return b[len(b)/2-int(pos):]
}

// start is the first position that a row at position pos sees.
func (a *Attention) start(pos int32) int32 {
	if a.Window > 0 {
		return max(0, pos+1-int32(a.Window))
	}
	return 0
}
