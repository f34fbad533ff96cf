package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"penstock": main})
}

// TestScripts runs testdata/*.txtar: sessions at the command line.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			for _, v := range os.Environ() { // of whoever runs the test
				if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "PENSTOCK_") && name != "PENSTOCK_CPU" {
					env.Setenv(name, "")
				}
			}
			env.Setenv("PENSTOCK_LOCAL", "true") // not the server of whoever runs the test
			env.Setenv("PENSTOCK_MODELS", filepath.Join(env.WorkDir, "models"))
			env.Vars = append(env.Vars, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tinymodel":  tinymodelCommand,
			"truncate":   truncateCommand,
			"json":       jsonCommand,
			"fileserver": fileserverCommand,
			"lines":      linesCommand,
			"exits":      exitsCommand,
			"hex":        hexCommand,
		},
	})
}

// tinymodel FILE [arch=llama] [type=Q8_0] [vocab-only] … writes a model. Any
// field of tinymodel.Options is a key.
func tinymodelCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: tinymodel FILE [key=value]…")
	}
	var o tinymodel.Options
	vocabOnly := false
	for _, a := range args[1:] {
		if a == "vocab-only" {
			vocabOnly = true
			continue
		}
		ts.Check(setOption(&o, a))
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	if vocabOnly {
		ts.Check(writeVocabulary(path, o))
		return
	}
	ts.Check(tinymodel.Write(path, o))
}

func setOption(o *tinymodel.Options, arg string) error {
	key, value, _ := strings.Cut(arg, "=")
	field := reflect.ValueOf(o).Elem().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, key) })
	if !field.IsValid() {
		return fmt.Errorf("tinymodel: unknown option %q", key)
	}
	if kind, ok := quant.ParseType(value); ok && field.Type() == reflect.TypeOf(kind) {
		field.Set(reflect.ValueOf(kind))
		return nil
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(value)
	case reflect.Int:
		n, err := strconv.Atoi(value)
		field.SetInt(int64(n))
		return err
	case reflect.Uint64:
		n, err := strconv.ParseUint(value, 10, 64)
		field.SetUint(n)
		return err
	default:
		return fmt.Errorf("tinymodel: option %q cannot be set from a script", key)
	}
	return nil
}

func writeVocabulary(path string, o tinymodel.Options) error {
	f, err := tinymodel.Open(o)
	if err != nil {
		return err
	}
	var meta []gguf.KV
	for _, key := range f.Keys() {
		v, _ := f.Value(key)
		meta = append(meta, gguf.KV{Key: key, Value: v})
	}
	var b bytes.Buffer
	return errors.Join(gguf.Write(&b, meta, nil), os.WriteFile(path, b.Bytes(), 0o644))
}

// truncate FILE SIZE cuts a file.
func truncateCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncate FILE SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// json [KEY[=VALUE]]… checks that the last command printed one JSON value and
// nothing else, and that it has these keys; a.b is key b of key a. VALUE is
// compared with the value as JSON, without quotes.
func jsonCommand(ts *testscript.TestScript, neg bool, args []string) {
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var v any
	if err := decoder.Decode(&v); err != nil {
		ts.Fatalf("stdout is not JSON: %v", err)
	}
	if decoder.More() {
		ts.Fatalf("stdout is more than one JSON value")
	}
	for _, a := range args {
		path, want, compare := strings.Cut(a, "=")
		got, ok := lookup(v, strings.Split(path, "."))
		if ok == neg {
			ts.Fatalf("key %s: found %v", path, ok)
		}
		if text, _ := json.Marshal(got); ok && compare && strings.Trim(string(text), `"`) != want {
			ts.Fatalf("key %s is %s, want %s", path, text, want)
		}
	}
}

func lookup(v any, path []string) (any, bool) {
	for _, key := range path {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// fileserver DIR serves a folder over HTTP and sets $URL.
func fileserverCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fileserver DIR")
	}
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(server.Close)
	ts.Setenv("URL", server.URL)
}

// lines FILE N checks how many lines a file, stdout or stderr has.
func linesCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: lines FILE N")
	}
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, "\n"); (strconv.Itoa(n) == args[1]) == neg {
		ts.Fatalf("%s has %d lines", args[0], n)
	}
}

// exits N PROGRAM [ARG]… runs a program and checks the status that it ends with.
func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N PROGRAM [ARG]…")
	}
	status := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		status = ended.ExitCode()
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%v ends with status %d", args[1:], status)
	}
}

// hex FILE DIGITS writes a file of these bytes.
func hexCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hex FILE DIGITS")
	}
	data, err := hex.DecodeString(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}
