package eval

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quantize"
)

// Importance runs tokens through the reference path of a model and sums up what the inputs
// of the layers' matrices are. Chunks are those of Perplexity.
func Importance(ctx context.Context, m *model.Model, file *gguf.File, tokens []int32, o Options) (*quantize.Importance, error) {
	if o.Context == 0 {
		o.Context = 512
	}
	chunks := len(tokens) / o.Context
	if chunks == 0 {
		return nil, fmt.Errorf("a text of %d tokens is shorter than the context of %d", len(tokens), o.Context)
	}
	if o.Chunks > 0 {
		chunks = min(chunks, o.Chunks)
	}
	r, err := newReader(m, o.Context)
	if err != nil {
		return nil, err
	}
	defer r.store.Close()
	sums := &quantize.Importance{Chunks: chunks, ChunkSize: o.Context, Entries: map[string]*quantize.Entry{}}
	experts := map[string]int{}
	for _, t := range file.Tensors() {
		experts[t.Name] = 1
		if len(t.Shape) > 2 {
			experts[t.Name] = t.Shape[2]
		}
	}
	err = m.Observe(func(tensor string, expert int, rows [][]float32) {
		if strings.HasPrefix(tensor, "blk.") {
			sums.Add(tensor, expert, experts[tensor], rows)
		}
	})
	if err != nil {
		return nil, err
	}
	for c := range chunks {
		if o.Progress != nil {
			o.Progress(c, chunks, Result{})
		}
		chunk := slices.Clone(tokens[c*o.Context:][:o.Context])
		if o.BOS >= 0 {
			chunk[0] = o.BOS
		}
		for from := 0; from < len(chunk); from += m.MaxRows() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r.states(chunk, from, min(from+m.MaxRows(), len(chunk)))
		}
	}
	if o.Progress != nil {
		o.Progress(chunks, chunks, Result{})
	}
	return sums, nil
}

// states feeds tokens [from, to) of a chunk, all of which go through all layers.
func (r *reader) states(chunk []int32, from, to int) {
	b := &r.batch
	b.Reset()
	for pos := from; pos < to; pos++ {
		b.Hidden = append(b.Hidden, int32(pos-from))
		b.Tokens = append(b.Tokens, chunk[pos])
		b.Positions = append(b.Positions, int32(pos))
	}
	b.Start = append(b.Start, 0, int32(to-from))
	b.Blocks = append(b.Blocks, r.blocks)
	r.m.Pool().Lease()
	defer r.m.Pool().Release()
	r.m.Forward(b, r.store)
}
