package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-llm/penstock/internal/eval"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quantize"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

type imatrixCommand struct {
	Model   string `arg:"" help:"${model_help}"`
	Out     string `arg:"" help:"The file to write: GGUF, or if it ends with .dat the format that llama-imatrix had before."`
	File    string `required:"" help:"Text to run through the model, of the kind that it will be used for." type:"existingfile" placeholder:"TEXT"`
	Ctx     int    `help:"Tokens of a chunk." default:"512"`
	Chunks  int    `help:"Chunks to run; 0: all of the text." default:"20"`
	Threads int    `help:"Compute threads; 0: all that the process may use." env:"PENSTOCK_THREADS" default:"0"`
}

// Help is the text below the usage in `penstock imatrix --help`.
func (*imatrixCommand) Help() string {
	return "An importance matrix says how large the inputs of each matrix are, by column: `penstock quantize --imatrix` and llama-quantize round by it. " +
		"It is computed on the float32 reference path, which is slow; some ten chunks are enough for most of the gain."
}

// Run makes an importance matrix.
func (c *imatrixCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	path, err := cli.fetch(ctx, term, c.Model)
	if err != nil {
		return err
	}
	tier, err := cli.tier()
	if err != nil {
		return err
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if config, err := model.Describe(file); err != nil {
		return err
	} else if config.Encoder {
		return readsOnly(path)
	}
	tok, err := tokenizer.New(file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	instance.Tune(c.Threads)
	options := model.Options{Tier: tier, Threads: c.Threads, MaxRows: 256, Reference: true}
	bar := newProgress(term.err, "chunks")
	o := eval.Options{Context: c.Ctx, Chunks: c.Chunks, BOS: -1, Progress: func(done, chunks int, _ eval.Result) { bar.count("running", done, chunks) }}
	if tok.AddsBOS() {
		o.BOS = tok.BOS()
	}
	var sums *quantize.Importance
	err = file.Guard(func() (err error) {
		sums, err = importanceOf(ctx, file, options, tok.Encode(string(text), true, false), o)
		return err
	})
	bar.stop()
	if err != nil {
		return fmt.Errorf("importance matrix of %s: %w", c.File, err)
	}
	sums.Datasets = []string{filepath.Base(c.File)}
	return writeWhole(c.Out, func(w io.Writer) error { return writeImportance(w, sums, c.Out) })
}

// importanceOf loads a model and runs tokens through it.
func importanceOf(ctx context.Context, file *gguf.File, options model.Options, tokens []int32, o eval.Options) (sums *quantize.Importance, err error) {
	m, err := model.Load(file, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return eval.Importance(ctx, m, file, tokens, o)
}

// writeImportance writes an importance matrix in the format that the file's name asks for.
func writeImportance(w io.Writer, m *quantize.Importance, name string) error {
	if strings.EqualFold(filepath.Ext(name), ".dat") {
		return m.WriteLegacy(w)
	}
	return m.Write(w)
}
