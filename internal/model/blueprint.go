package model

import (
	"bytes"
	"slices"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Blueprint is what the file of a model has to hold, as its architecture asks for it.
type Blueprint struct {
	Tensors        []Shape
	EmbeddingScale float64 // by which embeddings are multiplied on their way in
}

// Shape is a tensor without its numbers.
type Shape struct {
	Name  string
	Shape []int // the contiguous size first, as in gguf.Tensor
}

// Traits are what one has to know of an architecture to make up a small model of it.
type Traits struct {
	Period    int  // layers after which the kinds of layers repeat: 1 where all are alike
	Experts   bool // there is no such model without experts
	Mixed     bool // there are such models with experts
	Encoder   bool // it makes embeddings only
	Convolves bool // layers without key heads are convolutions
	Square    bool // llama.cpp wants the heads together to be as wide as the residual stream
}

// Architectures lists the names of the architectures that can be loaded.
func Architectures() []string { return architectureNames() }

// TraitsOf finds an architecture's traits.
func TraitsOf(name string) (t Traits, ok bool) {
	for _, a := range architectures() {
		if a.name == name {
			return Traits{Period: max(1, a.period), Experts: a.needs, Mixed: a.mixed, Encoder: a.encoder, Square: a.square, Convolves: a.convolves}, true
		}
	}
	return Traits{}, false
}

// Draw lists the tensors of a model with this metadata: those that its architecture
// requires, and those of the optional ones that with accepts. For that it binds the
// architecture to a file in which every tensor turns up that is asked for.
func Draw(meta []gguf.KV, with func(name string) bool) (*Blueprint, error) {
	var file bytes.Buffer
	if err := gguf.Write(&file, meta, nil); err != nil {
		return nil, err
	}
	f, err := gguf.Parse("blueprint", file.Bytes())
	if err != nil {
		return nil, err
	}
	s := &sketch{with: with}
	b, _, err := bindTo(f, Options{}, s)
	if err != nil {
		return nil, err
	}
	s.drawn.EmbeddingScale = max(1, b.scale)
	return &s.drawn, nil
}

// sketch stands in for the tensors of a file.
type sketch struct {
	with  func(name string) bool
	drawn Blueprint
}

// tensor makes up a tensor of zeros. ok is false for an optional one that is not
// wanted.
func (s *sketch) tensor(name string, optional bool, shape []int) (t gguf.Tensor, ok bool) {
	if optional && !s.with(name) {
		return t, false
	}
	t = gguf.Tensor{Name: name, Type: quant.F32, Shape: shape}
	t.Data = make([]byte, t.Type.RowBytes(t.Elements()))
	if !slices.ContainsFunc(s.drawn.Tensors, func(d Shape) bool { return d.Name == name }) {
		s.drawn.Tensors = append(s.drawn.Tensors, Shape{Name: name, Shape: shape})
	}
	return t, true
}
