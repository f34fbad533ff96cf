package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestConfigSurvives: a file with whatever YAML has gives settings, or an error
// that begins with the file's name.
func TestConfigSurvives(t *testing.T) {
	for _, text := range []string{
		"", "cpu: generic\n", "a: &x 1\nb: *x\n", "&a cpu: b", "? [a]\n: b\n", "<<: {cpu: generic}\n", "cpu: !!binary aGk=\n",
		"cpu: |\n  generic\n", "alias: [a, [b]]\n", "threads: 1_0\nctx: 0x10\ntop-p: .inf\n", "--- a\n--- b\n", "cpu: *none", "{cpu: generic, cpu: avx2}",
		"- a\n", "\"cpu\": 'x'\n# c", "cpu: !!str 1\nmodel: ~\n", "a: !<tag:x> b\n", "addr: 1:2\nrequest-timeout: 2001-01-01\n", "\xff\xfe",
		"%YAML 1.2\n---\ncpu: x\n", "cpu:\tgeneric", "\uFEFFcpu: generic", "cpu: \"\\x\"", "[", "{", "a: b: c", "'", "cpu: >\n", "&a [*a]", "a: &a [*a]",
	} {
		c := &config{path: "f.yaml"}
		err := c.parse([]byte(text))
		if err == nil {
			var cli commands
			parser, e := newParser(&cli, c, terminal{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
			if e != nil {
				t.Fatal(e)
			}
			if err = c.check(parser.Model); err == nil {
				_, err = parser.Parse([]string{"serve"})
				if err != nil {
					continue // a value that the flag does not take
				}
			}
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "config f.yaml") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzConfig: whatever a file holds, reading and checking it gives settings or an
// error that begins with its name, on one line.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{"cpu: generic\nthreads: 1\n", "alias: [a, b]\n", "a: &x 1\nb: *x\n", "models:\n  - model: m.gguf\n", "\xff", "{a: b}"} {
		f.Add(text)
	}
	var cli commands
	parser, err := newParser(&cli, &config{}, terminal{out: io.Discard, err: io.Discard})
	if err != nil {
		f.Fatal(err)
	}
	known := keysOf(parser.Model)
	f.Fuzz(func(t *testing.T, text string) {
		c := &config{path: "f.yaml"}
		err := c.parse([]byte(text))
		for _, key := range c.keys() {
			if err != nil {
				break
			}
			if err = c.checkKey(key, known); err == nil && known[key] != nil {
				err = c.try(known[key], c.values[key])
			}
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "config f.yaml") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
