package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/alecthomas/kong"
)

// exitCode is the status that the process ends with: 0 for success; 2 if the
// command line, the environment or the configuration file was wrong; 130 if a
// signal interrupted the work; 1 if the work failed.
func exitCode(err error) int {
	var usage *usageError
	var config *configError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.As(err, &config):
		return 2
	case errors.Is(err, context.Canceled):
		return 130
	default:
		return 1
	}
}

// usageError is a mistake in the command line. Its message names the help that
// shows how it is done right.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v (see `%s --help`)", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

// asTyped is a command as one types it. The parser's own path has the aliases, too.
func asTyped(n *kong.Node) string {
	if n.Parent == nil {
		return n.Name
	}
	return asTyped(n.Parent) + " " + n.Name
}

// misused makes a usageError of the parser's error. The help that it names is the
// one of the command that the parser had recognised.
func misused(err *kong.ParseError) error {
	var located *configError
	if errors.As(err, &located) {
		return located
	}
	name, wrong := "penstock", plain(err.Unwrap())
	node := err.Context.Selected()
	if node != nil {
		name = asTyped(node)
	}
	// Where the parser knew no command it expected the name of one.
	if node == nil || len(node.Children) > 0 {
		if text := unknownCommand.ReplaceAllString(wrong.Error(), "there is no command `"+name+" $1`"); text != wrong.Error() {
			wrong = &plainError{text, wrong}
		}
	}
	if m := oneOfFew.FindStringSubmatch(wrong.Error()); m != nil && origin(err.Context, m[1]) == fromEnvironment {
		for _, f := range err.Context.Flags() {
			if f.Name == m[1] && len(f.Envs) > 0 { // who set the variable may not know the flag
				wrong = &plainError{f.Envs[0] + m[2], wrong}
			}
		}
	}
	return &usageError{wrong, name}
}

// oneOfFew matches the parser's error for a value that is none of a flag's.
var oneOfFew = regexp.MustCompile(`^--([\w-]+)( must be one of .*)$`)

// unknownCommand matches the parser's error for an argument where a command's name
// belongs. What may follow is the nearest name.
var unknownCommand = regexp.MustCompile(`^unexpected argument ([^\s,]+)`)

// plainError is an error with a message for the person at the terminal. It wraps
// the original error, so that errors.Is and errors.As still work.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }

func (e *plainError) Unwrap() error { return e.err }

// packageNames are the prefixes by which errors name the package that they come
// from. They help whoever reads a log. A person who typed a command does not know
// the packages, so plain removes the prefixes.
var packageNames = regexp.MustCompile(`(^|: |\n)((hub|gguf|cpu|chat|jinja|engine|sched|sample|tokenizer|model|instance|kernel|kvcache|nn|eval|quant|server|serving|x509|tls|asn1|yaml|net|url|time|strconv\.\w+|http|json): )+`)

// fromVariable matches the parser's error for a wrong value of the environment.
var fromVariable = regexp.MustCompile(`^--[\w-]+: (.*) \(from envar (\w+)=".*"\)$`)

// withoutValue matches the parser's error for a flag without its value.
// systemCall matches the standard library's "open FILE: " before a reason.
var (
	withoutValue = regexp.MustCompile(`expected .* value but got "EOL" \(<EOL>\)`)
	systemCall   = regexp.MustCompile(`(^|: )(open|stat|lstat) (\S+): `)
)

// plain rewords an error for the person at the terminal.
func plain(err error) error {
	if err == nil {
		return nil
	}
	text := packageNames.ReplaceAllString(err.Error(), "$1")
	text = withoutValue.ReplaceAllString(text, "wants a value")
	text = systemCall.ReplaceAllString(text, "$1$3: ")
	text = fromVariable.ReplaceAllString(text, "$2: $1")
	if text == err.Error() {
		return err
	}
	return &plainError{text, err}
}

// reason is why a file could not be used, without the file's name: for messages
// that already name the file.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
