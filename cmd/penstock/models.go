package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	openaiapi "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/hub"
)

type pullCommand struct {
	Model string `arg:"" optional:"" default:"${default_model}" help:"${model_help}"`
}

func (c *pullCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	path, err := cli.fetch(ctx, term, c.Model)
	if err != nil {
		return err
	}
	fmt.Fprintln(term.out, path)
	return nil
}

type listCommand struct {
	JSON   bool        `name:"json" help:"Print JSON."`
	Local  bool        `help:"Ask no server." env:"PENSTOCK_LOCAL"`
	Server remoteFlags `embed:""`
}

// Run lists the models of this machine, and what a running server says of them.
func (c *listCommand) Run(ctx context.Context, p *parsed, cli *commands, term terminal) error {
	entries, err := cli.store(nil).List()
	if err != nil {
		return err
	}
	known, err := c.known(ctx, p, term)
	if err != nil {
		return err
	}
	states := stateOf(entries, known)
	if c.JSON {
		models := make([]storedModel, len(entries))
		for i, e := range entries {
			models[i] = storedModel{e.Name, e.Source, e.Path, e.Size, e.SHA256, e.Modified, isBase(e.Path), states[i]}
		}
		return json.NewEncoder(term.out).Encode(models)
	}
	if len(entries) == 0 && len(known) == 0 {
		fmt.Fprintln(term.out, "no models yet: `penstock pull` fetches the default one")
		return nil
	}
	table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	if known == nil {
		fmt.Fprintln(table, "NAME\tSIZE\tMODIFIED\tWHAT")
		for _, e := range entries {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", e.Name, bytesText(e.Size), e.Modified.Format(time.DateTime), what(e))
		}
		return table.Flush()
	}
	fmt.Fprintln(table, "NAME\tSIZE\tMODIFIED\tSERVER\tWHAT")
	for i, e := range entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Name, bytesText(e.Size), e.Modified.Format(time.DateTime), states[i], what(e))
	}
	for _, m := range known {
		if m.Status.Value != "" {
			fmt.Fprintf(table, "%s\t\t\t%s\tknown to the server\n", m.ID, m.Status.Value)
		}
	}
	return table.Flush()
}

// known are the models of the server that is there, if one is; it is said. nil: there
// is none.
func (c *listCommand) known(ctx context.Context, p *parsed, term terminal) ([]openaiapi.Model, error) {
	if c.Local {
		return nil, nil
	}
	r, err := c.Server.find(ctx, p)
	if err != nil || r == nil {
		return nil, err
	}
	models, err := r.models(ctx)
	if err != nil {
		fmt.Fprintf(term.err, "penstock: the server at %s was not asked: %v\n", r.url, err)
		return nil, nil
	}
	fmt.Fprintf(term.err, "penstock: SERVER is the state at %s (--local does not ask)\n", r.url)
	return models, nil
}

// stateOf is what the server says of each model of this machine, and takes these out
// of the server's list. A server that has a model under another name calls it by that.
func stateOf(entries []hub.Stored, known []openaiapi.Model) []string {
	states := make([]string, len(entries))
	for i, e := range entries {
		for j := range known {
			if m := &known[j]; m.ID == e.Name || m.ID == filepath.Base(e.Name) && filepath.IsAbs(e.Name) {
				states[i], m.Status.Value = m.Status.Value, ""
			}
		}
	}
	return states
}

// what is the title of a model of the catalogue, else where it came from.
func what(e hub.Stored) string {
	entry, ok := hub.Lookup(e.Name)
	switch {
	case !ok:
		return e.Source
	case entry.Base:
		return entry.Title + " (a base model: it continues texts, it does not chat)"
	}
	return entry.Title
}

// isBase reports whether the catalogue knows the file as a base model.
func isBase(path string) bool {
	entry, _ := hub.Lookup(path)
	return entry.Base
}

// storedModel is a hub.Stored as list --json prints it.
type storedModel struct {
	Name     string    `json:"name"`
	Source   string    `json:"source"`
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256,omitempty"`
	Modified time.Time `json:"modified"`
	Base     bool      `json:"base_model"`
	State    string    `json:"state,omitempty"` // at the running server, if one was asked
}

