package quantize

import (
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// The choices below are llama-quantize's: which tensors of a mix get more bits than most,
// because errors in them cost more, was found there by trial.

// isValue reports whether a tensor makes values of attention, alone or with queries and
// keys.
func isValue(name string) bool {
	return strings.Contains(name, "attn_v.weight") || strings.Contains(name, "attn_qkv.weight") || strings.Contains(name, "attn_kv_b.weight")
}

// edge reports whether a layer is one of those whose errors cost most: the first and last
// eighth, and every third between.
func edge(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}

// lowest reports whether the mix has two bits a weight by grids.
func (c *chooser) lowest() bool { return c.mix.is("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M") }

// typeOf is the type of a matrix, before its rows are looked at.
func (c *chooser) typeOf(t gguf.Tensor) quant.Type {
	table := t.Name == "token_embd.weight" || t.Name == "per_layer_token_embd.weight"
	switch name := t.Name; {
	case name == "output.weight" || c.tied && table:
		return c.output(t)
	case c.mix.Name == "MXFP4_MOE":
		if len(t.Shape) > 2 && t.Shape[2] > 1 {
			return quant.MXFP4
		}
		return quant.Q8_0
	case table:
		return c.tokens()
	case c.lowest():
		return c.twoBits(name)
	case isValue(name):
		return c.values()
	case strings.Contains(name, "attn_k.weight"), strings.Contains(name, "attn_q.weight"):
		return c.queries(strings.Contains(name, "attn_k.weight"))
	case strings.Contains(name, "ffn_down"):
		return c.down(c.layer(name, &c.seenDown))
	case strings.Contains(name, "attn_output.weight"):
		return c.attention()
	case strings.Contains(name, "ffn_gate"), strings.Contains(name, "ffn_up"):
		if layer := layerOf(name); c.mix.is("IQ3_XS") && layer >= c.layers/8 && layer < 7*c.layers/8 {
			return quant.IQ3_XXS
		}
	}
	return c.mix.Base
}

// layer is the number of a tensor's layer: where there are experts by its name, else by how
// many of the kind came before.
func (c *chooser) layer(name string, seen *int) int {
	n := *seen
	*seen++
	if c.experts > 1 {
		return layerOf(name)
	}
	return n
}

// output is the type of the matrix that makes the logits.
func (c *chooser) output(t gguf.Tensor) quant.Type {
	switch {
	case c.mix.is("MXFP4_MOE"), c.arch == "falcon", t.Cols()%c.mix.Base.BlockSize() != 0:
		return quant.Q8_0
	case c.lowest(), c.mix.is("IQ3_XXS"):
		return quant.Q5_K
	case c.mix.Base == quant.Q8_0:
		return quant.Q8_0
	}
	return quant.Q6_K
}

// tokens is the type of a token table that is not the output, too.
func (c *chooser) tokens() quant.Type {
	switch {
	case c.mix.is("IQ2_XXS", "IQ2_XS"):
		return quant.Q2_K
	case c.mix.is("IQ2_S", "IQ2_M", "IQ3_XXS"):
		return quant.IQ3_S
	case c.mix.is("TQ1_0", "TQ2_0", "Q2_0"):
		return quant.Q4_K
	}
	return c.mix.Base
}

// twoBits is the type of a matrix of the mixes of two bits.
func (c *chooser) twoBits(name string) quant.Type {
	more := quant.Q2_K
	if c.mix.is("IQ2_S", "IQ2_M") {
		more = quant.IQ3_S
	}
	switch {
	case isValue(name):
		c.seenV++
		if c.shared >= 4 || c.experts >= 4 {
			return quant.Q4_K
		}
		return more
	case c.experts == 8 && strings.Contains(name, "attn_k.weight"):
		return quant.Q4_K
	case strings.Contains(name, "ffn_down"):
		c.seenDown++
		if c.seenDown-1 < c.layers/8 {
			return more
		}
	case strings.Contains(name, "attn_output.weight"):
		if c.experts == 8 {
			return quant.Q5_K
		}
		if more == quant.IQ3_S {
			return more
		}
	}
	return c.mix.Base
}

// values is the type of the values' matrix of the next layer.
func (c *chooser) values() quant.Type {
	kind, n := c.mix.Base, c.seenV
	c.seenV++
	wide := c.shared >= 4 // few heads: more bits cost little
	switch {
	case c.mix.is("Q2_K"):
		kind = quant.Q3_K
		if wide {
			kind = quant.Q4_K
		}
	case c.mix.is("IQ3_XXS") && !wide:
		if !c.weighed {
			kind = quant.IQ3_S
		}
	case c.mix.is("IQ3_M"), wide && c.mix.is("Q2_K_S", "IQ3_XXS", "IQ3_XS", "IQ3_S"):
		kind = quant.Q4_K
	case c.mix.is("Q3_K_M") && n >= 2:
		kind = quant.Q4_K
	case c.mix.is("Q3_K_M", "Q3_K_L"), wide && c.mix.is("IQ4_NL", "IQ4_XS"), c.mix.is("Q4_K_S") && n < 4:
		kind = quant.Q5_K
	case c.mix.is("Q4_K_M", "Q5_K_M") && edge(n, c.attnV):
		kind = quant.Q6_K
	}
	if c.arch == "llama" && c.layers == 80 && c.shared == 8 && (kind == quant.Q3_K || kind == quant.Q4_K) {
		kind = quant.Q5_K // the 70 B models
	}
	if c.experts == 8 {
		kind = quant.Q8_0
	}
	return kind
}

// queries is the type of the matrix of queries or keys.
func (c *chooser) queries(keys bool) quant.Type {
	switch {
	case keys && c.experts == 8:
		return quant.Q8_0
	case c.mix.is("IQ3_XS"):
		return quant.IQ3_XXS
	case c.mix.is("IQ3_XXS"):
		return quant.IQ2_S
	}
	return c.mix.Base
}

// down is the type of the second matrix of a layer's feed-forward network.
func (c *chooser) down(layer int) quant.Type {
	falcon, first := c.arch == "falcon", layer < c.layers/8
	switch {
	case c.mix.is("Q2_K"):
		return quant.Q3_K
	case c.mix.is("Q2_K_S") && first, c.mix.is("IQ3_M") && (first || c.experts == 8 && edge(layer, c.layers)):
		return quant.Q4_K
	case c.mix.is("IQ3_XXS") && !c.weighed && first:
		return quant.Q4_K
	case c.mix.is("IQ3_XXS") && !c.weighed:
		return quant.Q3_K
	case c.mix.is("Q3_K_M") && layer < c.layers/16:
		return quant.Q5_K
	case c.mix.is("Q3_K_M") && (!falcon || edge(layer, c.layers)), c.mix.is("Q3_K_L") && falcon:
		return quant.Q4_K
	case c.mix.is("Q3_K_L"):
		return quant.Q5_K
	case c.mix.is("Q4_K_M") && falcon && layer >= c.layers/16 && edge(layer, c.layers):
		return quant.Q5_K
	case c.mix.is("Q4_K_M") && falcon && layer >= c.layers/16:
		return quant.Q4_K
	case c.mix.is("Q4_K_M") && (falcon || edge(layer, c.layers)), c.mix.is("Q5_K_M") && edge(layer, c.layers):
		return quant.Q6_K
	case first && c.mix.is("IQ4_NL", "IQ4_XS") && !c.weighed, first && c.mix.is("Q4_K_S") && !falcon:
		return quant.Q5_K
	case first && c.weighed && c.mix.is("Q4_0"):
		return quant.Q4_1
	case first && c.weighed && c.mix.is("Q5_0"):
		return quant.Q5_1
	}
	return c.mix.Base
}

// attention is the type of the matrix after attention.
func (c *chooser) attention() quant.Type {
	switch {
	case c.arch == "falcon" && c.mix.is("Q3_K_L"):
		return quant.Q4_K
	case c.arch == "falcon":
	case c.experts == 8:
		if c.mix.is("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS") {
			return quant.Q5_K
		}
	case c.mix.is("Q2_K"):
		return quant.Q3_K
	case c.mix.is("IQ3_XXS"):
		return quant.IQ3_S
	case c.mix.is("Q3_K_M", "IQ3_M"):
		return quant.Q4_K
	case c.mix.is("Q3_K_L"):
		return quant.Q5_K
	}
	return c.mix.Base
}
