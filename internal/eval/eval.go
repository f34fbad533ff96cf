// Package eval measures how well a model predicts a text, and how far the fast
// path is from the float32 reference on it. It scores the same positions as
// llama.cpp's llama-perplexity, so that the figures can be set side by side.
//
// It does not tokenize and does not print. The perplexity command and the
// fidelity tests call it.
package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
)

// Options say which part of a text to score. The text is cut into chunks of
// Context tokens. Each is computed on its own, and its second half is scored.
type Options struct {
	Context int   // tokens of a chunk; 0: 512
	Chunks  int   // how many chunks at most; 0: all
	BOS     int32 // takes the place of every chunk's first token, where the vocabulary adds it; negative: none

	// Progress is called before the first chunk and after each, with the figures
	// so far.
	Progress func(done, chunks int, sofar Result)
}

// Result is what was measured.
type Result struct {
	Perplexity float64 `json:"ppl"`
	Error      float64 `json:"ppl_stderr"`
	Scored     int     `json:"scored_tokens"`
	Chunks     int     `json:"chunks"`
	Context    int     `json:"ctx"`

	*Comparison // nil without a reference
}

// Comparison is how a model's predictions differ from the reference's at the
// same positions.
type Comparison struct {
	Reference float64 `json:"reference_ppl"` // the reference's perplexity
	KLMean    float64 `json:"kl_mean"`       // of the model from the reference, in nats
	KLP99     float64 `json:"kl_p99"`
	KLMax     float64 `json:"kl_max"`
	Top1      float64 `json:"top1_agreement"`
}

// Perplexity scores tokens with m.
func Perplexity(ctx context.Context, m *model.Model, tokens []int32, o Options) (Result, error) {
	return run(ctx, tokens, o, m)
}

// Compare scores tokens with m and compares every prediction with reference's.
func Compare(ctx context.Context, m, reference *model.Model, tokens []int32, o Options) (Result, error) {
	if a, b := m.Config(), reference.Config(); a.Vocab != b.Vocab {
		return Result{}, fmt.Errorf("a vocabulary of %d against one of %d", a.Vocab, b.Vocab)
	}
	return run(ctx, tokens, o, m, reference)
}

// run scores tokens with the first model, and compares it with the second if
// there is one.
func run(ctx context.Context, tokens []int32, o Options, models ...*model.Model) (Result, error) {
	if o.Context == 0 {
		o.Context = 512
	}
	if o.Context < 4 {
		return Result{}, fmt.Errorf("a context of %d tokens is too short", o.Context)
	}
	chunks := len(tokens) / o.Context
	if chunks == 0 {
		return Result{}, fmt.Errorf("a text of %d tokens is shorter than the context of %d", len(tokens), o.Context)
	}
	if o.Chunks > 0 {
		chunks = min(chunks, o.Chunks)
	}
	var t tally
	t.models = len(models)
	var readers []*reader
	for _, m := range models {
		r, err := newReader(m, o.Context)
		if err != nil {
			return Result{}, err
		}
		defer r.store.Close()
		readers = append(readers, r)
	}
	if o.Progress != nil {
		o.Progress(0, chunks, Result{})
	}
	for c := range chunks {
		chunk := slices.Clone(tokens[c*o.Context:][:o.Context])
		if o.BOS >= 0 {
			chunk[0] = o.BOS
		}
		if err := t.chunk(ctx, readers, chunk); err != nil {
			return Result{}, err
		}
		if o.Progress != nil {
			o.Progress(c+1, chunks, t.result(c+1, o.Context))
		}
	}
	return t.result(chunks, o.Context), nil
}

// reader runs one model over chunks.
type reader struct {
	m      *model.Model
	store  *kvcache.Store
	blocks []int32
	vocab  int
	batch  batch.Batch
}

func newReader(m *model.Model, length int) (*reader, error) {
	if limit := m.Config().Context; length > limit {
		return nil, fmt.Errorf("a context of %d tokens, the model was made for %d", length, limit)
	}
	n := (length + kvcache.BlockTokens - 1) / kvcache.BlockTokens
	s, err := m.NewStore(kvcache.Room{Blocks: n})
	if err != nil {
		return nil, err
	}
	r := &reader{m: m, store: s, vocab: m.Config().Vocab}
	for i := range n {
		r.blocks = append(r.blocks, int32(i))
	}
	return r, nil
}

