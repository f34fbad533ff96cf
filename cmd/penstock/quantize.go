package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/quant"
)

type quantizeCommand struct {
	In   string `arg:"" help:"The .gguf file to read, or a folder as Hugging Face keeps models."`
	Out  string `arg:"" help:"The .gguf file to write."`
	Type string `arg:"" help:"Weight type, such as Q8_0."`
}

// Help is the text below the usage in `penstock quantize --help`.
func (*quantizeCommand) Help() string {
	return "Weight types: " + targets() + ".\nMatrices get that type; vectors stay as they are. Quantise from F32, F16 or BF16: what an earlier quantisation has lost stays lost."
}

// targets lists the types that can be written.
func targets() string {
	var names []string
	for _, t := range quant.Targets() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

func (c *quantizeCommand) Run(ctx context.Context, term terminal) error {
	kind, ok := quant.ParseType(c.Type)
	if !ok || !slices.Contains(quant.Targets(), kind) {
		return fmt.Errorf("%.40q is no weight type that can be written: choose one of %s", c.Type, targets())
	}
	if same(c.In, c.Out) {
		return fmt.Errorf("%s: cannot be both input and output: name another file to write", c.In)
	}
	in, err := safetensors.Open(c.In)
	if err != nil {
		return err
	}
	defer in.Close()
	if types := quantized(in); len(types) > 0 && kind.BlockSize() > 1 {
		fmt.Fprintf(term.err, "warning: %s is quantised already (%s), and what that has lost stays lost: for the best quality start from F16, BF16 or F32\n",
			c.In, strings.Join(types, ", "))
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.Out), filepath.Base(c.Out)+".part-*")
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", c.Out, err)
	}
	defer os.Remove(tmp.Name())
	bar := newProgress(term.err, filepath.Base(c.Out))
	p := planConversion(in, kind)
	err = p.write(ctx, tmp, bar.count)
	bar.stop()
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("quantize %s: %w", c.In, err)
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return err
	}
	if p.kept > 0 {
		fmt.Fprintf(term.err, "%d of %d matrices keep their type: their rows are not whole blocks of %d\n", p.kept, p.kept+p.changed, kind.BlockSize())
	}
	return os.Rename(tmp.Name(), c.Out)
}

// quantized are the types of the file's matrices that are quantised.
func quantized(f *gguf.File) []string {
	var types []string
	for _, t := range f.Tensors() {
		if name := t.Type.String(); t.Type.BlockSize() > 1 && !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	return types
}

// same reports whether two paths are one file, by whatever links.
func same(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// conversion is a file and the tensors that it is turned into.
type conversion struct {
	in            *gguf.File
	kind          quant.Type
	out           []gguf.Tensor
	changed, kept int // how many matrices get the type, and how many cannot
}

// planConversion gives all matrices type kind. Vectors stay as they are, and so
// does a matrix whose rows the type's blocks do not divide.
func planConversion(in *gguf.File, kind quant.Type) *conversion {
	c := &conversion{in: in, kind: kind, out: slices.Clone(in.Tensors())}
	for i := range c.out {
		t := &c.out[i]
		switch {
		case len(t.Shape) < 2 || t.Rows() == 1:
		case t.Cols()%kind.BlockSize() == 0:
			t.Type = kind
			c.changed++
		default:
			c.kept++
		}
	}
	return c
}

func (c *conversion) write(ctx context.Context, w io.Writer, progress func(stage string, done, total int)) error {
	if c.changed == 0 {
		return fmt.Errorf("no matrix has rows of whole blocks of %d, as %v needs them", c.kind.BlockSize(), c.kind)
	}
	var meta []gguf.KV
	for _, key := range c.in.Keys() {
		if key == "general.file_type" {
			continue // it names one of llama.cpp's mixes of types, which this is not
		}
		v, _ := c.in.Value(key)
		meta = append(meta, gguf.KV{Key: key, Value: v})
	}
	tensors := c.in.Tensors()
	return gguf.WriteFunc(w, meta, c.out, func(i int) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress("converting", i+1, len(tensors))
		return recode(tensors[i], c.out[i].Type)
	})
}

func recode(t gguf.Tensor, kind quant.Type) ([]byte, error) {
	if t.Type == kind {
		return t.Data, nil
	}
	values := make([]float32, t.Elements())
	if err := quant.Dequantize(t.Type, values, t.Data); err != nil {
		return nil, err
	}
	data := make([]byte, t.Rows()*kind.RowBytes(t.Cols()))
	if err := quant.Quantize(kind, data, values); err != nil {
		return nil, err
	}
	return data, nil
}
