package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// stateFolder is where the program keeps what it remembers between two runs.
func stateFolder() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "penstock"), nil
	}
	var base string
	var err error
	switch runtime.GOOS {
	case "windows":
		base, err = os.UserCacheDir()
	case "darwin", "ios":
		base, err = os.UserConfigDir()
	default:
		if base, err = os.UserHomeDir(); err == nil {
			base = filepath.Join(base, ".local", "state")
		}
	}
	if err != nil {
		return "", errors.New("this user has no home directory (set XDG_STATE_HOME)")
	}
	return filepath.Join(base, "penstock"), nil
}

const (
	historySize    = 1000     // messages of earlier chats that are kept
	historyMessage = 32 << 10 // longest message that is kept
)

// history is what was typed in this chat and in earlier ones, the newest last.
type history struct {
	messages []string
	path     string // of the file, a JSON string a line; empty: there is none

	forgetful bool // nothing more is written to the file
}

// openHistory reads the messages of earlier chats. With an error it also returns a
// history, which is not kept in a file.
func openHistory() (*history, error) {
	h := &history{}
	dir, err := stateFolder()
	if err != nil {
		return h, err
	}
	path := filepath.Join(dir, "history")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return h, fmt.Errorf("%s: %w", dir, reason(err))
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return h, fmt.Errorf("%s: %w", path, reason(err))
	}
	h.path = path
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) > 2*historySize { // twice the size, so that the file is not rewritten at every start
		lines = lines[len(lines)-historySize:]
		if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
			h.path = ""
			return h, fmt.Errorf("%s: %w", path, reason(err))
		}
	}
	for _, line := range lines {
		var message string
		if json.Unmarshal(line, &message) == nil && message != "" {
			h.messages = append(h.messages, message)
		}
	}
	return h, nil
}

// add remembers a message, unless it is the last one again.
func (h *history) add(message string) error {
	if n := len(h.messages); n > 0 && h.messages[n-1] == message {
		return nil
	}
	h.messages = append(h.messages, message)
	if h.path == "" || h.forgetful || len(message) > historyMessage {
		return nil
	}
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(h.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.Write(append(line, '\n'))
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		path := h.path
		h.path = "" // give up on the file, so that the error is shown once
		return fmt.Errorf("%s: %w", path, reason(err))
	}
	return nil
}