// step feeds tokens [from, to) of a chunk and returns the logits of those from
// first on.
func (r *reader) step(chunk []int32, from, to, first int) []float32 {
	b := &r.batch
	b.Reset()
	for pos := from; pos < to; pos++ {
		if pos >= first {
			b.Logits = append(b.Logits, int32(pos-from))
		}
		b.Tokens = append(b.Tokens, chunk[pos])
		b.Positions = append(b.Positions, int32(pos))
	}
	b.Start = append(b.Start, 0, int32(to-from))
	b.Blocks = append(b.Blocks, r.blocks)
	r.m.Pool().Lease()
	defer r.m.Pool().Release()
	return r.m.Forward(b, r.store)
}

// tally sums up scores.
type tally struct {
	models int
	scored int
	nll    [2]float64 // of the model, of the reference
	nll2   float64
	kl     []float64
	agree  int
}

// chunk scores the positions from the middle of a chunk to the one before its
// last token.
func (t *tally) chunk(ctx context.Context, readers []*reader, chunk []int32) error {
	first, end := len(chunk)/2, len(chunk)-1
	rows, logits := readers[0].m.MaxRows(), readers[0].m.MaxLogits()
	for _, r := range readers[1:] {
		rows, logits = min(rows, r.m.MaxRows()), min(logits, r.m.MaxLogits())
	}
	for from := 0; from < end; {
		to := min(from+rows, first)
		if from >= first {
			to = min(from+min(rows, logits), end)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var got [2][]float32
		for i, r := range readers {
			got[i] = r.step(chunk, from, to, first)
		}
		if from >= first {
			for i := range to - from {
				v := readers[0].vocab
				row := [2][]float32{got[0][i*v:][:v]}
				if t.models == 2 {
					row[1] = got[1][i*v:][:v]
				}
				if err := t.position(row, chunk[from+i+1]); err != nil {
					return fmt.Errorf("position %d: %w", from+i, err)
				}
			}
		}
		from = to
	}
	return nil
}

var errNotFinite = errors.New("the logits are not finite")

// position scores one prediction of token.
func (t *tally) position(logits [2][]float32, token int32) error {
	var peak [2]int
	var norm [2]float64 // log of the sum of exponentials
	for i := range t.models {
		peak[i], norm[i] = logSumExp(logits[i])
		loss := norm[i] - float64(logits[i][token])
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return errNotFinite
		}
		t.nll[i] += loss
		if i == 0 {
			t.nll2 += loss * loss
		}
	}
	t.scored++
	if t.models == 2 {
		t.kl = append(t.kl, divergence(logits[1], logits[0], norm[1], norm[0]))
		if peak[0] == peak[1] {
			t.agree++
		}
	}
	return nil
}

func logSumExp(x []float32) (peak int, norm float64) {
	for i, v := range x {
		if v > x[peak] {
			peak = i
		}
	}
	top, sum := float64(x[peak]), 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return peak, top + math.Log(sum)
}

// divergence is KL(p || q) for logits and their norms.
func divergence(p, q []float32, pNorm, qNorm float64) float64 {
	sum := 0.0
	for i := range p {
		lp := float64(p[i]) - pNorm
		if lp < -60 {
			continue // so unlikely that it adds less than rounding does
		}
		sum += math.Exp(lp) * (lp - (float64(q[i]) - qNorm))
	}
	return max(sum, 0)
}

func (t *tally) result(chunks, length int) Result {
	n := float64(t.scored)
	mean := t.nll[0] / n
	r := Result{Perplexity: math.Exp(mean), Scored: t.scored, Chunks: chunks, Context: length}
	if variance := t.nll2/n - mean*mean; variance > 0 && n > 1 {
		r.Error = r.Perplexity * math.Sqrt(variance/(n-1))
	}
	if t.models == 2 {
		kl := slices.Clone(t.kl)
		slices.Sort(kl)
		sum := 0.0
		for _, v := range kl {
			sum += v
		}
		r.Comparison = &Comparison{
			Reference: math.Exp(t.nll[1] / n),
			KLMean:    sum / n,
			KLP99:     kl[min(len(kl)-1, len(kl)*99/100)],
			KLMax:     kl[len(kl)-1],
			Top1:      float64(t.agree) / n,
		}
	}
	return r
}
