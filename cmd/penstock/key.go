package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/penstock-llm/penstock/internal/access"
)

// keyCommand makes, lists and removes API keys. A running server notices.
type keyCommand struct {
	Add  keyAddCommand  `cmd:"" help:"Make a key and print it, once: the file has its digest only."`
	List keyListCommand `cmd:"" aliases:"ls" help:"List the keys of the file with what they may do."`
	Rm   keyRmCommand   `cmd:"" help:"Remove a key."`
}

// keyFile is the file that the commands change; serve has the same flag.
type keyFile struct {
	APIKeyFile string `help:"File of API keys." env:"PENSTOCK_API_KEY_FILE" type:"path" placeholder:"FILE"`
}

// do runs an operation on the file and names the file in its error.
func (f *keyFile) do(command string, work func(path string) error) error {
	if f.APIKeyFile == "" {
		return &usageError{errors.New("which file? say --api-key-file FILE, as for penstock serve"), "penstock key " + command}
	}
	if err := work(f.APIKeyFile); err != nil {
		return fmt.Errorf("%s: %w", f.APIKeyFile, reason(err))
	}
	return nil
}

type keyAddCommand struct {
	keyFile           `embed:""`
	Name              string   `arg:"" help:"Name of the key, for logs, metrics and penstock usage."`
	Scope             []string `help:"What it opens: infer, admin, metrics." default:"infer" placeholder:"SCOPE"`
	AllowModel        []string `help:"Model that it may ask; without the flag all." placeholder:"NAME"`
	Priority          string   `help:"Of its requests: low, normal or high." enum:"low,normal,high" default:"normal"`
	RequestsPerMinute int      `help:"0: no limit."`
	TokensPerMinute   int      `help:"Of prompts and answers; 0: no limit."`
	Concurrent        int      `help:"Requests at once; 0: no limit."`
	TokensPerDay      int      `help:"Of the day in UTC; 0: no limit."`
	TokensPerMonth    int      `help:"Of the month in UTC; 0: no limit."`
}

func (c *keyAddCommand) Run(term terminal) error {
	k, err := c.key()
	if err != nil {
		return &usageError{err, "penstock key add"}
	}
	return c.do("add", func(path string) error {
		secret, err := access.Add(path, k)
		if err != nil {
			return err
		}
		fmt.Fprintln(term.out, secret)
		fmt.Fprintf(term.err, "This is the key of %s. It is shown this once: %s has its digest only.\n", k.Name, path)
		return nil
	})
}

// key is what the flags describe.
func (c *keyAddCommand) key() (access.Key, error) {
	k := access.Key{Name: c.Name, Models: c.AllowModel, Limits: access.Limits{
		RequestsPerMinute: c.RequestsPerMinute, TokensPerMinute: c.TokensPerMinute, Concurrent: c.Concurrent,
		TokensPerDay: c.TokensPerDay, TokensPerMonth: c.TokensPerMonth,
		Priority: map[string]access.Class{"low": access.Low, "high": access.High}[c.Priority],
	}}
	if err := access.CheckName(c.Name); err != nil {
		return k, err
	}
	for _, m := range c.AllowModel {
		if err := access.CheckModel(m); err != nil {
			return k, fmt.Errorf("--allow-model: %w", err)
		}
	}
	for _, s := range c.Scope {
		scope := access.Scope(s)
		if !slices.Contains(access.Scopes(), scope) {
			return k, fmt.Errorf("--scope %s: want infer, admin or metrics", clip(s))
		}
		if !k.May(scope) {
			k.Scopes = append(k.Scopes, scope)
		}
	}
	return k, nil
}

type keyListCommand struct {
	keyFile `embed:""`
	JSON    bool `name:"json" help:"Print JSON."`
}

// listedKey is a key in the output of --json.
type listedKey struct {
	Name   string         `json:"name"`
	Plain  bool           `json:"plain"` // the file holds the key itself
	Scopes []access.Scope `json:"scopes"`
	Models []string       `json:"models"` // null: all
	Limits listedLimits   `json:"limits"`
}

type listedLimits struct {
	Priority string `json:"priority"`
	access.Limits
}

func (c *keyListCommand) Run(term terminal) error {
	return c.do("list", func(path string) error {
		keys, err := access.ReadFile(path)
		if err != nil {
			return err
		}
		if c.JSON {
			list := make([]listedKey, len(keys))
			for i, k := range keys {
				list[i] = listedKey{k.Name, k.Plain, k.Scopes, k.Models, listedLimits{k.Limits.Priority.String(), k.Limits}}
			}
			return json.NewEncoder(term.out).Encode(list)
		}
		if len(keys) == 0 {
			fmt.Fprintln(term.out, "no keys yet: `penstock key add NAME` makes one")
			return nil
		}
		table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tSCOPES\tMODELS\tLIMITS")
		for _, k := range keys {
			models := "all"
			if len(k.Models) > 0 {
				models = strings.Join(k.Models, ",")
			}
			var scopes []string
			for _, s := range k.Scopes {
				scopes = append(scopes, string(s))
			}
			limits := k.Limits.String()
			if k.Plain {
				limits += " (its line is the key itself)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.Name, strings.Join(scopes, ","), models, limits)
		}
		return table.Flush()
	})
}

type keyRmCommand struct {
	keyFile `embed:""`
	Name    string `arg:"" help:"Name of the key, as penstock key list has it."`
}

func (c *keyRmCommand) Run(term terminal) error {
	return c.do("rm", func(path string) error {
		if err := access.Remove(path, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(term.err, "%s is removed; a running server notices\n", c.Name)
		return nil
	})
}
