package clients

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// model is small, and makes calls of tools when it is asked to.
const model = "qwen2.5-coder:0.5b"

// address is where the server under test listens, as http://HOST:PORT.
var address string

// TestMain builds the server, fetches the model where it is missing, and serves
// it for all tests. With PENSTOCK_URL it uses a server that runs already.
func TestMain(m *testing.M) {
	if address = os.Getenv("PENSTOCK_URL"); address != "" {
		os.Exit(m.Run())
	}
	stop, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the server under test:", err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// start serves the model on a free port, and returns what ends the server.
func start() (stop func(), err error) {
	dir, err := os.MkdirTemp("", "penstock-clients")
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "penstock")
	build := exec.Command("go", "build", "-o", binary, "./cmd/penstock")
	build.Dir = filepath.Join("..", "..")
	for _, c := range []*exec.Cmd{build, exec.Command(binary, "pull", model)} {
		if out, err := c.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
		}
	}
	server := exec.Command(binary, "serve", model, "--addr", "127.0.0.1:0", "--log-level", "warn")
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = os.RemoveAll(dir)
	}
	if address = greeting(out); address == "" {
		stop()
		return nil, fmt.Errorf("it ended without naming its address")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return stop, nil
}

// greeting reads the address that the server prints once it is ready.
func greeting(out io.Reader) string {
	find := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url := find.FindString(lines.Text()); url != "" {
			return url
		}
	}
	return ""
}

// running is how many sequences the server computes, as /metrics says.
func running(t *testing.T) string {
	t.Helper()
	r, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(body) {
		if value, ok := bytes.CutPrefix(line, []byte("penstock_requests_running ")); ok {
			return strings.TrimSpace(string(value))
		}
	}
	t.Fatal("/metrics has no penstock_requests_running")
	return ""
}

// freed fails unless the server lets go of what a client has left.
func freed(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if running(t) == "0" {
			return
		}
	}
	t.Errorf("%s sequences still run after the client left", running(t))
}

// bodies is a transport that keeps the last answer, for what a client's types
// leave out.
type bodies struct {
	mu   sync.Mutex
	last *bytes.Buffer
}

// RoundTrip copies the body while the client reads it.
func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.last = &bytes.Buffer{}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(answer.Body, b.last), answer.Body}
	b.mu.Unlock()
	return answer, nil
}

func (b *bodies) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last.String()
}

// noReasoning fails if an answer of a model that does not think has a field for
// what it thought.
func (b *bodies) noReasoning(t *testing.T) {
	t.Helper()
	for _, field := range []string{"reasoning_content", `"thinking`, `"type":"reasoning"`} {
		if strings.Contains(b.text(), field) {
			t.Errorf("the answer has %s: %s", field, b.text())
		}
	}
}

// counting is what the small model does reliably.
const counting = "Count from 1 to 20, separated by commas."

// weather is a tool that the model calls when it is asked about the weather.
const (
	question    = "What is the weather in Paris?"
	toolName    = "get_weather"
	description = "Get the weather of a city"
)

var schema = map[string]any{
	"type":       "object",
	"properties": map[string]any{"city": map[string]any{"type": "string"}},
	"required":   []string{"city"},
}
