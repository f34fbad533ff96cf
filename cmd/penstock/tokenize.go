package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

type tokenizeCommand struct {
	Model     string `arg:"" help:"${model_help} A vocabulary-only file will do."`
	NoBOS     bool   `name:"no-bos" help:"Do not add the beginning-of-sequence token."`
	NoSpecial bool   `name:"no-special" help:"Read special tokens as plain text."`
	Pieces    bool   `help:"Print each token's text beside its id."`
}

func (c *tokenizeCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	path, err := cli.fetch(ctx, term, c.Model)
	if err != nil {
		return err
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	tok, err := tokenizer.New(file)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(term.in)
	if err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	ids := tok.Encode(string(text), !c.NoBOS, !c.NoSpecial)
	if !c.Pieces {
		if ids == nil {
			ids = []int32{}
		}
		return json.NewEncoder(term.out).Encode(ids)
	}
	for _, id := range ids {
		fmt.Fprintf(term.out, "%d\t%q\n", id, tok.Piece(id))
	}
	return nil
}
