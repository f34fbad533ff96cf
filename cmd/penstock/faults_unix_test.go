//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// tiny writes a model whose answers may be long.
func tiny(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{Type: quant.Q8_0, Context: 4096}); err != nil {
		t.Fatal(err)
	}
	return path
}

// slow is a model that takes a second for some hundred tokens on the generic tier: what a
// test starts meanwhile has begun before it has answered.
func slow(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{Type: quant.Q8_0, Context: 4096, Dim: 256, FF: 512}); err != nil {
		t.Fatal(err)
	}
	return path
}

// stopsWell waits for a process that was told to stop, and fails if it does not end
// in time or with another status than 0.
func stopsWell(t *testing.T, cmd *exec.Cmd, stderr io.Reader) {
	t.Helper()
	late := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	said, err := io.ReadAll(stderr)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		t.Errorf("it ended with %v\n%s", err, said)
	}
}

// TestStopWhileLoading: a server that is told to stop before it has its model ends
// at once and well. The model comes from a server that sends half of it.
func TestStopWhileLoading(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	data, err := os.ReadFile(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	h := &halfway{data: data, half: make(chan struct{})}
	origin := httptest.NewServer(h)
	defer origin.Close()
	cmd := program(t, "serve", origin.URL+"/m.gguf", "--models", t.TempDir(), "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It says where its admin address is when it has begun to listen, and loads then.
	line, err := bufio.NewReader(stderr).ReadString('\n')
	if err != nil || !strings.Contains(line, "profiles and metrics at ") {
		t.Fatalf("it said %q, %v", line, err)
	}
	_, url, _ := strings.Cut(strings.TrimSpace(line), "profiles and metrics at ")
	metrics, err := http.Get(strings.Replace(url, "/debug/pprof/", "/metrics", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	if page, err := io.ReadAll(metrics.Body); err != nil || !strings.Contains(string(page), "penstock_ready 0") {
		t.Errorf("while it loads, /metrics has %.300s (%v)", page, err)
	}
	<-h.half
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	stopsWell(t, cmd, stderr)
}

// TestStopWhileQueued: what waits in the queue when the server is told to stop is
// answered like what runs.
func TestStopWhileQueued(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	s := serve(t, slow(t), "--max-batch", "1", "--cpu", "generic")
	first, rest := openStream(t, s.url, 500)
	var clients sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		clients.Go(func() {
			started <- struct{}{}
			complete(t, s.url, i)
		})
	}
	for range 8 {
		<-started
	}
	waitForMetric(t, s.url, "penstock_requests_waiting 8")
	s.tell()
	if err := rest(); err != nil {
		t.Errorf("the request that ran: %v", err)
	}
	first.Close()
	clients.Wait() // complete fails the test unless it gets its 50 tokens
	s.stop(t)
}

// TestStopWhilePrefilling: a prompt that is being computed when the server is told
// to stop gets its answer.
func TestStopWhilePrefilling(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	s := serve(t, tiny(t), "--step-budget", "8", "--max-batch", "1")
	body := `{"prompt":"` + strings.Repeat("a long way to the sea ", 200) + `","n_predict":5,"ignore_eos":true,"stream":true,"return_progress":true,"cache_prompt":false}`
	response, err := http.Post(s.url+"/completion", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stream := bufio.NewReader(response.Body)
	line, err := stream.ReadString('\n')
	if err != nil || !strings.Contains(line, "prompt_progress") {
		t.Fatalf("the first event is %q, %v", line, err)
	}
	s.tell()
	rest, err := io.ReadAll(stream)
	if err != nil || !strings.Contains(string(rest), `"stop":true`) {
		t.Errorf("the stream ended with %v, %q", err, rest[max(0, len(rest)-300):])
	}
	s.stop(t)
}

// TestSecondSignal: whoever does not want to wait for the running requests sends a
// second signal, which ends the process at once.
func TestSecondSignal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	cmd := program(t, "serve", slow(t), "--cpu", "generic", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--max-batch", "1", "--max-queue", "200", "--drain-timeout", "10m")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	url := ""
	for url == "" && lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "chat in the browser"); ok {
			url = strings.TrimSuffix(strings.TrimSpace(after), "/ui/")
		}
	}
	go io.Copy(io.Discard, stdout)
	body, rest := openStream(t, url, 4000)
	defer body.Close()
	var clients sync.WaitGroup
	for range 150 { // more than it could answer before it gets the second signal
		clients.Go(func() {
			response, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"a","max_tokens":4000,"ignore_eos":true}`))
			if err == nil {
				response.Body.Close()
			}
		})
	}
	waitForMetric(t, url, "penstock_requests_waiting 150")
	cmd.Process.Signal(syscall.SIGTERM)
	said := bufio.NewScanner(stderr)
	for said.Scan() && !strings.Contains(said.Text(), "finishing the running requests") {
	}
	cmd.Process.Signal(syscall.SIGTERM)
	go io.Copy(io.Discard, stderr)
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", err)
	}
	if rest() == nil {
		t.Error("the stream came to its end")
	}
	clients.Wait()
}

// openStream begins a generation, and returns when its first event is there. rest
// reads the others, and fails unless the last says that it is complete.
func openStream(t *testing.T, url string, tokens int) (body io.Closer, rest func() error) {
	t.Helper()
	request := fmt.Sprintf(`{"prompt":"A river","max_tokens":%d,"ignore_eos":true,"stream":true}`, tokens)
	response, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	stream := bufio.NewReader(response.Body)
	if _, err := stream.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return response.Body, func() error {
		text, err := io.ReadAll(stream)
		if err == nil && !strings.HasSuffix(strings.TrimSpace(string(text)), "data: [DONE]") {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
}

// waitForMetric waits until /metrics has a line, or the test times out.
func waitForMetric(t *testing.T, url, line string) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		response, err := http.Get(url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil && strings.Contains(string(page), "\n"+line+"\n") {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("/metrics never had %q:\n%s", line, page)
		}
	}
}

// halfway serves a file; the first request gets half of it, and no end.
type halfway struct {
	data   []byte
	half   chan struct{} // closed when half is sent
	ranges chan string   // Range of the requests after the first
	once   sync.Once
}

func (h *halfway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"v1"`)
	first := false
	if r.Method == http.MethodGet {
		h.once.Do(func() { first = true })
	}
	if first {
		w.Header().Set("Content-Length", fmt.Sprint(len(h.data)))
		w.Write(h.data[:len(h.data)/2])
		w.(http.Flusher).Flush()
		close(h.half)
		<-r.Context().Done()
		return
	}
	if r.Method == http.MethodGet {
		h.ranges <- r.Header.Get("Range")
	}
	http.ServeContent(w, r, "m.gguf", time.Time{}, bytes.NewReader(h.data))
}

// TestKilledPull: a pull that is killed leaves what it has, and the next one asks
// for the rest only.
func TestKilledPull(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data, err := os.ReadFile(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	h := &halfway{data: data, half: make(chan struct{}), ranges: make(chan string, 10)}
	origin := httptest.NewServer(h)
	defer origin.Close()
	models := t.TempDir()
	pull := func() *exec.Cmd { return program(t, "pull", origin.URL+"/m.gguf", "--models", models) }
	first := pull()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-h.half
	part := ""
	for until := time.Now().Add(time.Minute); part == "" && time.Now().Before(until); time.Sleep(time.Millisecond) {
		filepath.Walk(models, func(path string, info os.FileInfo, err error) error {
			if err == nil && info.Size() >= int64(len(data)/4) {
				part = path // something of it is on the disk
			}
			return nil
		})
	}
	first.Process.Kill()
	first.Wait()
	if part == "" {
		t.Fatal("nothing of the first half was written")
	}
	output, err := pull().Output()
	if err != nil {
		t.Fatalf("the second pull: %v", err)
	}
	if got, err := os.ReadFile(strings.TrimSpace(string(output))); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file differs from the original (%v)", err)
	}
	if asked := <-h.ranges; !strings.HasPrefix(asked, "bytes=") || asked == "bytes=0-" {
		t.Errorf("the second pull asked for %q", asked)
	}
}

// TestFullDisk: a disk without room for a file, or full in the middle of a pull, is named, with what to
// do; what was there before is still there. It needs a file system of its own, which
// a user's name space can mount where the system allows those.
func TestFullDisk(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("mounts a file system, on Linux")
	}
	data := bytes.Repeat([]byte("x"), 4<<20)
	copy(data, "GGUF\x03\x00\x00\x00")
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush() // so it does not say how long the file is
		w.Write(data)            // the client hangs up
	}))
	defer silent.Close()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "m.gguf", time.Time{}, bytes.NewReader(data))
	}))
	defer origin.Close()
	for from, want := range map[string]string{silent.URL: "the disk is full: make room at ", origin.URL: "4 MB are to be fetched and 67 MB to stay free, and the disk of "} {
		if out := pullToSmallDisk(t, from); !strings.Contains(out, want) || !strings.Contains(out, "kept") {
			t.Errorf("want %q; it said:\n%s", want, out)
		}
	}
}

