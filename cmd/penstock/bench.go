package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/contexts"
	"github.com/penstock-llm/penstock/internal/bench/grammar"
	"github.com/penstock-llm/penstock/internal/bench/kernels"
	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/peers"
	"github.com/penstock-llm/penstock/internal/bench/report"
	"github.com/penstock-llm/penstock/internal/bench/scaling"
	"github.com/penstock-llm/penstock/internal/bench/speculation"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/bench/steps"
	"github.com/penstock-llm/penstock/internal/bench/structured"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// benchCommand is the family of measurements; the packages of internal/bench have what they do.
type benchCommand struct {
	Layers      layersCommand      `cmd:"" help:"Where the throughput goes: from the arithmetic to the client, layer by layer."`
	Layer       layerCommand       `cmd:"" hidden:"" help:"One layer, or its client, in a process of its own."`
	Load        loadCommand        `cmd:"" help:"Measure any server under load: OpenAI, native or Ollama API."`
	Compare     compareCommand     `cmd:"" help:"The same load on several servers, in alternated rounds."`
	Peers       peersCommand       `cmd:"" help:"The table of peers: llama.cpp and OpenVINO GenAI beside this server."`
	Kernels     kernelsCommand     `cmd:"" help:"The matrix products of every format, against the machine's limits."`
	Steps       stepsCommand       `cmd:"" help:"A model's steps by kind of work, against the machine's limits."`
	Scaling     scalingCommand     `cmd:"" help:"What more threads bring, and what more cores would."`
	Contexts    contextsCommand    `cmd:"" help:"What long contexts cost, beside short ones."`
	Grammar     grammarCommand     `cmd:"" help:"Structured output: schemas served right, and the time of the masks."`
	Structured  structuredCommand  `cmd:"" help:"Tokens per second under a schema, beside free text."`
	Speculation speculationCommand `cmd:"" help:"Tokens per second with tokens guessed ahead and without."`
	Mock        mockCommand        `cmd:"" help:"The front end alone, over an executor that computes nothing."`
	Report      reportCommand      `cmd:"" help:"The history of results, and whether two of them differ."`
}

type layersCommand struct{ layers.Layers }

func (c *layersCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Layers.Model, err = cli.fetch(ctx, term, c.Layers.Model); err != nil {
		return err
	}
	if c.Executable, c.Tier, err = cli.own(); err != nil {
		return err
	}
	return c.Layers.Run(ctx, term.out)
}

type layerCommand struct{ layers.Layer }

func (c *layerCommand) Run(ctx context.Context, term terminal) error {
	return c.Layer.Run(ctx, term.in, term.out)
}

type kernelsCommand struct{ kernels.Kernels }

func (c *kernelsCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Tier, err = cli.tier(); err != nil {
		return err
	}
	return c.Kernels.Run(ctx, term.out)
}

type stepsCommand struct{ steps.Steps }

func (c *stepsCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Steps.Model, err = cli.fetch(ctx, term, c.Steps.Model); err != nil {
		return err
	}
	if c.Tier, err = cli.tier(); err != nil {
		return err
	}
	return c.Steps.Run(ctx, term.out)
}

type scalingCommand struct{ scaling.Scaling }

func (c *scalingCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Scaling.Model, err = cli.fetch(ctx, term, c.Scaling.Model); err != nil {
		return err
	}
	if c.Tier, err = cli.tier(); err != nil {
		return err
	}
	return c.Scaling.Run(ctx, term.out)
}

type contextsCommand struct{ contexts.Contexts }

func (c *contextsCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Contexts.Model, err = cli.fetch(ctx, term, c.Contexts.Model); err != nil {
		return err
	}
	if c.Tier, err = cli.tier(); err != nil {
		return err
	}
	return c.Contexts.Run(ctx, term.out)
}

type grammarCommand struct{ grammar.Grammar }

func (c *grammarCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Grammar.Model, err = cli.fetch(ctx, term, c.Grammar.Model); err != nil {
		return err
	}
	return c.Grammar.Run(ctx, term.out)
}

type structuredCommand struct{ structured.Structured }

func (c *structuredCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Structured.Model, err = cli.fetch(ctx, term, c.Structured.Model); err != nil {
		return err
	}
	if c.Tier, err = cli.tier(); err != nil {
		return err
	}
	return c.Structured.Run(ctx, term.out)
}

type speculationCommand struct{ speculation.Speculation }

func (c *speculationCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	for _, name := range []*string{&c.Speculation.Model, &c.Speculation.DraftModel} {
		if *name == "" {
			continue
		}
		if *name, err = cli.fetch(ctx, term, *name); err != nil {
			return err
		}
	}
	if c.Tier, err = cli.tier(); err != nil {
		return err
	}
	return c.Speculation.Run(ctx, term.out)
}

type mockCommand struct{ layers.Mock }

func (c *mockCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Mock.Model != "" {
		if c.Mock.Model, err = cli.fetch(ctx, term, c.Mock.Model); err != nil {
			return err
		}
	}
	if c.Executable, c.Tier, err = cli.own(); err != nil {
		return err
	}
	return c.Mock.Run(ctx, term.out)
}

// own is this program's file, which starts itself for the parts of a
// measurement, and the tier that it runs.
func (cli *commands) own() (string, cpu.Tier, error) {
	tier, err := cli.tier()
	if err != nil {
		return "", tier, err
	}
	path, err := os.Executable()
	return path, tier, err
}

type loadCommand struct {
	loadtest.Load
	Mock bool `help:"Instead of a server, measure this program's front end over an executor that computes nothing (see bench mock)."`
}

func (c *loadCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	c.Progress = bars(term)
	if !c.Mock {
		return c.Load.Run(ctx, term.out)
	}
	if c.URL != "" {
		return errors.New("--url and --mock exclude each other")
	}
	if err := c.Check(); err != nil {
		return err
	}
	executable, tier, err := cli.own()
	if err != nil {
		return err
	}
	m := layers.Mock{Requests: 10 * c.Requests, Concurrency: c.Concurrency, Gen: c.Gen, Step: 3 * time.Millisecond, Prompt: layers.PlainPrompt, API: "chat", Repeats: stats.MinRepeats,
		Output: c.Output, Progress: c.Progress, Executable: executable, Tier: tier}
	return m.Run(ctx, term.out)
}

type compareCommand struct{ peers.Compare }

func (c *compareCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	if c.Compare.Model != "" {
		if c.Compare.Model, err = cli.fetch(ctx, term, c.Compare.Model); err != nil {
			return err
		}
	}
	if c.Executable, err = os.Executable(); err != nil {
		return err
	}
	return c.Compare.Run(ctx, term.out)
}

type peersCommand struct{ peers.Peers }

func (c *peersCommand) Run(ctx context.Context, cli *commands, term terminal) (err error) {
	c.Progress = bars(term)
	for i, name := range c.Peers.Models {
		if c.Peers.Models[i], err = cli.fetch(ctx, term, name); err != nil {
			return err
		}
	}
	if c.Executable, err = os.Executable(); err != nil {
		return err
	}
	if c.Peers.Tier, err = cli.tier(); err != nil {
		return err
	}
	return c.Peers.Run(ctx, term.out)
}

type reportCommand struct{ report.Report }

func (c *reportCommand) Run(ctx context.Context, term terminal) error {
	return c.Report.Run(ctx, term.out)
}

// bars is where progress goes.
func bars(term terminal) io.Writer { return term.err }
