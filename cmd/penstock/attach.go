package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// attachment is a text file that is part of a message.
type attachment struct{ name, text string }

// attach reads the files that come before the prompt.
func attach(paths []string) (all []attachment, err error) {
	for _, path := range paths {
		text, err := textFile(path)
		if err != nil {
			return nil, fmt.Errorf("--file %s: %w", path, err)
		}
		all = append(all, attachment{filepath.Base(path), text})
	}
	return all, nil
}

// textFile reads a file of text.
func textFile(path string) (string, error) {
	const most = 64 << 20 // more than any context holds
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", reason(err)
	case info.IsDir():
		return "", errors.New("it is a folder: give the files in it")
	case info.Size() > most:
		return "", fmt.Errorf("it has %s: no model has room for that", bytesText(info.Size()))
	}
	file, err := os.Open(path)
	if err != nil {
		return "", reason(err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return "", reason(err)
	}
	if b, err = withoutBOM(b); err != nil {
		return "", fmt.Errorf("only text can be read, and %w", err)
	}
	return string(b), nil
}

var ticks = regexp.MustCompile("`{3,}")

// withFiles is a message with its files before it, each in a fence that is longer
// than any within it: as the page does it.
func withFiles(files []attachment, message string) string {
	var parts []string
	for _, f := range files {
		fence := "```"
		for _, inner := range ticks.FindAllString(f.text, -1) {
			if len(inner) >= len(fence) {
				fence = inner + "`"
			}
		}
		parts = append(parts, fmt.Sprintf("%s\n%s\n%s\n%s", f.name, fence, strings.TrimSuffix(f.text, "\n"), fence))
	}
	if message != "" {
		parts = append(parts, message)
	}
	return strings.Join(parts, "\n\n")
}

// format is a form that answers have.
type format struct {
	name string // as it was asked for
	json any    // response_format of a request
}

// readFormat is the format of that name: json, a file with a JSON Schema, or none for
// an empty name.
func readFormat(name string) (*format, error) {
	switch name {
	case "":
		return nil, nil
	case "json":
		return &format{name, map[string]any{"type": "json_object"}}, nil
	}
	text, err := textFile(name)
	if err != nil {
		return nil, fmt.Errorf("format %s: %w (want json, or a file with a JSON Schema)", clip(name), err)
	}
	var schema any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		return nil, fmt.Errorf("format %s: it is no JSON: %s", clip(name), strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, ok := schema.(map[string]any); !ok {
		return nil, fmt.Errorf("format %s: a JSON Schema is an object: {\"type\": ...}", clip(name))
	}
	wrapped := map[string]any{"name": "answer", "schema": json.RawMessage(text), "strict": true}
	return &format{name, map[string]any{"type": "json_schema", "json_schema": wrapped}}, nil
}

// thinks are the values of --think and /set think.
var thinks = []string{"on", "off", "low", "medium", "high"}

func readThink(how string) (string, error) {
	if other, ok := map[string]string{"true": "on", "false": "off"}[how]; ok { // Ollama's
		how = other
	}
	if !slices.Contains(thinks, how) {
		return "", fmt.Errorf("%q is no way to think: want on, off, low, medium or high", clip(how))
	}
	return how, nil
}
