//go:build unix

package gguf

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is not a regular file is refused at once, also a pipe that nobody writes
// to, and through a link.
func TestOpenRefusesSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	pipe, link, socket := filepath.Join(dir, "pipe.gguf"), filepath.Join(dir, "link.gguf"), filepath.Join(dir, "s")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{pipe: "is a pipe", link: "is a pipe", socket: "is a socket", "/dev/zero": "is a device", "/": "is a directory"} {
		got := make(chan error, 1)
		go func() {
			_, err := Open(path)
			got <- err
		}()
		select {
		case err := <-got:
			if err == nil || !strings.Contains(err.Error(), want+", not a regular file") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v, want %q", path, err, want)
			}
		case <-time.After(2 * time.Minute):
			t.Errorf("%s: Open hangs", path)
		}
	}
}
