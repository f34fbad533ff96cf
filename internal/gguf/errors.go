package gguf

import (
	"errors"
	"strings"
)

// ErrCorrupt is wrapped by every error about the content of a file: damaged,
// hostile, or of a version or type that is not known here.
var ErrCorrupt = errors.New("invalid GGUF file")

// FormatError says what is wrong with a file, in one line.
type FormatError struct {
	File    string
	Subject string // such as `tensor "blk.0.attn_q.weight"`, empty for the file as a whole
	Reason  string
}

func (e *FormatError) Error() string {
	if e.Subject == "" {
		return e.File + ": " + e.Reason
	}
	return e.File + ": " + e.Subject + ": " + e.Reason
}

// Problem is the error without the file's name, as a sentence about "it".
func (e *FormatError) Problem() string {
	switch {
	case e.Subject != "":
		return e.Subject + ": " + e.Reason
	case strings.HasPrefix(e.Reason, "is "), strings.HasPrefix(e.Reason, "holds "):
		return "it " + e.Reason
	}
	return e.Reason
}

func (e *FormatError) Unwrap() error { return ErrCorrupt }
