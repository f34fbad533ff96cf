package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
)

// MaxInputs is the largest number of texts of one request for embeddings.
const MaxInputs = 2048

// Inputs are the texts that a request wants embeddings of: either Texts or Tokens.
type Inputs struct {
	Param    string // the request's name for them, for errors
	Texts    []string
	Tokens   [][]int32
	Many     bool // errors name the element
	Plain    bool // without the tokens that the model wants around every text
	Truncate bool // texts that are too long lose their end; otherwise they are refused
	Limit    int  // tokens of a text; 0: the context
	Priority int  // of the request, if it asks for one that is lower than its client's
	Raw      bool // scores are as a reranker made them, instead of between 0 and 1
}

// With sets what a request for scores asks for besides its texts.
func (in *Inputs) With(priority *int, raw bool) *Inputs {
	if priority != nil {
		in.Priority = *priority
	}
	in.Raw = raw
	return in
}

// Embedded are the embeddings of a request's inputs, in their order.
type Embedded struct {
	Vectors [][]float32 // not normalised
	Tokens  int         // of all inputs together
}

// Embed computes the embeddings of a request's inputs.
func (d *Deployment) Embed(ctx context.Context, call *Call, in *Inputs) (*Embedded, *Error) {
	all, err := d.EmbedAll(ctx, call, in)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// EmbedAll computes the embeddings of several lists of inputs. All inputs are checked
// and tokenised before any is computed.
func (d *Deployment) EmbedAll(ctx context.Context, call *Call, lists ...*Inputs) ([]*Embedded, *Error) {
	if d.Config.Labels > 0 {
		return nil, Bad("model", "this model scores pairs of texts, and makes no embeddings: use /rerank or /score")
	}
	bytes := 0
	for _, in := range lists {
		if err := in.check(d); err != nil {
			return nil, err
		}
		bytes += in.bytes()
	}
	if err := d.room(call); err != nil {
		return nil, err
	}
	all := make([]*Embedded, len(lists))
	var prompts [][]int32
	err := d.Prepare(ctx, bytes, func() *Error {
		for i, in := range lists {
			encoded, err := in.encode(d)
			if err != nil {
				return err
			}
			all[i] = &Embedded{Vectors: make([][]float32, len(encoded))}
			for _, ids := range encoded {
				all[i].Tokens += len(ids)
			}
			prompts = append(prompts, encoded...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	vectors, err := d.embed(ctx, call, prompts, d.embedding(call, lists[0]))
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		vectors = vectors[copy(e.Vectors, vectors):]
	}
	return all, nil
}

// Pooling is how the model's hidden states become an embedding. Models that were
// not made for embeddings name no way: the state of the last token is the only one
// that has seen the whole text.
func (d *Deployment) Pooling() model.Pooling {
	if d.Config.Pooling == model.NoPooling {
		return model.LastPooling
	}
	return d.Config.Pooling
}

// name is how errors call an input.
func (in *Inputs) name(i int) string {
	if in.Many {
		return fmt.Sprintf("%s[%d]", in.Param, i)
	}
	return in.Param
}

// check looks at the inputs before any is tokenised.
func (in *Inputs) check(d *Deployment) *Error {
	n := len(in.Texts) + len(in.Tokens)
	if n == 0 {
		return Bad(in.Param, "%s must not be empty", in.Param)
	}
	if n > MaxInputs {
		return Bad(in.Param, "%s has %d elements, more than %d: send several requests", in.Param, n, MaxInputs)
	}
	for i, text := range in.Texts {
		if text == "" {
			return Bad(in.name(i), "%s must not be empty", in.name(i))
		}
	}
	var c Check
	for i, ids := range in.Tokens {
		if len(ids) == 0 {
			return Bad(in.name(i), "%s must not be empty", in.name(i))
		}
		c.Tokens(in.name(i), ids, d.Tokenizer.Vocab())
	}
	return c.Err()
}

func (in *Inputs) bytes() (n int) {
	for _, text := range in.Texts {
		n += len(text)
	}
	return n
}

// encode makes the tokens of all inputs.
func (in *Inputs) encode(d *Deployment) (prompts [][]int32, err *Error) {
	limit := d.Context()
	if in.Limit > 0 {
		limit = min(limit, in.Limit)
	}
	for i, text := range in.Texts {
		var ids []int32
		if in.Truncate {
			ids = d.Tokenizer.Encode(text, !in.Plain, true)
		} else if ids, err = d.Encode(text, !in.Plain); err != nil {
			err.Param = in.name(i)
			return nil, err
		}
		prompts = append(prompts, ids)
	}
	prompts = append(prompts, in.Tokens...)
	for i, ids := range prompts {
		switch {
		case len(ids) == 0:
			return nil, Bad(in.name(i), "%s has no tokens", in.name(i))
		case len(ids) > limit && !in.Truncate:
			err := TooLong(len(ids), limit, "")
			err.Param = in.name(i)
			return nil, err
		case len(ids) > limit:
			prompts[i] = d.truncate(ids, limit)
		}
	}
	return prompts, nil
}

// truncate drops the end of a text, but for the token that ends every text where
// the model wants one.
func (d *Deployment) truncate(ids []int32, limit int) []int32 {
	short := append([]int32{}, ids[:limit]...)
	if last := ids[len(ids)-1]; d.Tokenizer.IsSpecial(last) {
		short[limit-1] = last
	}
	return short
}

// roomWait is how often a request that has begun looks whether a queue that is full,
// or too slow, has room for the next of its inputs.
const roomWait = 5 * time.Millisecond

// embed has the engine compute the embeddings of prompts. Of many, only as many are
// submitted at once as keep its batch full: other requests get their turn between
// them, and the queue is left to others.
func (d *Deployment) embed(ctx context.Context, call *Call, prompts [][]int32, r engine.Request) ([][]float32, *Error) {
	tokens := 0
	for _, p := range prompts {
		tokens += len(p)
	}
	if err := call.take(tokens); err != nil {
		return nil, err
	}
	if call.Record.keeps() {
		for _, p := range prompts {
			call.Record.heard(d, p, nil)
		}
	}
	c := d.Engine.Config()
	ahead := min(2*c.MaxBatch, c.MaxBatch+c.MaxQueue)
	streams := make([]*engine.Stream, 0, len(prompts))
	defer func() {
		for _, s := range streams {
			if s != nil {
				s.Close()
			}
		}
	}()
	vectors := make([][]float32, len(prompts))
	for i := range prompts {
		for len(streams) < min(i+ahead, len(prompts)) {
			r.Prompt = prompts[len(streams)]
			s, err := d.submit(ctx, r, len(streams) > 0)
			var busy *engine.BusyError
			if errors.As(err, &busy) && len(streams) > i {
				break // one of ours ends first
			}
			if busy != nil && i > 0 {
				wait(ctx, roomWait) // what is computed already is not given up
				continue
			}
			if err != nil {
				if len(streams) == 0 {
					call.giveBack(tokens)
				}
				return nil, FromEngine(err)
			}
			streams = append(streams, s)
		}
		if _, _, err := streams[i].Next(ctx); err != nil {
			return nil, FromEngine(err)
		}
		f := streams[i].Finish()
		if f.Embedding == nil { // it was aborted: the server shuts down, or the client is gone
			if err := ctx.Err(); err != nil {
				return nil, FromEngine(err)
			}
			return nil, shuttingDown()
		}
		call.Record.embedded(d.ID, f)
		vectors[i] = f.Embedding
		streams[i].Close()
		streams[i] = nil // its sums are as large as the vector
	}
	return vectors, nil
}

// submit hands an input to the engine. For a request that has begun it asks first whether
// there is room, so that no wait for room counts as a request that was refused.
func (d *Deployment) submit(ctx context.Context, r engine.Request, begun bool) (*engine.Stream, error) {
	if begun {
		if err := d.Engine.Admit(r.Client, r.Priority); err != nil {
			return nil, err
		}
	}
	return d.Engine.Submit(ctx, r)
}

// wait returns when the time has passed or ctx has ended.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// The norms of Normalize that are no p-norm.
const (
	NormNone = -1
	NormMax  = 0 // the largest value becomes 32760, as llama.cpp has it for 16-bit integers
	Norm2    = 2 // Euclidean: length 1
)

// Normalize scales a vector in place to length 1 by the p-norm of a number, or as
// the constants say. A vector of zeros stays one.
func Normalize(v []float32, norm int) {
	var length float64
	switch norm {
	case NormNone:
		return
	case NormMax:
		for _, x := range v {
			length = max(length, math.Abs(float64(x)))
		}
		length /= 32760
	case Norm2:
		for _, x := range v {
			length += float64(x) * float64(x)
		}
		length = math.Sqrt(length)
	default:
		for _, x := range v {
			length += math.Pow(math.Abs(float64(x)), float64(norm))
		}
		length = math.Pow(length, 1/float64(norm))
	}
	if length == 0 {
		return
	}
	for i, x := range v {
		v[i] = float32(float64(x) / length)
	}
}

// Cosine is the cosine of the angle between two vectors; 0 if one has no direction.
func Cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return max(-1, min(ab/math.Sqrt(aa*bb), 1))
}

// Dimensions checks how long embeddings are to be: no file says that its model's
// may be cut, so only their own length will do.
func (c *Check) Dimensions(n *int, d *Deployment) {
	if n != nil && *n != d.Config.Dim {
		c.Fail(Bad("dimensions", "dimensions must be %d, the length of this model's embeddings: it was not made for others", d.Config.Dim))
	}
}
