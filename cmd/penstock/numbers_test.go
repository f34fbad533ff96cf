package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// parserOf is the parser of a command line without environment and file.
func parserOf(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := newParser(&commands{}, &config{}, terminal{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// everyFlag calls f with each flag of each command.
func everyFlag(n *kong.Node, f func(*kong.Node, *kong.Flag)) {
	for _, flag := range n.Flags {
		f(n, flag)
	}
	for _, child := range n.Children {
		everyFlag(child, f)
	}
}

// TestNumbers: a number that makes no sense is refused on every flag that takes
// one, with the flag's name and what it wants.
func TestNumbers(t *testing.T) {
	nonsense := map[string][]string{
		"int":      {"", "many", "1.5", "1e3", "0x10", "-2", "-9223372036854775808", "9223372036854775808", "99999999999999999999999"},
		"float":    {"", "many", "NaN", "Inf", "-Inf", "-0.5", "1e39", "1e400"},
		"duration": {"", "soon", "30", "-1s", "-1ns", "9000h", "99999999h", "1e400s"},
		"size":     {"", "lots", "-1", "NaN", "1e30", "1.5GiBi", "1GBB", "1 GB B", "0x10", "99999999TB"},
	}
	seen := map[string]int{}
	parser := parserOf(t)
	everyFlag(parser.Model.Node, func(n *kong.Node, flag *kong.Flag) {
		kind := kindOf(flag.Target.Type())
		seen[kind]++
		for _, value := range nonsense[kind] {
			if value == "" && flag.IsSlice() {
				continue // an empty list
			}
			if kind == "float" && numbers[flag.Name].low < 0 && value == "-0.5" {
				continue
			}
			args := append(strings.Fields(n.FullPath())[1:], fmt.Sprintf("--%s=%s", flag.Name, value))
			_, err := parser.Parse(args)
			var wrong *kong.ParseError
			if !errors.As(err, &wrong) {
				t.Errorf("penstock %s: accepted, or another error: %v", strings.Join(args, " "), err)
				continue
			}
			message := misused(wrong).Error()
			if !strings.HasPrefix(message, "--"+flag.Name+": ") || !strings.Contains(message, "want") {
				t.Errorf("penstock %s: %s", strings.Join(args, " "), message)
			}
		}
	})
	for kind := range nonsense {
		if seen[kind] < 2 {
			t.Errorf("%d flags take a %s: the test does not see them", seen[kind], kind)
		}
	}
}

func kindOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[byteSize]():
		return "size"
	case t.PkgPath() == "time":
		return "duration"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "float"
	case t.PkgPath() == "" && t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "int"
	default:
		return ""
	}
}

// TestLimits has the ends of the limits that users meet.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		args string
		ok   bool
	}{
		{"serve --threads 0", true},
		{"serve --threads 1000", false},
		{"serve --max-batch 4096", true},
		{"serve --max-batch 4097", false},
		{"serve --step-budget 1000000", false},
		{"serve --port 65535", true},
		{"serve --port 65536", false},
		{"run --top-p 0", false},
		{"run --top-p 1", true},
		{"run --top-p 1.01", false},
		{"run --min-p 0", true},
		{"run --repeat-penalty 0", false},
		{"run --repeat-last-n=-1", true},
		{"run --seed=-1", true},
		{"run --seed 4294967296", false},
		{"perplexity x --file numbers_test.go --chunks=-1", false},
		{"bench load --warmup=-1", true},
	} {
		_, err := parserOf(t).Parse(strings.Fields(c.args))
		if (err == nil) != c.ok {
			t.Errorf("penstock %s: %v", c.args, err)
		}
	}
}
