package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"
)

// errInterrupted is the error of a line that Ctrl-C has thrown away.
var errInterrupted = errors.New("interrupted")

// lineReader reads what a person types, with editing and history.
type lineReader struct {
	keys   keyReader
	out    io.Writer
	editor *xterm.Terminal
}

// keyReader passes keys on and remembers a Ctrl-C, which the editor reports as
// the end of the input.
type keyReader struct {
	file  *os.File
	ctrlC bool
}

func (k *keyReader) Read(p []byte) (int, error) {
	n, err := k.file.Read(p)
	k.ctrlC = bytes.IndexByte(p[:n], 3) >= 0
	return n, err
}

// read returns one line, or several between lines of three quotes. The terminal
// is raw only while it reads, so that Ctrl-C is a signal while an answer runs.
func (r *lineReader) read(ctx context.Context) (string, error) {
	fd := int(r.keys.file.Fd())
	state, err := xterm.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer xterm.Restore(fd, state)
	if r.editor == nil {
		r.reset()
	}
	if w, h, err := xterm.GetSize(fd); err == nil && w > 0 {
		r.editor.SetSize(w, h)
	}
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := r.lines()
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return l.text, l.err
	case <-ctx.Done(): // a read of a terminal cannot be ended; the process will
		return "", ctx.Err()
	}
}

// reset begins with an empty line and keeps the history.
func (r *lineReader) reset() {
	old := r.editor
	r.editor = xterm.NewTerminal(struct {
		io.Reader
		io.Writer
	}{&r.keys, r.out}, "")
	if old != nil {
		r.editor.History = old.History
	}
}

func (r *lineReader) lines() (string, error) {
	first, err := r.line(">>> ")
	if err != nil {
		return "", err
	}
	text, open := strings.CutPrefix(strings.TrimSpace(first), `"""`)
	if !open {
		return first, nil
	}
	var all strings.Builder
	for {
		if before, closed := strings.CutSuffix(text, `"""`); closed {
			all.WriteString(before)
			return all.String(), nil
		}
		all.WriteString(text + "\n")
		if text, err = r.line("... "); err != nil {
			return "", err
		}
	}
}

func (r *lineReader) line(prompt string) (string, error) {
	r.editor.SetPrompt(prompt)
	line, err := r.editor.ReadLine()
	switch {
	case errors.Is(err, xterm.ErrPasteIndicator):
		return line, nil
	case errors.Is(err, io.EOF) && r.keys.ctrlC:
		r.reset()
		return "", errInterrupted
	}
	return line, err
}
