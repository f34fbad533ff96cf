package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A server is looked for where serve listens with the same settings.
func TestWhereTheServerIs(t *testing.T) {
	for _, c := range []struct {
		host, file string
		env        map[string]string
		want       string
	}{
		{want: "http://127.0.0.1:8080"},
		{host: "box", want: "http://box:8080"},
		{host: "box:99", want: "http://box:99"},
		{host: "0.0.0.0", want: "http://127.0.0.1:8080"},
		{host: "::1", want: "http://[::1]:8080"},
		{host: "[::]:99", want: "http://127.0.0.1:99"},
		{host: "https://box/llm/", want: "https://box/llm"},
		{env: map[string]string{"PENSTOCK_PORT": "7"}, want: "http://127.0.0.1:7"},
		{env: map[string]string{"PENSTOCK_ADDR": ":7"}, want: "http://127.0.0.1:7"},
		{file: "addr: 10.0.0.1:5\nport: 6\n", want: "http://10.0.0.1:6"},
		{host: "box", file: "addr: 10.0.0.1:5\n", want: "http://box:5"},
		{env: map[string]string{"PENSTOCK_TLS_CERT": "c.pem"}, want: "https://127.0.0.1:8080"},
		{file: "tls-cert: c.pem\naddr: :5\n", want: "https://127.0.0.1:5"},
		{host: "http://box", file: "tls-cert: c.pem\n", want: "http://box"},
		{host: "a b", want: "error"},
		{host: "http://", want: "error"},
	} {
		file := &config{path: "f.yaml"}
		if err := file.parse([]byte(c.file)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"PENSTOCK_ADDR", "PENSTOCK_PORT", "PENSTOCK_TLS_CERT"} {
			t.Setenv(name, c.env[name])
		}
		got := "error"
		if r, err := (&remoteFlags{Host: c.host}).remote(file); err == nil {
			got = r.url
		}
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestServerWithTLS: with the settings that a server speaks TLS by, commands ask it with
// TLS, and trust its certificate although it has signed itself and has another name.
// Without them they say what is wrong.
func TestServerWithTLS(t *testing.T) {
	cert, key := certificate(t, "llm.example")
	pair, err := readCertificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"models":[]}`) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*pair}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	bare := httptest.NewServer(s.Config.Handler)
	defer bare.Close()
	other, _ := certificate(t, "llm.example")
	where := s.Listener.Addr().String()
	for _, c := range []struct{ cert, args, want string }{
		{cert, "ps --host " + where, "has no model in memory"},
		{cert, "top --count 1 --host " + where, "is not that of a Penstock server"},
		{other, "ps --host " + where, "a certificate that this machine does not trust: name a file"},
		{"nosuch.pem", "ps --host " + where, "a certificate that this machine does not trust: name a file"},
		{"", "ps --host https://" + where, "a certificate that this machine does not trust: name a file"},
		{"", "top https://" + where, "a certificate that this machine does not trust: name a file"},
		{"", "ps --host " + where, "it speaks TLS: give its address with https://"},
		{"", "top " + where, "speaks TLS: give its address with https://"},
		{"", "ps --host https://" + bare.Listener.Addr().String(), "speaks no TLS: give its address with http://"},
	} {
		t.Setenv("PENSTOCK_TLS_CERT", c.cert)
		var out bytes.Buffer
		if err := execute(t.Context(), strings.Fields(c.args), terminal{strings.NewReader(""), &out, &out}); err != nil {
			fmt.Fprint(&out, plain(err))
		}
		if !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), "x509") {
			t.Errorf("%s with the certificate %q: %s", c.args, c.cert, &out)
		}
	}
}

// TestAnswerThatBreaksOff: a server that goes away in the middle of an answer is named as
// the reason; what has come by then is shown.
func TestAnswerThatBreaksOff(t *testing.T) {
	came := ""
	stream := io.MultiReader(strings.NewReader("data: one\n\ndata: [DONE]\n\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	err := events(stream, func(data []byte) error {
		came += string(data)
		return nil
	})
	if came != "one" || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "has the server stopped?") {
		t.Errorf("%q: %v", came, err)
	}
}

func TestUntil(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for expires, want := range map[string]string{
		"2126-01-02T03:04:05Z": "the server ends", "2026-01-02T03:09:05Z": "in 5m0s", "2026-01-02T03:04:05Z": "now", "?": "unknown",
	} {
		if got := until(expires, now); got != want {
			t.Errorf("%s: %s", expires, got)
		}
	}
}

// TestCommandsOfARunningServer: ps, load, stop, list and run with a server that has a
// folder of models.
func TestCommandsOfARunningServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	dir := tinyStore(t, "tiny-llama", "tiny-qwen3")
	t.Setenv("PENSTOCK_MODELS", dir)
	s := serve(t, filepath.Join(dir, "tiny-llama.gguf"), "--alias", "mine", "--kv-memory", "4MiB", "--ctx", "256")
	for _, step := range []struct {
		args        string
		out, stderr string // a part of each
		fails       bool
	}{
		{"ps", "256 tokens  the server ends", "", false},
		{"list", "tiny-qwen3", "SERVER is the state", false},
		{"load tiny-qwen3", "tiny-qwen3 is loaded", "", false},
		{"ps", "256 tokens  in ", "", false},
		{"list --json", `"state":"loaded"`, "", false},
		{"stop tiny-qwen3", "tiny-qwen3 is unloaded", "", false},
		{"stop tiny-qwen3", "", "tiny-qwen3 is not loaded", true},
		{"stop nothing", "", "does not exist", true},
		{"run tiny-qwen3 hello --max-tokens 5 --seed 1", "", "tiny-qwen3 is asked at the server", false},
		{"run mine hello --raw --max-tokens 5 --seed 1", "", "cut after 5 tokens", false},
		{"run tiny-qwen3 hello --max-tokens 5 --seed 1 --threads 1", "", "--threads is for a model in this process", false},
		{"run tiny-qwen3 hello --max-tokens 5 --seed 1 --local", "", "cut after 5 tokens", false},
		{"run tiny-llama hello --max-tokens 5 --think on", "", "tiny-llama was not taught to think", true},
		{"run tiny-llama hello --max-tokens 5 --think on --local", "", "was not taught to think", true},
		{"run tiny-llama hello --max-tokens 5 --seed 1 --think off", "", "cut after 5 tokens", false},
		{"run nothing hello", "", "is not used: the model", true},
	} {
		args := strings.Fields(step.args)
		cmd := program(t, append(args, "--host", s.url)...)
		cmd.Env = append(os.Environ(), "PENSTOCK_LOCAL=")
		var out, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &stderr
		err := cmd.Run()
		if (err != nil) != step.fails || !strings.Contains(out.String(), step.out) || !strings.Contains(stderr.String(), step.stderr) {
			t.Errorf("%s: %v\n%s\n%s", step.args, err, &out, &stderr)
		}
	}
	// Without --host it is looked for where the environment says, and not finding it is
	// no error.
	cmd := program(t, "list")
	cmd.Env = append(os.Environ(), "PENSTOCK_LOCAL=", "PENSTOCK_ADDR=127.0.0.1:1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "tiny-qwen3") || strings.Contains(string(out), "SERVER") {
		t.Errorf("without a server: %v\n%s", err, out)
	}
}
