package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the documents that tests make")

const (
	settingsDocument = "../../docs/configuration.md"
	settingsBegin    = "<!-- settings: go test ./cmd/penstock -run SettingsDocumented -update -->\n"
	settingsEnd      = "<!-- end of settings -->\n"
)

// emptyParser is the parser of a process without arguments, variables and file.
func emptyParser(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := newParser(new(commands), &config{}, terminal{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// TestSettingsDocumented: docs/configuration.md has every setting.
func TestSettingsDocumented(t *testing.T) {
	text, err := os.ReadFile(settingsDocument)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), settingsBegin)
	_, tail, ok2 := strings.Cut(rest, settingsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the settings", settingsDocument)
	}
	want := head + settingsBegin + settingsTables(emptyParser(t)) + settingsEnd + tail
	if *update {
		if err := os.WriteFile(settingsDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is out of date: run the command in it", settingsDocument)
	}
}

// settingsTables lists the settings of all commands, those of serve, and those
// that only run has.
func settingsTables(parser *kong.Kong) string {
	var b strings.Builder
	told := map[string]bool{"help": true, "version": true}
	table := func(title string, flags []*kong.Flag) {
		fmt.Fprintf(&b, "\n## %s\n\n| Setting | Default | On SIGHUP | |\n|---|---|---|---|\n", title)
		for _, f := range flags {
			if told[f.Name] {
				continue
			}
			told[f.Name] = true
			fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s |\n", f.Name, exception(f), usualValue(f), onReload(f), strings.ReplaceAll(f.Help, "|", `\|`))
		}
	}
	table("Every command", parser.Model.Flags)
	for _, name := range []string{"serve", "run"} {
		for _, node := range parser.Model.Children {
			if node.Name == name {
				table("`penstock "+name+"`", node.Flags)
			}
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// exception says where a flag cannot be set.
func exception(f *kong.Flag) string {
	switch {
	case f.Name == "config":
		return " (not in the file)"
	case len(f.Tag.Envs) == 0:
		return " (no variable)"
	}
	return ""
}

// usualValue is a flag's default.
func usualValue(f *kong.Flag) string {
	switch {
	case f.HasDefault && f.Default != "":
		return "`" + f.Default + "`"
	case f.Group != nil && f.PlaceHolder != "":
		// Only the sampling flags of serve are in a group. Each is optional: left out,
		// the model's own value counts, and the placeholder shows the last resort.
		return "the model's, else `" + f.PlaceHolder + "`"
	case f.IsBool():
		return "`false`"
	}
	return ""
}

func onReload(f *kong.Flag) string {
	if f.Tag.Has("reload") {
		return "reload"
	}
	return ""
}

// TestVariables: the name of a flag's variable follows from its own, so that nobody
// has to look it up.
func TestVariables(t *testing.T) {
	for name, v := range keysOf(emptyParser(t).Model) {
		for _, env := range v.Tag.Envs {
			if want := prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); env != want {
				t.Errorf("%s has the variable %s, want %s", name, env, want)
			}
		}
	}
	for _, node := range emptyParser(t).Model.Children {
		for _, f := range node.Flags {
			if node.Name == "serve" && len(f.Tag.Envs) == 0 {
				t.Errorf("--%s of serve has no variable", f.Name)
			}
		}
	}
}
