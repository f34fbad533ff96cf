package main

import (
	"context"
	"io"
	"os"

	"github.com/penstock-llm/penstock/internal/bench"
)

// benchCommand is the family of measurements; package bench has what they do.
type benchCommand struct {
	Load    loadCommand    `cmd:"" help:"Measure any server under load: OpenAI, native or Ollama API."`
	Compare compareCommand `cmd:"" help:"The same load on several servers, in alternated rounds."`
	Peers   peersCommand   `cmd:"" help:"The table of peers: llama.cpp and OpenVINO GenAI beside this server."`
	Report  reportCommand  `cmd:"" help:"History, comparison of runs, page and figures."`
}

type loadCommand struct{ bench.Load }

func (c *loadCommand) Run(ctx context.Context, term terminal) error {
	c.Progress = bars(term)
	return c.Load.Run(ctx, term.out)
}

type compareCommand struct{ bench.Compare }

func (c *compareCommand) Run(ctx context.Context, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Executable, err = os.Executable(); err != nil {
		return err
	}
	return c.Compare.Run(ctx, term.out)
}

type peersCommand struct{ bench.Peers }

func (c *peersCommand) Run(ctx context.Context, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Executable, err = os.Executable(); err != nil {
		return err
	}
	return c.Peers.Run(ctx, term.out)
}

type reportCommand struct{ bench.Report }

func (c *reportCommand) Run(ctx context.Context, term terminal) error {
	return c.Report.Run(ctx, term.out)
}

// bars is where progress goes.
func bars(term terminal) io.Writer { return term.err }
