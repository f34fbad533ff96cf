package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/eval"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

type perplexityCommand struct {
	Model         string       `arg:"" help:"${model_help}"`
	File          string       `required:"" help:"Text to score." type:"existingfile" placeholder:"TEXT"`
	Ctx           int          `help:"Tokens of a chunk; the second half of each is scored." default:"512"`
	Chunks        int          `help:"Chunks to score; 0: all." default:"0"`
	Reference     bool         `help:"Also compare every prediction with the float32 reference path (slow)."`
	OnlyReference bool         `help:"Score with the float32 reference path alone (slow)."`
	Threads       int          `help:"Compute threads; 0: all that the process may use." env:"PENSTOCK_THREADS" default:"0"`
	KVType        model.KVType `name:"kv-type" help:"Numbers of the KV cache: i16, f16 or q8; the reference's are float32." env:"PENSTOCK_KV_TYPE" default:"i16" values:"i16,f16,q8"`
	JSON          bool         `name:"json" help:"Print JSON, as it does anyway." hidden:""`
}

func (c *perplexityCommand) Run(ctx context.Context, cli *commands, term terminal) error {
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
	s := scoring{command: c, file: file, tok: tok, tier: tier}
	var result eval.Result
	err = file.Guard(func() (err error) {
		result, err = s.score(ctx, string(text), term)
		return err
	})
	if err != nil {
		return fmt.Errorf("perplexity of %s: %w", c.File, err)
	}
	return json.NewEncoder(term.out).Encode(result)
}

// scoring is a model file that is to score a text.
type scoring struct {
	command *perplexityCommand
	file    *gguf.File
	tok     *tokenizer.Tokenizer
	tier    cpu.Tier
}

func (s *scoring) score(ctx context.Context, text string, term terminal) (result eval.Result, err error) {
	c, tok := s.command, s.tok
	tokens := tok.Encode(text, true, false)
	options := model.Options{Tier: s.tier, Threads: c.Threads, MaxRows: 256, MaxLogits: 64, Reference: c.OnlyReference, KV: c.KVType}
	m, err := model.Load(s.file, options)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	bar := newProgress(term.err, "chunks")
	defer bar.stop()
	o := eval.Options{Context: c.Ctx, Chunks: c.Chunks, BOS: -1, Progress: func(done, chunks int, _ eval.Result) {
		bar.count("scoring", done, chunks)
	}}
	if tok.AddsBOS() {
		o.BOS = tok.BOS()
	}
	if !c.Reference {
		return eval.Perplexity(ctx, m, tokens, o)
	}
	options.Reference = true
	reference, err := model.Load(s.file, options)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, reference.Close()) }()
	return eval.Compare(ctx, m, reference, tokens, o)
}
