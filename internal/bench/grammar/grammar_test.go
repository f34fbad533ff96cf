package grammar

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/penstock-llm/penstock/internal/tinymodel"
)

const (
	goodFile = `{"schema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]},"tests":[{"valid":true,"data":{"n":12,"x":[1.0,"é"]}},{"valid":false,"data":{"n":"a"}}]}`
	badFile  = `{"schema":{"type":"array"},"tests":[{"valid":true,"data":{}},{"valid":false,"data":[1]}]}`
	openFile = `{"schema":{"type":"array","uniqueItems":true},"tests":[]}`
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, name := range []string{"x/B---2.json", "x/README"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(goodFile)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(goodFile)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := xz.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	save("A---1.json", []byte(goodFile))
	save("set.tar", plain.Bytes())
	save("set.tar.xz", packed.Bytes())
	save("broken.tar.xz", []byte("no xz"))
	for _, c := range []struct {
		path  string
		names string
	}{{".", "A---1.json"}, {"set.tar", "B---2.json"}, {"set.tar.xz", "B---2.json"}, {"A---1.json", "A---1.json"}, {"broken.tar.xz", ""}, {"none", ""}} {
		files, err := read([]string{filepath.Join(dir, c.path)})
		var names []string
		for _, f := range files {
			names = append(names, f.name)
			if string(f.text) != goodFile {
				t.Errorf("%s: %s holds %q", c.path, f.name, f.text)
			}
		}
		if strings.Join(names, " ") != c.names || (err != nil) != (c.names == "") {
			t.Errorf("%s: %v, %v", c.path, names, err)
		}
	}
}

func TestWritten(t *testing.T) {
	got, err := written([]byte(`{"b":[1.0,1e5,{}],"a":"é<\n\"","c":[],"d":null,"e":true}`))
	if want := `{"b": [1.0, 1e5, {}], "a": "é<\n\"", "c": [], "d": null, "e": true}`; err != nil || string(got) != want {
		t.Errorf("written as %s, %v, want %s", got, err, want)
	}
}

func TestSet(t *testing.T) {
	for name, want := range map[string]string{"Github_easy---o1.json": "Github_easy", "BFCL_java_0.json": "BFCL", "Kubernetes---kb_1.json": "Kubernetes"} {
		if got := (file{name: name}).set(); got != want {
			t.Errorf("%s belongs to %s, want %s", name, got, want)
		}
	}
}

// TestRun measures a file that is served right, one whose instances are labelled wrong, and one that is refused.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"A---good.json": goodFile, "A---bad.json": badFile, "B---open.json": openFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	model := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinymodel.Write(model, tinymodel.Options{}); err != nil {
		t.Fatal(err)
	}
	g := &Grammar{Files: []string{dir}, Model: model, Threads: 2, Every: 1, JSON: true}
	var out bytes.Buffer
	if err := g.Run(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	got := map[string]Outcome{}
	dec := json.NewDecoder(&out)
	for dec.More() {
		var o Outcome
		if err := dec.Decode(&o); err != nil {
			t.Fatal(err)
		}
		got[o.File] = o
	}
	if o := got["A---good.json"]; !o.Right || !o.Compiled || o.Tests != 2 || o.FirstMask <= 0 || o.MaskMean <= 0 || o.Bytes <= 0 {
		t.Errorf("a file that is served right: %+v", o)
	}
	if o := got["A---bad.json"]; o.Right || o.ValidRejected != 1 || o.InvalidAccepted != 1 || !strings.HasPrefix(o.Problem, "instance 0") {
		t.Errorf("a file with wrong labels: %+v", o)
	}
	if o := got["B---open.json"]; o.Compiled || o.Right || o.Keyword != "uniqueItems" {
		t.Errorf("a schema that is refused: %+v", o)
	}
	g.JSON, g.CPUTime = false, runtime.GOOS == "linux"
	out.Reset()
	if err := g.Run(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"\nA  ", "\nB  ", "\nall", "uniqueItems"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, out.String())
		}
	}
}

// TestExport: each instance's tokens are its text, and the control tokens have none.
func TestExport(t *testing.T) {
	dir := t.TempDir()
	model, walk := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, "walk.jsonl")
	if err := tinymodel.Write(model, tinymodel.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "A---good.json"), []byte(goodFile), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &Grammar{Files: []string{dir}, Model: model, Threads: 1, Every: 1, Export: walk}
	if err := g.Run(context.Background(), io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(walk)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	var head exported
	var line exportedFile
	if err := errors.Join(dec.Decode(&head), dec.Decode(&line)); err != nil {
		t.Fatal(err)
	}
	var written []byte
	for _, id := range line.Tests[0].Tokens {
		written = append(written, head.Pieces[id]...)
	}
	if string(written) != `{"n": 12, "x": [1.0, "é"]}` || !line.Tests[0].Valid || line.Tests[1].Valid || line.Set != "A" {
		t.Errorf("%s, %+v", written, line)
	}
	if len(head.Ends) == 0 || len(head.Special) == 0 || len(head.Pieces[head.Special[0]]) != 0 {
		t.Errorf("ends %v, control tokens %v", head.Ends, head.Special)
	}
}
