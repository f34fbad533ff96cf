package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestReload: SIGHUP has a running server take up what it can of a changed file,
// and name what it cannot. A file with an error changes nothing.
func TestReload(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	dir := t.TempDir()
	model, config := filepath.Join(dir, "m.gguf"), filepath.Join(dir, "penstock.yaml")
	if err := tinymodel.Write(model, tinymodel.Options{Type: quant.Q8_0}); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("temperature: 0.25\nmax-batch: 2\n")
	s := serve(t, model, "--config", config)
	temperature := func() float64 {
		response, err := http.Get(s.url + "/props")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var props struct {
			Settings struct {
				Params struct{ Temperature float64 } `json:"params"`
			} `json:"default_generation_settings"`
		}
		if err := json.NewDecoder(response.Body).Decode(&props); err != nil {
			t.Fatal(err)
		}
		return props.Settings.Params.Temperature
	}
	if got := temperature(); got != 0.25 {
		t.Fatalf("the temperature is %v at first", got)
	}
	write("temperature: 0.75\nmax-batch: 4\nlog-level: info\n")
	s.process.Signal(syscall.SIGHUP)
	for until := time.Now().Add(time.Minute); temperature() != 0.75; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the new temperature was not taken up")
		}
	}
	s.stop(t)
	for _, want := range []string{`level=WARN msg="a setting needs a restart" setting=max-batch in_force=2 configured=4`,
		"penstock: reloaded: ", "level=INFO msg=request method=GET path=/props"} {
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &s.stderr)
		}
	}
	// The tag, from which the documentation is made, is on what is registered.
	_, line, _ := strings.Cut(s.stderr.String(), "penstock: reloaded: ")
	line, _, _ = strings.Cut(line, "\n")
	var said []string
	for _, flags := range regexp.MustCompile(`\(([^)]*)\)`).FindAllStringSubmatch(line, -1) {
		said = append(said, strings.Split(flags[1], ", ")...)
	}
	slices.Sort(said)
	if tagged := reloadTags(t); !slices.Equal(said, tagged) {
		t.Errorf("taken up by a reload: %v\nwith the tag reload:  %v", said, tagged)
	}
}

// reloadTags are the flags of serve whose fields have the tag.
func reloadTags(t *testing.T) (names []string) {
	p, err := parse([]string{"serve", "m.gguf"}, terminal{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.context.Flags() {
		if f.Tag.Has("reload") {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TestReloadRefused: what is wrong in the file or in a part is logged, and leaves
// the other parts alone.
func TestReloadRefused(t *testing.T) {
	config := filepath.Join(t.TempDir(), "penstock.yaml")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log-level: warn\n")
	var out bytes.Buffer
	term := terminal{out: &out, err: &out}
	args := []string{"serve", "--config", config, "m.gguf"}
	first, err := parse(args, term)
	if err != nil {
		t.Fatal(err)
	}
	r := &reloading{args: args, started: first.context, term: term, log: slog.New(slog.NewTextHandler(&out, nil))}
	level := ""
	r.register(reloadable{what: "a part that fails", flags: []string{"ctx"}, apply: func(*serveCommand) error { return fmt.Errorf("no luck") }})
	r.register(reloadable{what: "the level", flags: []string{"log-level"}, apply: func(c *serveCommand) error { level = c.LogLevel; return nil }})
	for _, step := range []struct{ file, level, log string }{
		{"log-level: loud\n", "", `msg="settings were not reloaded"`},
		{"log-levle: info\n", "", "unknown key"},
		{"log-level: info\nctx: 100\n", "info", `msg="not reloaded: a part that fails" error="no luck"`},
		{"log-level: error\nmodel: other.gguf\n", "error", "penstock: reloaded: the level (log-level)\n"}, // the model is on the command line
		{"log-level: error\nalias: [a, b]\n", "error", `setting=alias in_force=[] configured="[a, b]"`},
	} {
		write(step.file)
		out.Reset()
		if r.reload(); level != step.level || !strings.Contains(out.String(), step.log) {
			t.Errorf("%q: level %q, want %q, and %q in\n%s", step.file, level, step.level, step.log, &out)
		}
	}
}
