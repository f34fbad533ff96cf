// Package quantize turns model files into smaller ones: which type each tensor gets, the
// importance of its columns, and the file that comes of it. The types are those that
// llama-quantize chooses, so that a Q4_K_M is what people know by that name.
//
// How a block of numbers is rounded is package quant's affair. The command line calls
// this package; package eval collects the importance of columns for it.
package quantize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Mix is a choice of types for the tensors of a model, by the name that files carry.
type Mix struct {
	Name string
	Base quant.Type // of most matrices
	Pure bool       // of all matrices
	code uint32     // of general.file_type; 0 for a Mix without one, and for F32
}

// mixes are those that can be written. Names of K types without a letter after them mean
// the medium mix, as in llama-quantize.
var mixes = []Mix{
	{Name: "F32", Base: quant.F32}, {Name: "F16", Base: quant.F16, code: 1}, {Name: "BF16", Base: quant.BF16, code: 32},
	{Name: "Q8_0", Base: quant.Q8_0, code: 7}, {Name: "Q6_K", Base: quant.Q6_K, code: 18},
	{Name: "Q5_K_M", Base: quant.Q5_K, code: 17}, {Name: "Q5_K_S", Base: quant.Q5_K, code: 16},
	{Name: "Q5_1", Base: quant.Q5_1, code: 9}, {Name: "Q5_0", Base: quant.Q5_0, code: 8},
	{Name: "Q4_K_M", Base: quant.Q4_K, code: 15}, {Name: "Q4_K_S", Base: quant.Q4_K, code: 14},
	{Name: "Q4_1", Base: quant.Q4_1, code: 3}, {Name: "Q4_0", Base: quant.Q4_0, code: 2},
	{Name: "IQ4_NL", Base: quant.IQ4_NL, code: 25}, {Name: "IQ4_XS", Base: quant.IQ4_XS, code: 30},
	{Name: "MXFP4_MOE", Base: quant.MXFP4, code: 38},
	{Name: "Q3_K_L", Base: quant.Q3_K, code: 13}, {Name: "Q3_K_M", Base: quant.Q3_K, code: 12}, {Name: "Q3_K_S", Base: quant.Q3_K, code: 11},
	{Name: "IQ3_M", Base: quant.IQ3_S, code: 27}, {Name: "IQ3_S", Base: quant.IQ3_S, code: 26},
	{Name: "IQ3_XS", Base: quant.IQ3_S, code: 22}, {Name: "IQ3_XXS", Base: quant.IQ3_XXS, code: 23},
	{Name: "Q2_K", Base: quant.Q2_K, code: 10}, {Name: "Q2_K_S", Base: quant.Q2_K, code: 21},
	{Name: "IQ2_M", Base: quant.IQ2_S, code: 29}, {Name: "IQ2_S", Base: quant.IQ2_XS, code: 28},
	{Name: "IQ2_XS", Base: quant.IQ2_XS, code: 20}, {Name: "IQ2_XXS", Base: quant.IQ2_XXS, code: 19},
	{Name: "TQ2_0", Base: quant.TQ2_0, code: 37}, {Name: "TQ1_0", Base: quant.TQ1_0, code: 36},
	{Name: "Q2_0", Base: quant.Q2_0, code: 41}, {Name: "Q1_0", Base: quant.Q1_0, code: 40},
}

