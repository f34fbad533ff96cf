package model_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"

	. "github.com/penstock-llm/penstock/internal/model"
)

// TestSharedPrefix: sequences that share the blocks of a prefix have the bits that each has alone, whether their
// contexts are cut or not, whoever is beside them, and however many workers there are.
func TestSharedPrefix(t *testing.T) {
	const own = 3 // tokens that each decodes
	for _, c := range []struct {
		prefix, other int // shared by all but the last, and by the last with them
		heads         int
		kv            KVType
	}{
		{2 * kernel.ForkTokens, 2 * kernel.ForkTokens, 3, KV16},
		{3 * kernel.ForkTokens, kernel.ForkTokens, 1, KV8},
		{kernel.SegmentTokens + 2*kernel.ForkTokens, kernel.ForkTokens, 3, KV16}, // cut
		{kernel.SegmentTokens - 32, kernel.ForkTokens, 2, KVF16},                 // too long for a segment, but not cut
	} {
		t.Run(fmt.Sprintf("%d %d %d %v", c.prefix, c.other, c.heads, c.kv), func(t *testing.T) {
			o := tinymodel.Options{Arch: "llama", Dim: 32, Layers: 2, Heads: 2 * c.heads, KVHeads: 2, HeadDim: 16, FF: 32, Type: quant.Q8_0, Context: 4096}
			length := c.prefix + 40
			each := (length + own + kvcache.BlockTokens) / kvcache.BlockTokens
			var want [][][]float32
			for _, threads := range []int{2, 3} {
				m, s := tiny(t, o, Options{Tier: kernel.Tiers()[0], Threads: threads, MaxRows: 256, KV: c.kv}, 5*each)
				talks := branching(m.Config().Vocab, length+own, each, c.prefix, c.other)
				for _, x := range talks {
					takeIn(m, s, x, length)
				}
				if want == nil {
					for _, x := range talks {
						want = append(want, all(m, s, x, 1))
						x.done = length
					}
				}
				for k := range own {
					for i, rows := range step(m, s, []int{1, 1, 1, 1, 1}, talks...) {
						if !slices.Equal(rows[0], want[i][k]) {
							t.Fatalf("%d threads: token %d of sequence %d differs", threads, k, i)
						}
					}
				}
			}
		})
	}
}

// takeIn computes the first n tokens of a talk.
func takeIn(m *Model, c *kvcache.Store, s *talk, n int) {
	for s.done < n {
		rows := min(256, n-s.done)
		b := &batch.Batch{Tokens: s.tokens[s.done:][:rows], Start: []int32{0, int32(rows)}, Blocks: [][]int32{s.blocks}}
		for ; rows > 0; rows-- {
			b.Positions = append(b.Positions, int32(s.done))
			s.done++
		}
		m.Forward(b, c)
	}
}

// branching makes five sequences of n tokens, which begin with the same prefix: the last one with a shorter one. They have
// the same tokens there, and the same blocks.
func branching(vocab, n, blocks, prefix, other int) []*talk {
	var talks []*talk
	for i := range 5 {
		s := newTalk(uint64(i+1), vocab, n)
		for b := range blocks {
			s.blocks = append(s.blocks, int32(i*blocks+b))
		}
		if i > 0 {
			shared := prefix
			if i == 4 {
				shared = other
			}
			copy(s.tokens[:shared], talks[0].tokens)
			copy(s.blocks[:shared/kvcache.BlockTokens], talks[0].blocks)
		}
		talks = append(talks, s)
	}
	return talks
}
