package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// config is the configuration file. Its keys are the flags of serve and run,
// those of every command, and model. An unknown key is an error, because a
// misspelt setting without effect is hard to notice.
type config struct {
	path   string
	values map[string]any             // string, or []any of strings for a list
	places map[string]*token.Position // where the key stands

	models   []any // the list of models, if the key models has one: elsewhere it is the folder of downloads
	modelsAt *token.Position
}

// configError is something wrong in the configuration file, and where.
type configError struct {
	path  string
	place *token.Position // nil: the whole file
	err   error
}

func (e *configError) Error() string {
	if e.place == nil {
		return fmt.Sprintf("config %s: %v", e.path, e.err)
	}
	return fmt.Sprintf("config %s:%d:%d: %v", e.path, e.place.Line, e.place.Column, e.err)
}

func (e *configError) Unwrap() error { return e.err }

func (c *config) wrong(at *token.Position, format string, args ...any) error {
	return &configError{c.path, at, fmt.Errorf(format, args...)}
}

// readConfig reads the file that --config or PENSTOCK_CONFIG names, if any. It
// happens before the arguments are parsed, because the parser asks the file for
// the flags that the command line leaves out.
func readConfig(args []string) (*config, error) {
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
		return c, nil
	}
	return openConfig(c.path)
}

// openConfig reads a file.
func openConfig(path string) (*config, error) {
	c := &config{path: path}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, c.wrong(nil, "%w", reason(err))
	}
	return c, c.parse(text)
}

// parse reads the file's text with the YAML library: once as a tree, for the
// places of the keys, and from that tree the values.
func (c *config) parse(text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return c.syntax(err)
	}
	c.values, c.places = map[string]any{}, map[string]*token.Position{}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return c.wrong(doc.Body.GetToken().Position, "a second document: want one only")
		}
		body = doc.Body
	}
	if body == nil {
		return nil // empty, or comments alone
	}
	if body.Type() == ast.AnchorType || body.Type() == ast.TagType {
		return c.wrong(body.GetToken().Position, "want lines of `key: value`")
	}
	pairs, ok := body.(ast.MapNode)
	if !ok {
		return c.wrong(body.GetToken().Position, "want lines of `key: value`")
	}
	for i := pairs.MapRange(); i.Next(); {
		key := i.KeyValue().Key.GetToken()
		c.places[key.Value] = key.Position
	}
	var values map[string]any
	if err := yaml.NewDecoder(strings.NewReader(""), yaml.Strict()).DecodeFromNode(body, &values); err != nil {
		return c.syntax(err)
	}
	if list, ok := values["models"].([]any); ok {
		c.models, c.modelsAt = list, c.places["models"]
		delete(values, "models")
		delete(c.places, "models")
	}
	for key, v := range values {
		if c.values[key], err = c.text(key, v); err != nil {
			return err
		}
	}
	return nil
}

// syntax puts the library's error, which comes with a drawing of the place, on
// one line.
func (c *config) syntax(err error) error {
	var located yaml.Error
	if errors.As(err, &located) {
		return c.wrong(located.GetToken().Position, "%s", located.GetMessage())
	}
	return c.wrong(nil, "%w", err)
}

// text turns a YAML value into the text that the flag would have on the command
// line. A list becomes a list of such texts.
func (c *config) text(key string, value any) (any, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int, int64, uint64:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			text, err := c.text(key, item)
			if _, nested := text.([]any); nested || err != nil {
				return nil, c.wrong(c.places[key], "%q: the values of a list are texts or numbers", key)
			}
			list[i] = text
		}
		return list, nil
	default:
		return nil, c.wrong(c.places[key], "%q wants a value", key)
	}
}

// check returns an error for the first key, in the file's order, that is unknown.
func (c *config) check(app *kong.Application) error {
	known := keysOf(app)
	for _, key := range c.keys() {
		if err := c.checkKey(key, known); err != nil {
			return err
		}
	}
	return nil
}

// checkKey returns an error if a key is unknown.
func (c *config) checkKey(key string, known map[string]*kong.Value) error {
	if _, ok := known[key]; !ok {
		return c.wrong(c.places[key], "unknown key %q%s: the keys are model and the flags of `penstock serve` and `penstock run`",
			clip(key), suggest(key, slices.Collect(maps.Keys(known))))
	}
	if _, list := c.values[key].([]any); list && key == "model" {
		return c.wrong(c.places[key], `"model" wants one value`)
	}
	return nil
}

// keys are the keys of the file, in its order.
func (c *config) keys() []string {
	return slices.SortedFunc(maps.Keys(c.places), func(a, b string) int { return c.places[a].Offset - c.places[b].Offset })
}

// keysOf are the keys that a file may have, each with the flag or argument that it sets.
func keysOf(app *kong.Application) map[string]*kong.Value {
	known := map[string]*kong.Value{}
	add := func(v *kong.Value) {
		if known[v.Name] == nil && !slices.Contains(notKeys, v.Name) {
			known[v.Name] = v
		}
	}
	for _, flag := range app.Flags {
		add(flag.Value)
	}
	for _, node := range app.Children {
		if node.Name != "serve" && node.Name != "run" {
			continue
		}
		for _, flag := range node.Flags {
			add(flag.Value)
		}
		for _, arg := range node.Positional {
			if arg.Name == "model" {
				add(arg)
			}
		}
	}
	return known
}

// notKeys are the flags that have no meaning in a file: --config names the file,
// --help and --version replace the command.
var notKeys = []string{"help", "version", "config"}

// model is the model to use where the command line and the environment name none.
func (c *config) model(otherwise string) string {
	if name, ok := c.values["model"].(string); ok {
		return name
	}
	if len(c.models) > 0 { // the first of the list is what requests get that name none
		e := modelEntry{}
		if readEntry(&e, c.models[0]) == nil {
			return e.Model
		}
	}
	return otherwise
}

// Validate and Resolve make config a kong.Resolver.
func (c *config) Validate(*kong.Application) error { return nil }

// Resolve gives a flag that the command line leaves out the file's value, unless
// the environment has one. A value that the flag does not take is found here,
// where its line is known. The flags of bench are left alone: they describe a
// measurement, not how this machine serves.
func (c *config) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := c.values[flag.Name]
	if !ok || parent.App == nil && strings.HasPrefix(parent.Node().FullPath(), "penstock bench") {
		return nil, nil
	}
	if _, set := variable(flag.Value); set {
		return nil, nil
	}
	if err := c.try(flag.Value, value); err != nil {
		return nil, err
	}
	return value, nil
}

// try reports whether a flag takes a value of the file.
func (c *config) try(flag *kong.Value, value any) error {
	at, target := c.places[flag.Name], flag.Target.Type()
	if _, list := value.([]any); list && target.Kind() != reflect.Slice {
		return c.wrong(at, "%q wants one value, not a list", flag.Name)
	}
	trial := reflect.New(target).Elem()
	if err := flag.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), trial); err != nil {
		return c.wrong(at, "%w", plain(err))
	}
	if among := strings.Split(flag.Enum, ","); flag.Enum != "" && !slices.Contains(among, fmt.Sprint(trial.Interface())) {
		return c.wrong(at, "--%s must be one of %s, not %q", flag.Name, strings.Join(among, ", "), clip(fmt.Sprint(value)))
	}
	return nil
}
