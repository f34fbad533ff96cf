package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// child is a penstock serve in a process of its own.
type child struct {
	url     string
	ask     string // the command that it suggests
	process *os.Process
	stderr  bytes.Buffer
	wait    func() error
	told    bool
}

// program is the command line that runs this binary as penstock.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{Path: self, Args: append([]string{"penstock"}, args...), Env: append(os.Environ(), "PENSTOCK_LOCAL=true")}
}

// shell is a command line as a person would run it.
func shell(t *testing.T, line string) *exec.Cmd {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the printed command is for a POSIX shell")
	}
	return exec.Command("sh", "-c", line)
}

// serve starts a server and waits until it is ready. It is stopped at the end of
// the test, which fails if it does not end well.
func serve(t *testing.T, args ...string) *child {
	t.Helper()
	s := &child{}
	if !slices.Contains(args, "--port") {
		args = append(args, "--addr", "127.0.0.1:0")
	}
	cmd := program(t, append([]string{"serve"}, args...)...)
	cmd.Stderr = &s.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process, s.wait = cmd.Process, cmd.Wait
	t.Cleanup(func() { s.stop(t) })
	address := regexp.MustCompile(`https?://[^ ']+[0-9]`)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if s.url == "" {
			s.url = address.FindString(lines.Text())
		}
		if _, ask, ok := strings.Cut(lines.Text(), "ask   "); ok {
			s.ask = strings.TrimSpace(ask)
			go io.Copy(io.Discard, stdout)
			return s
		}
	}
	t.Fatalf("the server said no address\n%s", &s.stderr)
	return nil
}

// tell asks the server to stop, once: a second signal would end it at once, with
// its requests.
func (s *child) tell() {
	if !s.told {
		s.told = true
		s.process.Signal(syscall.SIGTERM)
	}
}

// stop ends the server as a supervisor does.
func (s *child) stop(t *testing.T) {
	t.Helper()
	if s.wait == nil {
		return
	}
	s.tell()
	if err := s.wait(); err != nil {
		t.Errorf("the server ended with %v\n%s", err, &s.stderr)
	}
	s.wait = nil
}

// complete asks for 50 tokens.
func complete(t *testing.T, url string, i int) {
	body, err := json.Marshal(map[string]any{
		"prompt": strings.Repeat(fmt.Sprintf("In the year %d, a river ", 1900+i), 20), "max_tokens": 50, "ignore_eos": true,
	})
	if err != nil {
		t.Error(err)
		return
	}
	response, err := http.Post(url+"/v1/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	var answer struct {
		Usage struct {
			CompletionTokens int `json:"completion_tokens"`
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Usage.CompletionTokens != 50 {
		t.Errorf("a completion was answered %s, %d tokens, %v", response.Status, answer.Usage.CompletionTokens, err)
	}
}

// TestServe is the life of a server: it says where it is, answers, refuses its
// port to another, and lets a running request finish when it is told to stop.
func TestServe(t *testing.T) {
	model := filepath.Join(t.TempDir(), "m.gguf")
	if err := tinymodel.Write(model, tinymodel.Options{Type: quant.Q8_0, Context: 4096}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, model, "--max-batch", "2")
	complete(t, s.url, 0)

	second, err := program(t, "serve", model, "--addr", strings.TrimPrefix(s.url, "http://")).CombinedOutput()
	if err == nil || !strings.Contains(string(second), "address already in use (another server? choose another port with --port, or an address with --addr)") {
		t.Errorf("a second server at the same address: %v\n%s", err, second)
	}

	body := `{"prompt": "A river", "max_tokens": 1000, "ignore_eos": true, "stream": true}`
	response, err := http.Post(s.url+"/v1/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stream := bufio.NewReader(response.Body)
	if _, err := stream.ReadString('\n'); err != nil { // it runs
		t.Fatal(err)
	}
	s.tell()
	rest, err := io.ReadAll(stream)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(rest)), "data: [DONE]") {
		t.Errorf("the stream ended with %v, %q", err, rest[max(0, len(rest)-200):])
	}
	s.stop(t)
}
