package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// notes is where a server with --log-format json writes what it says to people: each line
// becomes a record of the log, at whatever level the log has. A program that reads the log
// then finds nothing in it that is no JSON.
type notes struct {
	log  slog.Handler
	mu   sync.Mutex
	open []byte // a line that has not ended
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open = append(n.open, b...)
	for {
		line, rest, ended := bytes.Cut(n.open, []byte("\n"))
		if !ended {
			return len(b), nil
		}
		n.open = append([]byte(nil), rest...)
		level, text := slog.LevelInfo, strings.TrimPrefix(string(line), "penstock: ")
		if warning, ok := strings.CutPrefix(text, "warning: "); ok {
			level, text = slog.LevelWarn, warning
		}
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := n.log.Handle(context.Background(), slog.NewRecord(time.Now(), level, text, 0)); err != nil {
			return 0, err
		}
	}
}

// loggedError is an error that the log has, so that it is not printed once more.
type loggedError struct{ error }

func (e *loggedError) Unwrap() error { return e.error }

// logged writes the error that ends a server to the log, if that is JSON.
func (c *serveCommand) logged(logger *slog.Logger, err error) error {
	if err == nil || c.LogFormat != "json" || errors.Is(err, context.Canceled) {
		return err
	}
	logger.Error("the server ends", "error", plain(err).Error())
	return &loggedError{err}
}
