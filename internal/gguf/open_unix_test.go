//go:build unix

package gguf

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock-llm/penstock/internal/quant"
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

// A read of what is gone is an error that names the file, also where the model is in
// several files. Other panics go on.
func TestGuard(t *testing.T) {
	parts := writeParts(t)
	whole := filepath.Join(t.TempDir(), "whole.gguf")
	data := make([]byte, 4*5000)
	var b bytes.Buffer
	if err := Write(&b, nil, []Tensor{{Name: "t", Type: quant.F32, Shape: []int{50, 100}, Data: data}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(whole, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for cut, path := range map[string]string{whole: whole, parts[2]: parts[0]} {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Truncate(cut, 4096); err != nil {
			t.Fatal(err)
		}
		sum := byte(0)
		err = f.Guard(func() error {
			for _, tensor := range f.Tensors() {
				for _, x := range tensor.Data {
					sum += x
				}
			}
			return nil
		})
		if err == nil || !strings.HasPrefix(err.Error(), filepath.Base(cut)+" was cut or overwritten") {
			t.Errorf("%s: %v", cut, err)
		}
		func() {
			defer func() {
				if v := recover(); v != "another" {
					t.Errorf("another panic became %v", v)
				}
			}()
			err := f.Guard(func() error { panic("another") })
			t.Errorf("another panic became %v", err)
		}()
	}
}

// A file that is cut while its header is read is an error, whether it is whole or a part.
func TestHeaderIsCutWhileItIsRead(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, []KV{{"tokens", slices.Repeat([]string{"token"}, 5000)}}, nil); err != nil {
		t.Fatal(err)
	}
	for name, parse := range map[string]func(string, []byte) (*File, error){"whole": Parse, "part": parseAny} {
		path := filepath.Join(t.TempDir(), name+".gguf")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Map(path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := os.Truncate(path, 4096); err != nil {
			t.Fatal(err)
		}
		if f, err := m.read(parse); err == nil || !strings.HasPrefix(err.Error(), name+".gguf was cut or overwritten") {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}
