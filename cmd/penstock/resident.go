package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	ollamaapi "github.com/penstock-llm/penstock/api/ollama"
)

type psCommand struct {
	Server remoteFlags `embed:""`
	JSON   bool        `name:"json" help:"Print JSON."`
}

// Run lists the models that a running server has in memory.
func (c *psCommand) Run(ctx context.Context, p *parsed, term terminal) error {
	r, err := c.Server.remote(p.config)
	if err != nil {
		return err
	}
	var list ollamaapi.Models
	if err := r.get(ctx, "/api/ps", &list); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(term.out).Encode(list.Models)
	}
	if len(list.Models) == 0 {
		fmt.Fprintf(term.out, "the server at %s has no model in memory\n", r.url)
		return nil
	}
	table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tMEMORY\tCONTEXT\tUNTIL")
	for _, m := range list.Models {
		fmt.Fprintf(table, "%s\t%s\t%d tokens\t%s\n", m.Name, bytesText(m.Size), m.ContextLength, until(m.ExpiresAt, time.Now()))
	}
	return table.Flush()
}

// until says when a model goes.
func until(expires string, now time.Time) string {
	const forEver = 10 * 365 * 24 * time.Hour // the server says a hundred years
	at, err := time.Parse(time.RFC3339, expires)
	switch left := at.Sub(now); {
	case err != nil:
		return "unknown"
	case left > forEver:
		return "the server ends"
	case left < time.Second:
		return "now"
	default:
		return "in " + left.Round(time.Second).String()
	}
}

type loadModelCommand struct {
	Model  string      `arg:"" help:"A name that the server knows: penstock list shows them."`
	Server remoteFlags `embed:""`
}

// Run has a running server load a model.
func (c *loadModelCommand) Run(ctx context.Context, p *parsed, term terminal) error {
	r, err := c.Server.remote(p.config)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := r.load(ctx, c.Model); err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%s is loaded (%.1f s)\n", c.Model, time.Since(start).Seconds())
	return nil
}

type stopCommand struct {
	Model  string      `arg:"" help:"A name that the server knows: penstock ps shows those in memory."`
	Server remoteFlags `embed:""`
}

// Run has a running server unload a model. The next request for it loads it again,
// if the server does that.
func (c *stopCommand) Run(ctx context.Context, p *parsed, term terminal) error {
	r, err := c.Server.remote(p.config)
	if err != nil {
		return err
	}
	pending, err := r.unload(ctx, c.Model)
	switch {
	case err != nil:
		return err
	case pending:
		fmt.Fprintf(term.out, "%s is unloaded when its requests have ended\n", c.Model)
	default:
		fmt.Fprintf(term.out, "%s is unloaded\n", c.Model)
	}
	return nil
}
