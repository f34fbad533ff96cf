package model

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Need estimates the memory that a model takes, before any of it is taken:
// its weights, one block of keys and values (of kvcache.BlockTokens positions),
// and the buffers of a step.
func Need(f *gguf.File, o Options) (weights, perBlockKV, scratch uint64, err error) {
	o = o.withDefaults()
	b, _, err := bind(f)
	if err != nil {
		return 0, 0, 0, err
	}
	if weights, err = b.weightBytes(o); err != nil {
		return 0, 0, 0, err
	}
	block, err := kvcache.BytesPerBlock(b.kvConfig(o))
	if err != nil {
		return 0, 0, 0, fmt.Errorf("model: %s: %w", f.Path(), err)
	}
	l := b.limits
	l.Rows, l.Logits, l.Seqs = o.MaxRows, o.MaxLogits, o.MaxRows
	return weights, uint64(block), l.Bytes(o.Threads) + nn.RopeBytes(b.ropes), nil
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
				return 0, fmt.Errorf("model: %s: tensor %q: %w", b.file.Path(), name, err)
			}
			sum += uint64(n)
		}
	}
	return sum, nil
}
