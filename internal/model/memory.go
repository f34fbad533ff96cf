package model

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Memory is what a model takes, in bytes.
type Memory struct {
	Weights   uint64 // in the backend's form
	PerBlock  uint64 // keys and values of kvcache.BlockTokens positions, in the layers that see all positions
	PerWindow uint64 // in the layers with a window of which they keep no more than that; 0: there are none
	Window    int    // positions of that window
	Buffers   uint64 // of a step
	File      uint64 // of the file: what is read from it while the model is used
}

// Need estimates the memory that a model takes, before any of it is taken.
func Need(f *gguf.File, o Options) (Memory, error) {
	o = o.withDefaults()
	b, _, err := bind(f, o)
	if err != nil {
		return Memory{}, err
	}
	b.requantize(o)
	weights, err := b.weightBytes(o)
	if err != nil {
		return Memory{}, err
	}
	var perBlock [batch.Groups]int
	for g, c := range b.kvConfig(o) {
		if c.Layers == 0 {
			continue
		}
		if perBlock[g], err = kvcache.BytesPerBlock(c); err != nil {
			return Memory{}, fmt.Errorf("%s: %w", f.Path(), err)
		}
	}
	l := b.stepLimits(o)
	var pairs []int
	for _, r := range b.ropes {
		pairs = append(pairs, r.Pairs)
	}
	return Memory{
		Weights:   weights,
		PerBlock:  uint64(perBlock[batch.Full]),
		PerWindow: uint64(perBlock[batch.Window]),
		Window:    b.config.Kept,
		Buffers:   l.Bytes(o.Threads, pairs) + nn.RopeBytes(b.ropes),
		File:      b.fileBytes(o),
	}, nil
}

// fileBytes is how much of the file stays in use after loading: the embeddings,
// and the output's rows, from which the likeliest logits are computed again. Where
// files are not mapped, all of it is in memory.
func (b *binder) fileBytes(o Options) uint64 {
	var sum uint64
	for _, t := range b.file.Tensors() {
		embeddings := t.Name == "token_embd.weight"
		again := t.Name == "output.weight" && !o.Reference && !(&nn.Matrix{Type: t.Type}).MultipliesFloats()
		if embeddings || again || !gguf.Mapped {
			sum += uint64(len(t.Data))
		}
	}
	return sum
}

// weightBytes is the size of the weights in the backend's form.
func (b *binder) weightBytes(o Options) (uint64, error) {
	var sum uint64
	for _, l := range b.loads {
		for _, m := range []*nn.Matrix{l.m, l.twin} {
			if m == nil {
				continue
			}
			if o.Reference {
				sum += uint64(m.DenseBytes())
				continue
			}
			n, err := m.PackedBytes()
			if err != nil {
				name := l.src.Name
				if m == l.twin {
					name = l.twinOf.Name
				}
				return 0, fmt.Errorf("%s: tensor %q: %w", b.file.Path(), name, err)
			}
			sum += uint64(n)
		}
	}
	return sum, nil
}
