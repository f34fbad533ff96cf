package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/quantize"
)

type convertCommand struct {
	Folder string `arg:"" help:"A folder as Hugging Face keeps models: config.json, the tokenizer's files, *.safetensors." type:"existingdir"`
	Out    string `arg:"" help:"The .gguf file to write."`
}

// Help is the text below the usage in `penstock convert --help`.
func (*convertCommand) Help() string {
	return "Weights keep their type: the file is computed to the same bits as the folder. `penstock quantize` makes it smaller, and takes the folder itself, too."
}

// Run writes a folder of safetensors as one GGUF file.
func (c *convertCommand) Run(ctx context.Context, term terminal) error {
	if _, err := os.Stat(c.Out); err == nil {
		return fmt.Errorf("%s is there already: remove it, or name another file", c.Out)
	}
	if !safetensors.IsFolder(c.Folder) {
		return fmt.Errorf("%s has no config.json: name the folder of a model as Hugging Face keeps it", c.Folder)
	}
	in, err := safetensors.Open(c.Folder)
	if err != nil {
		return err
	}
	defer in.Close()
	bar := newProgress(term.err, filepath.Base(c.Out))
	err = writeWhole(c.Out, func(w io.Writer) error { return quantize.Copy(ctx, w, in, bar.stage) })
	bar.stop()
	if err != nil {
		return fmt.Errorf("convert %s: %w", c.Folder, err)
	}
	fmt.Fprintln(term.out, c.Out)
	return nil
}
