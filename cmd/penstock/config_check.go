package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
)

type configCommand struct {
	Check configCheckCommand `cmd:"" help:"Read a configuration file as serve and run would, and print what it sets or what is wrong with it."`
}

type configCheckCommand struct {
	File string `arg:"" help:"The file (YAML)."`
}

// Run prints a line for each setting. What is wrong is an error, with all places.
func (c *configCheckCommand) Run(term terminal) error {
	file, err := openConfig(c.File)
	if err != nil {
		return err
	}
	parser, err := newParser(new(commands), &config{}, term)
	if err != nil {
		return err
	}
	known := keysOf(parser.Model)
	var wrong []error
	for _, key := range file.keys() {
		err := file.checkKey(key, known)
		if err == nil {
			err = file.try(known[key], file.values[key])
		}
		wrong = append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	if err := file.serves(); err != nil {
		return file.wrong(nil, "%w", err)
	}
	models, err := file.entries(&serveCommand{})
	if err != nil {
		return err
	}
	for i, m := range models {
		fmt.Fprintf(term.out, "%s:%d: models[%d]: %s\n", file.path, file.modelsAt.Line, i, cmp.Or(m.Name, m.Model))
	}
	for _, key := range file.keys() {
		note := ""
		if name, set := variable(known[key]); set {
			note = fmt.Sprintf(" (%s comes before it)", name)
		}
		fmt.Fprintf(term.out, "%s:%d: %s: %s%s\n", file.path, file.places[key].Line, key, valueText(file.values[key]), note)
	}
	if len(file.places)+len(models) == 0 {
		fmt.Fprintf(term.out, "%s sets nothing\n", file.path)
	}
	return nil
}

// serves makes the checks that serve makes of its settings together, before it
// loads a model: addresses, and the files of keys and certificates.
func (c *config) serves() error {
	p, err := parse([]string{"serve", "--config", c.path}, terminal{out: io.Discard, err: io.Discard})
	if err != nil {
		return err
	}
	serve := &p.cli.Serve
	_, addressed := serve.Listen.address(p.context)
	_, guarded := serve.Guard.open()
	var admin error
	if serve.AdminAddr != "" {
		_, admin = adminAddress(serve.AdminAddr)
	}
	for _, err := range []error{serve.Pages.check(), addressed, admin, guarded} {
		var usage *usageError
		if errors.As(err, &usage) {
			err = usage.err // without the help of a command line
		}
		if err != nil {
			return plain(err)
		}
	}
	return nil
}

// valueText is a value of the file on one line.
func valueText(value any) string {
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = fmt.Sprint(v)
	}
	return "[" + strings.Join(items, ", ") + "]"
}