// pullToSmallDisk is what pull says, which must fail, where the disk has room for 1 MB and a file that must be there afterwards.
func pullToSmallDisk(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	mounted := []string{"-rm", "sh", "-c", `mount -t tmpfs -o size=1m none "$0" && echo kept > "$0/before" && exec "$@"`, dir}
	if out, err := exec.Command("unshare", append(mounted, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no name space to mount a small disk in: %v %s", err, out)
	}
	p := program(t, "pull", from+"/m.gguf", "--models", filepath.Join(dir, "models"))
	// The arguments of program begin with its name; the path is another.
	script := `"$@" || { status=$?; cat ` + dir + `/before; df ` + dir + ` >/dev/null; exit $status; }`
	self, err := filepath.Abs(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "penstock")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	args := append(mounted, append([]string{"sh", "-c", script, "sh", link}, p.Args[1:]...)...)
	out, err := exec.Command("unshare", args...).CombinedOutput()
	if err == nil {
		t.Errorf("it ended well:\n%s", out)
	}
	return string(out)
}

// TestWriteWholeLeavesSpecialFiles: what is no file is written to, not replaced, and
// neither is a link.
func TestWriteWholeLeavesSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	pipe, file, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(file, []byte("old"), 0o600), os.Symlink("file", link)); err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	}
	in, err := os.OpenFile(pipe, os.O_RDWR, 0) // so that neither end waits for the other
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := errors.Join(writeWhole(pipe, write), writeWhole(link, write)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(pipe); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the pipe: %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link: %v, %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(file); string(text) != "new" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if err := writeWhole(dir, write); err == nil {
		t.Error("a folder was written")
	}
}
