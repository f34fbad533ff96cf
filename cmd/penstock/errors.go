package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/alecthomas/kong"
)

// exitCode tells scripts apart what went wrong: 1 the work, 2 the command line,
// the environment or the configuration file, 130 an interrupt.
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

// usageError is a command line that makes no sense, and where to read what would.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v (see `%s --help`)", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

// misused adds the command that was meant to the parser's error.
func misused(err *kong.ParseError) error {
	var located *configError
	if errors.As(err, &located) {
		return located
	}
	name := "penstock"
	if node := err.Context.Selected(); node != nil {
		name = node.FullPath()
	}
	return &usageError{plain(err.Unwrap()), name}
}

// plainError is an error in words for the person at the terminal. The chain
// below it stays, for errors.Is.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }

func (e *plainError) Unwrap() error { return e.err }

// packageNames are the prefixes by which errors name the package that they come
// from. Who reads a log wants them; who typed a command does not know them.
var packageNames = regexp.MustCompile(`(^|: |\n)((hub|gguf|cpu|chat|jinja|engine|sched|sample|tokenizer|model|instance|kernel|kvcache|nn|eval|quant|server|serving|x509|tls|asn1|yaml|net|url|time|strconv\.\w+|http|json): )+`)

// fromVariable is how the parser says that a value came from the environment.
var fromVariable = regexp.MustCompile(`^--[\w-]+: (.*) \(from envar (\w+)=".*"\)$`)

// withoutValue is how the parser says that a flag lacks its value, systemCall how
// the standard library names what it did to a file.
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

// reason is an error of a file without the system call and the path, for
// messages that have named the file already.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
