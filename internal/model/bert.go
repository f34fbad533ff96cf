package model

import (
	"math"

	"github.com/penstock-llm/penstock/internal/nn"
)

// bert is BERT (MiniLM, BGE, E5) and its relatives: every token sees the whole
// text, and there is a layer normalisation after each addition. The relatives differ
// in how a token knows its position, and in their feed-forward layers.
type bert struct {
	embedding nn.Embedding
	norm      nn.Norm
	layers    []bertLayer
}

type bertLayer struct {
	qkv      nn.QKV
	attn     nn.Attention
	out      nn.Linear
	attnNorm nn.Norm
	ffn      nn.FFN    // with a gate; nil matrices: none
	up       nn.Linear // without
	down     nn.Linear
	outNorm  nn.Norm
}

// bindBert binds BERT itself: learned positions, GELU without a gate.
func bindBert(b *binder) network {
	m := b.bert(nil, nil)
	b.places(&m.embedding, 0)
	return m
}

// places binds the table of positions, whose rows from first on are used.
func (b *binder) places(e *nn.Embedding, first int) {
	c := &b.config
	t, ok := b.find("position_embd.weight", false, c.Dim, c.Context+first)
	if ok {
		e.Places, e.First = &nn.Embedding{Type: t.Type, Dim: c.Dim, Data: t.Data}, first
	}
}

// bert binds what all of them have. bind adds to a layer what is the architecture's
// own; nil: a layer of BERT.
func (b *binder) bert(rope *nn.Rope, bind func(l *bertLayer, prefix string)) *bert {
	c := &b.config
	b.encoder()
	m := &bert{embedding: b.embedding(), norm: b.layerNorm("token_embd_norm", c.Dim)}
	if t, ok := b.file.Tensor("token_types.weight"); ok { // texts are of the first type
		if types, ok := b.find(t.Name, false, c.Dim, t.Rows()); ok {
			m.embedding.Add = make([]float32, c.Dim)
			if err := dequantize(types.Part(0, 1), m.embedding.Add); err != nil {
				b.meta.fail("tensor %q: %v", t.Name, err)
			}
			if b.meta.ranks && types.Rows() > 1 { // the second text of a pair has a type of its own
				m.embedding.Second = make([]float32, c.Dim)
				if err := dequantize(types.Part(1, 1), m.embedding.Second); err != nil {
					b.meta.fail("tensor %q: %v", t.Name, err)
				}
				separator, ok := b.file.Uint("tokenizer.ggml.seperator_token_id") // the spelling is GGUF's
				if !ok || separator > maxVocab {
					separator = 102 // BERT's own
				}
				m.embedding.Separator = int32(separator)
			}
		}
	}
	for i := range c.Layers {
		p := prefix(i)
		l := bertLayer{
			qkv:      b.qkv(p),
			attn:     b.attention(0, rope),
			out:      b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
			attnNorm: b.layerNorm(p+"attn_output_norm", c.Dim),
			down:     b.linear(p+"ffn_down", c.Dim, c.FF),
			outNorm:  b.layerNorm(p+"layer_output_norm", c.Dim),
		}
		l.attn.Both = true
		if bind != nil {
			bind(&l, p)
		} else {
			l.up = b.linear(p+"ffn_up", c.FF, c.Dim)
			b.limits.Hidden = max(b.limits.Hidden, c.FF)
		}
		if b.meta.err != nil {
			return m
		}
		m.layers = append(m.layers, l)
	}
	b.classifier(math.Tanh)
	return m
}

// encoder notes that the model makes embeddings only. Where its file does not say
// how, they are means, as most are.
func (b *binder) encoder() {
	c := &b.config
	c.Encoder = true
	if c.Pooling == NoPooling {
		c.Pooling = MeanPooling
	}
}

func (m *bert) forward(be nn.Backend) []float32 {
	be.Embed(&m.embedding)
	be.NormStay(&m.norm)
	for i := range m.layers {
		l := &m.layers[i]
		be.Project(&l.qkv)
		if i == len(m.layers)-1 {
			be.Narrow()
		}
		be.Attend(&l.attn)
		be.ProjectAdd(&l.out)
		be.NormStay(&l.attnNorm)
		if l.ffn.Gate.W != nil {
			be.Gated(&l.ffn)
		} else {
			be.Activate(&l.up, nn.GELUErf)
		}
		be.ProjectAdd(&l.down)
		be.NormStay(&l.outNorm)
	}
	be.States(nil)
	return nil
}