type rmCommand struct {
	Model string `arg:"" help:"${model_help}"`
}

func (c *rmCommand) Run(cli *commands, term terminal) error {
	if err := cli.store(nil).Remove(c.Model); err != nil {
		return err
	}
	fmt.Fprintf(term.out, "removed %s\n", c.Model)
	return nil
}

type cpCommand struct {
	Model string `arg:"" help:"${model_help}"`
	Name  string `arg:"" help:"Its further name."`
}

// Run gives a model a further name.
func (c *cpCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	bar := newProgress(term.err, c.Name)
	defer bar.stop()
	if err := cli.store(bar.notice).Import(ctx, c.Model, c.Name, bar.stage); err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%s is now %s, too\n", c.Model, c.Name)
	return nil
}

type pruneCommand struct {
	Yes  bool `help:"Remove it; else it is only listed." short:"y"`
	JSON bool `name:"json" help:"Print JSON."`
}

// pruned is a file that nothing needs, as prune --json prints it.
type pruned struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	Why     string `json:"why"`
	Removed bool   `json:"removed"`
}

// Run lists or removes what nothing in the folder of models needs.
func (c *pruneCommand) Run(cli *commands, term terminal) error {
	left, err := cli.store(nil).Prune(c.Yes)
	files := make([]pruned, len(left))
	var bytes int64
	for i, l := range left {
		files[i] = pruned{l.Path, l.Size, l.Why, c.Yes}
		bytes += l.Size
	}
	if c.JSON {
		return errors.Join(err, json.NewEncoder(term.out).Encode(files))
	}
	table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	for _, f := range files {
		fmt.Fprintf(table, "%s\t%s\t%s\n", bytesText(f.Size), f.Why, f.Path)
	}
	if err := errors.Join(err, table.Flush()); err != nil {
		return err
	}
	switch {
	case len(files) == 0:
		fmt.Fprintln(term.out, "nothing to remove")
	case c.Yes:
		fmt.Fprintf(term.out, "removed %s in %d file(s)\n", bytesText(bytes), len(files))
	default:
		fmt.Fprintf(term.out, "%s in %d file(s) would be removed: penstock prune --yes\n", bytesText(bytes), len(files))
	}
	return nil
}

// folder is where downloaded models are.
func (cli *commands) folder() (string, error) {
	if cli.Models != "" {
		return cli.Models, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for models (set --models or PENSTOCK_MODELS): %w", err)
	}
	return filepath.Join(cache, "penstock", "models"), nil
}

// store opens the folder of downloaded models. It tells notice, if there is one,
// what does not go as planned.
func (cli *commands) store(notice func(string)) *hub.Store {
	root, err := cli.folder()
	return hub.Open(hub.Config{
		Root: root, NoRoot: err, Token: os.Getenv("HF_TOKEN"), Endpoint: os.Getenv("HF_ENDPOINT"),
		Indexes: hub.PipIndexes(os.Getenv), Notice: notice, Logins: logins(),
	})
}

// logins is the file in which docker and oras keep logins for registries, if there is
// one.
func logins() string {
	folder := os.Getenv("DOCKER_CONFIG")
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		folder = filepath.Join(home, ".docker")
	}
	file := filepath.Join(folder, "config.json")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// fetch gives the path of a model, which it downloads first where it is missing.
func (cli *commands) fetch(ctx context.Context, term terminal, name string) (string, error) {
	bar := newProgress(term.err, name)
	defer bar.stop()
	store := cli.store(bar.notice)
	path, have, err := store.Resolve(name)
	if err != nil || have {
		return path, err
	}
	return store.Pull(ctx, name, bar.stage)
}

// bytesText is a size as people read it.
func bytesText[N int | int64 | uint64](n N) string {
	switch v := float64(n); {
	case v >= 10e9:
		return fmt.Sprintf("%.1f GB", v/1e9)
	case v >= 1e6:
		return fmt.Sprintf("%.0f MB", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.0f kB", v/1e3)
	default:
		return fmt.Sprintf("%.0f B", v)
	}
}
