package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestLogOfJSON: with --log-format json each line that a server prints is a JSON object, from
// the first to the last, on stdout as on stderr: the greeting, notes, warnings, and the error
// that ends it.
func TestLogOfJSON(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "m.gguf")
	if err := tinymodel.Write(model, tinymodel.Options{Type: quant.Q8_0, Context: 4096}); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken.gguf")
	if err := os.WriteFile(broken, []byte("GGUF"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		fail int
		want []string // parts of messages, in any order
	}{
		{[]string{"--addr", "127.0.0.1:0"}, 0, []string{"chat in the browser", "finishing the running requests"}},
		{[]string{"--addr", "0.0.0.0:0", "--insecure"}, 0, []string{"give it keys with --api-key-file"}},
		{[]string{"--addr", "127.0.0.1:0", "--tls-cert", "nosuch.pem"}, 2, []string{"--tls-cert and --tls-key go together"}},
		{[]string{"--addr", "127.0.0.1:0", "--api-key-file", filepath.Join(dir, "nosuch")}, 1, []string{"nosuch"}},
	} {
		for _, file := range []string{model, broken} {
			cmd := program(t, append([]string{"serve", file, "--log-format", "json"}, c.args...)...)
			out := &untilGreeted{cmd: cmd}
			cmd.Stdout, cmd.Stderr = out, out
			err := cmd.Run()
			fail, want := c.fail, c.want
			if file == broken && fail == 0 {
				fail, want = 1, []string{"broken.gguf"}
			}
			if (err != nil) != (fail > 0) || fail > 0 && cmd.ProcessState.ExitCode() != fail {
				t.Errorf("%q: it ended with %v", c.args, err)
			}
			var said []string
			for line := range strings.SplitSeq(strings.TrimSpace(out.said.String()), "\n") {
				var record struct{ Msg, Error string }
				if err := json.Unmarshal([]byte(line), &record); err != nil {
					t.Errorf("%q: no JSON: %s", c.args, line)
				}
				said = append(said, record.Msg+" "+record.Error)
			}
			for _, w := range want {
				if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, w) }) {
					t.Errorf("%q: it does not say %q: %q", c.args, w, said)
				}
			}
		}
	}
}

// untilGreeted keeps what a server prints, and stops it when it has said everything that it
// says at first.
type untilGreeted struct {
	said bytes.Buffer
	cmd  *exec.Cmd
}

func (u *untilGreeted) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("Ctrl-C stops the server")) {
		u.cmd.Process.Signal(os.Interrupt)
	}
	return u.said.Write(b)
}

// TestNotes: lines come in pieces, and several at once.
func TestNotes(t *testing.T) {
	var out bytes.Buffer
	term := terminal{nil, &out, &out}
	log, err := (&serveCommand{LogFormat: "json", LogLevel: "error"}).logger(&term, new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"penstock: one", " line\npenstock: warning: two\n\n  thr", "ee\n"} {
		if n, err := term.err.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	log.Error("four")
	var got []string
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		var r struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Level+" "+r.Msg)
	}
	if want := []string{"INFO one line", "WARN two", "INFO three", "ERROR four"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := (&serveCommand{LogFormat: "text"}).logged(log, os.ErrInvalid); !errors.Is(err, os.ErrInvalid) || errors.As(err, new(*loggedError)) {
		t.Errorf("a log of text has %v", err)
	}
}
