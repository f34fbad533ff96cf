//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// socketsOf are descriptors of listeners, as systemd gives them to a process.
func socketsOf(t *testing.T, listeners ...net.Listener) (files []*os.File) {
	t.Helper()
	for _, l := range listeners {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

// withSockets is the program with descriptors from 3 on, as systemd starts it. The
// shell becomes the program, so $$ is the program's own number. The test binary is the
// program when it is called so.
func withSockets(t *testing.T, pid string, files []*os.File, args ...string) *exec.Cmd {
	t.Helper()
	self, path := program(t, args...), filepath.Join(t.TempDir(), "penstock")
	if err := os.Symlink(self.Path, path); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`LISTEN_PID=%s LISTEN_FDS=%d exec "$0" "$@"`, pid, len(files))
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", line, path}, args...)...)
	cmd.Env, cmd.ExtraFiles = self.Env, files
	return cmd
}

func listenOn(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestSocketsOfSystemd: requests that were made before the server was started are
// answered, at each of the addresses, by its model.
func TestSocketsOfSystemd(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	var listeners []net.Listener
	var early []net.Conn
	for range 2 {
		l := listenOn(t, "tcp", "127.0.0.1:0")
		listeners = append(listeners, l)
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		const body = `{"prompt":"abc","max_tokens":3,"ignore_eos":true}`
		if _, err := io.WriteString(c, fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)); err != nil {
			t.Fatal(err)
		}
		early = append(early, c)
	}
	cmd := withSockets(t, "$$", socketsOf(t, listeners...), "serve", tiny(t), "--addr", "256.0.0.1:1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, c := range early {
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			cmd.Process.Kill()
			said, _ := io.ReadAll(stderr)
			t.Fatalf("%v\n%s", err, said)
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(answer), `"completion_tokens":3`) {
			t.Errorf("%d: %s (%v)", response.StatusCode, answer, err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	stopsWell(t, cmd, stderr)
}

// TestSocketsOfOthers: sockets that were meant for another process are none, and one
// that no HTTP comes from is refused by name.
func TestSocketsOfOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	tcp := listenOn(t, "tcp", "127.0.0.1:0")
	local := listenOn(t, "unix", filepath.Join(t.TempDir(), "s"))
	for _, c := range []struct {
		pid  string
		at   net.Listener
		want string
	}{
		{"1", tcp, "--addr nowhere"},
		{"$$", local, "the socket LISTEN_FD_3 of systemd: it listens on unix"},
	} {
		address := "127.0.0.1:0"
		if c.at == tcp {
			address = "nowhere"
		}
		out, err := withSockets(t, c.pid, socketsOf(t, c.at), "serve", tiny(t), "--addr", address).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v, %s, want %q", err, out, c.want)
		}
	}
}
