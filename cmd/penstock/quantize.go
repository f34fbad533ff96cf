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
	"github.com/penstock-llm/penstock/internal/quantize"
)

type quantizeCommand struct {
	In      string `arg:"" help:"The .gguf file to read, or a folder as Hugging Face keeps models."`
	Out     string `arg:"" help:"The .gguf file to write."`
	Type    string `arg:"" help:"Weight type or mix of types, such as Q4_K_M."`
	Pure    bool   `help:"Give all matrices the type, not the mix that goes by its name."`
	Imatrix string `help:"Importance matrix of the model (penstock imatrix, llama-imatrix): which columns matter most." placeholder:"FILE"`
}

// Help is the text below the usage in `penstock quantize --help`.
func (*quantizeCommand) Help() string {
	return "Weight types: " + strings.Join(quantize.Names(), ", ") + ".\nEach tensor gets the type that llama-quantize gives it: in most mixes some get more bits than the name says. " +
		"With --pure: " + targets() + ".\nVectors stay as they are. Quantise from F32, F16 or BF16: what an earlier quantisation has lost stays lost."
}

// targets lists the types that all matrices can be written in.
func targets() string {
	var names []string
	for _, t := range quant.Targets() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

func (c *quantizeCommand) Run(ctx context.Context, term terminal) error {
	mix, ok := quantize.Parse(c.Type, c.Pure)
	if !ok {
		choices := strings.Join(quantize.Names(), ", ")
		if c.Pure {
			choices = targets()
		}
		return fmt.Errorf("%.40q is no weight type that can be written: choose one of %s", c.Type, choices)
	}
	if same(c.In, c.Out) {
		return fmt.Errorf("%s: cannot be both input and output: name another file to write", c.In)
	}
	var importance *quantize.Importance
	if c.Imatrix != "" {
		var err error
		if importance, err = quantize.ReadImportance(c.Imatrix); err != nil {
			return err
		}
	}
	in, err := safetensors.Open(c.In)
	if err != nil {
		return err
	}
	defer in.Close()
	if types := quantized(in); len(types) > 0 && mix.Base.BlockSize() > 1 {
		fmt.Fprintf(term.err, "warning: %s is quantised already (%s), and what that has lost stays lost: for the best quality start from F16, BF16 or F32\n",
			c.In, strings.Join(types, ", "))
	}
	if importance == nil && mix.Importance() {
		fmt.Fprintf(term.err, "warning: %s is of little use without an importance matrix: make one with penstock imatrix, and give it with --imatrix\n", mix.Name)
	}
	plan, err := quantize.Plan(in, mix, importance, filepath.Base(c.Imatrix))
	if err != nil {
		return err
	}
	bar := newProgress(term.err, filepath.Base(c.Out))
	err = writeWhole(c.Out, func(w io.Writer) error { return plan.Write(ctx, w, bar.stage) })
	bar.stop()
	if err != nil {
		return fmt.Errorf("quantize %s: %w", c.In, err)
	}
	if plan.Other > 0 {
		fmt.Fprintf(term.err, "%d matrices have a type near to %v instead: their rows are not whole blocks of %d\n", plan.Other, mix.Base, mix.Base.BlockSize())
	}
	return nil
}

// writeWhole writes a file that is there whole or not at all. A symbolic link stays one,
// and what is no file, such as /dev/null, is written to: no file takes its place.
func writeWhole(name string, write func(w io.Writer) error) error {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		out, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(out), out.Close())
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*")
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", name, err)
	}
	defer os.Remove(tmp.Name())
	if err = errors.Join(write(tmp), tmp.Close()); err != nil {
		return err
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
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