// aliases are other names of mixes.
var aliases = map[string]string{"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

// Names lists the mixes that can be written.
func Names() []string {
	names := make([]string, len(mixes))
	for i, m := range mixes {
		names[i] = m.Name
	}
	return names
}

// Parse finds a mix by its name, in either case. pure asks for a type instead, which all
// matrices get.
func Parse(name string, pure bool) (Mix, bool) {
	if pure {
		t, ok := quant.ParseType(name)
		return Mix{Name: t.String(), Base: t, Pure: true}, ok && slices.Contains(quant.Targets(), t)
	}
	name = strings.ToUpper(name)
	if other, ok := aliases[name]; ok {
		name = other
	}
	i := slices.IndexFunc(mixes, func(m Mix) bool { return m.Name == name })
	if i < 0 {
		return Mix{}, false
	}
	return mixes[i], true
}

// is reports whether the mix has one of these names.
func (m Mix) is(names ...string) bool { return slices.Contains(names, m.Name) }

// Importance reports whether the mix is of so few bits that it is of little use without
// an importance matrix.
func (m Mix) Importance() bool {
	return m.is("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "Q2_K_S")
}

// chooser is what the choice of a tensor's type depends on.
type chooser struct {
	mix      Mix
	arch     string
	layers   int
	experts  int
	shared   int  // query heads that share a key head
	weighed  bool // there is an importance matrix
	tied     bool // the token table is the output, too
	attnV    int  // layers with values
	seenV    int  // of these, those before this one
	seenDown int
}

// choose gives each tensor of a file its type.
func choose(f *gguf.File, m Mix, weighed bool) []quant.Type {
	tensors := f.Tensors()
	types := make([]quant.Type, len(tensors))
	c := newChooser(f, m, weighed)
	order := make([]int, len(tensors))
	for i, t := range tensors {
		order[i], types[i] = i, t.Type
		switch {
		case t.Name == "output.weight":
			c.tied = false
		case isValue(t.Name):
			c.attnV++
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return layerOf(tensors[a].Name) - layerOf(tensors[b].Name) })
	for _, i := range order {
		t := tensors[i]
		switch {
		case !quantizable(t):
		case m.Base.BlockSize() == 1:
			types[i] = m.Base
		case m.Pure:
			types[i] = fallback(t, m.Base)
		default:
			types[i] = fallback(t, c.typeOf(t))
		}
	}
	return types
}

func newChooser(f *gguf.File, m Mix, weighed bool) *chooser {
	c := &chooser{mix: m, weighed: weighed, tied: true, shared: 1}
	c.arch, _ = f.Str("general.architecture")
	number := func(key string) int {
		n, _ := f.Int(c.arch + "." + key)
		return int(n)
	}
	c.layers, c.experts = number("block_count"), number("expert_count")
	if q, kv := number("attention.head_count"), number("attention.head_count_kv"); kv > 0 {
		c.shared = q / kv
	}
	return c
}

// layerOf is the layer that a tensor belongs to, -1 if none.
func layerOf(name string) int {
	n := -1
	fmt.Sscanf(name, "blk.%d.", &n)
	return n
}

// kept are parts of the names of matrices that are too small or too delicate to be
// quantised.
var kept = []string{"_norm.weight", "ffn_gate_inp.weight", "altup", "laurel", "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "attn_rel_b.weight"}

// quantizable reports whether a tensor may be quantised at all.
func quantizable(t gguf.Tensor) bool {
	if t.Rows() == 1 || len(t.Shape) < 2 || !strings.HasSuffix(t.Name, "weight") || t.Name == "position_embd.weight" || t.Name == "token_types.weight" {
		return false
	}
	return !slices.ContainsFunc(kept, func(part string) bool { return strings.Contains(t.Name, part) })
}

// fallback is a type near to kind whose blocks divide the tensor's rows.
func fallback(t gguf.Tensor, kind quant.Type) quant.Type {
	if t.Cols()%kind.BlockSize() == 0 {
		return kind
	}
	switch kind {
	case quant.IQ2_XXS, quant.IQ2_XS, quant.IQ2_S, quant.IQ3_XXS, quant.IQ3_S, quant.IQ4_XS:
		kind = quant.IQ4_NL
	case quant.Q2_0, quant.Q1_0, quant.Q2_K, quant.Q3_K, quant.TQ1_0, quant.TQ2_0:
		kind = quant.Q4_0
	case quant.Q4_K:
		kind = quant.Q5_0
	case quant.Q5_K:
		kind = quant.Q5_1
	case quant.Q6_K:
		kind = quant.Q8_0
	}
	if t.Cols()%kind.BlockSize() != 0 {
		return quant.F16
	}
	return kind
}
