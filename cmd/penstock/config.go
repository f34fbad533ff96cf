package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// config is the configuration file: a key for each flag of serve. It is read
// strictly, so that a misspelt key is an error and not a setting that is lost.
type config struct {
	path   string
	values map[string]string
	lines  map[string]int
}

// configError is something wrong in the configuration file, and where.
type configError struct {
	path string
	line int // 0: the whole file
	err  error
}

func (e *configError) Error() string {
	if e.line == 0 {
		return fmt.Sprintf("config %s: %v", e.path, e.err)
	}
	return fmt.Sprintf("config %s:%d: %v", e.path, e.line, e.err)
}

func (e *configError) Unwrap() error { return e.err }

func (c *config) wrong(line int, format string, args ...any) error {
	return &configError{c.path, line, fmt.Errorf(format, args...)}
}

// configFile finds --config in the arguments or PENSTOCK_CONFIG in the
// environment and reads that file. It must happen before the parse, which asks
// the file for the flags that the command line leaves out.
func configFile(args []string) (*config, []string, error) {
	c := &config{path: os.Getenv("PENSTOCK_CONFIG")}
	for i, a := range args {
		if a == "--" {
			break
		}
		if path, ok := strings.CutPrefix(a, "--config="); ok {
			c.path = path
		} else if a == "--config" && i+1 < len(args) {
			c.path = args[i+1]
		}
	}
	if c.path == "" {
		return c, args, nil
	}
	return c, args, c.read()
}

func (c *config) read() error {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return c.syntax(err)
	}
	c.values, c.lines = map[string]string{}, map[string]int{}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		var pairs []*ast.MappingValueNode
		switch body := doc.Body.(type) {
		case *ast.MappingNode:
			pairs = body.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{body}
		default:
			return c.wrong(doc.Body.GetToken().Position.Line, "want lines of `key: value`")
		}
		for _, pair := range pairs {
			if err := c.add(pair); err != nil {
				return err
			}
		}
	}
	return nil
}

// syntax puts the parser's error, which comes with a drawing, on one line.
func (c *config) syntax(err error) error {
	var located yaml.Error
	if errors.As(err, &located) {
		return c.wrong(located.GetToken().Position.Line, "%s", located.GetMessage())
	}
	return c.wrong(0, "%w", err)
}

func (c *config) add(pair *ast.MappingValueNode) error {
	key, line := pair.Key.GetToken().Value, pair.Key.GetToken().Position.Line
	if first, twice := c.lines[key]; twice {
		return c.wrong(line, "%q is set again (first on line %d)", key, first)
	}
	switch pair.Value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode, *ast.NullNode:
		return c.wrong(line, "%q wants one value", key)
	}
	c.values[key], c.lines[key] = pair.Value.GetToken().Value, line
	return nil
}

// check refuses keys that no flag of serve has.
func (c *config) check(app *kong.Application) error {
	known := map[string]bool{"models": true, "cpu": true}
	for _, node := range app.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			known[flag.Name] = true
		}
	}
	for key, line := range c.lines {
		if !known[key] {
			return c.wrong(line, "unknown key %q (the keys are the flags of `penstock serve --help`)", key)
		}
	}
	return nil
}

// Validate and Resolve make config a kong.Resolver.
func (c *config) Validate(*kong.Application) error { return nil }

// Resolve gives a flag that the command line leaves out its value. The
// environment comes before the file. A value that the flag does not take is
// found here, where the line is known.
func (c *config) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := c.values[flag.Name]
	if !ok {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	trial := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), trial); err != nil {
		return nil, c.wrong(c.lines[flag.Name], "%w", err)
	}
	return value, nil
}
