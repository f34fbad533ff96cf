package hub

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const someSHA = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

func TestParse(t *testing.T) {
	s := newStore(t, Config{})
	for name, want := range map[string]reference{
		"tiny":                         {kind: catalogue, file: "tiny.gguf"},
		"Tiny":                         {kind: catalogue, file: "tiny.gguf"},
		"tiny:latest":                  {kind: catalogue, file: "tiny.gguf"},
		"TINY:latest":                  {kind: catalogue, file: "tiny.gguf"},
		"model.gguf":                   {file: "model.gguf"},
		"../up/Model.GGUF":             {file: "../up/Model.GGUF"},
		"/models/blob":                 {file: "/models/blob"},
		"hf.co/org/repo":               {kind: huggingFace, repo: "org/repo"},
		"hf.co/org/repo:Q8_0":          {kind: huggingFace, repo: "org/repo", file: "Q8_0"},
		"huggingface.co/org/repo:a/b":  {kind: huggingFace, repo: "org/repo", file: "a/b"},
		"https://huggingface.co/o/r":   {kind: huggingFace, repo: "o/r"},
		"https://hf.co/o/r/":           {kind: huggingFace, repo: "o/r"},
		"https://h.example/d/m.gguf":   {kind: plainHTTPS, file: "h.example/d/m.gguf", url: "https://h.example/d/m.gguf"},
		"http://h:8080/m.gguf?x=1#top": {kind: plainHTTP, file: "h:8080/m.gguf", url: "http://h:8080/m.gguf?x=1"},
		"https://h/m.gguf#sha256=" + strings.ToUpper(someSHA): {kind: plainHTTPS, file: "h/m.gguf", url: "https://h/m.gguf", sha256: someSHA},
		"https://huggingface.co/o/r/resolve/main/m.gguf":      {kind: plainHTTPS, file: "huggingface.co/o/r/resolve/main/m.gguf", url: "https://huggingface.co/o/r/resolve/main/m.gguf"},
		"https://huggingface.co/o/r/blob/main/d/m.gguf":       {kind: plainHTTPS, file: "huggingface.co/o/r/resolve/main/d/m.gguf", url: "https://huggingface.co/o/r/resolve/main/d/m.gguf"},
		"https://hf.co/o/r/blob/v%2F1/m.gguf#sha256=" + someSHA: {
			kind: plainHTTPS, file: "hf.co/o/r/resolve/v/1/m.gguf", url: "https://hf.co/o/r/resolve/v%2F1/m.gguf", sha256: someSHA},
	} {
		got, err := s.parse(name)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	s := newStore(t, Config{})
	for name, want := range map[string]string{
		"":                             `give the path of a .gguf file, hf.co/ORG/REPO[:FILE], registry.ollama.ai/NAME[:TAG], a URL, or one of tiny`,
		"llama9":                       `unknown model "llama9"`,
		"llama9:latest":                `unknown model "llama9:latest"`,
		"llama3.2:1b":                  `Ollama's model of this name would be registry.ollama.ai/llama3.2:1b`,
		"a name":                       "or one of tiny", // no hint: Ollama has no such names
		"hf.co/":                       "a repository is hf.co/ORG/REPO",
		"hf.co/org":                    "a repository is hf.co/ORG/REPO",
		"hf.co/org/":                   "a repository is hf.co/ORG/REPO",
		"hf.co/org/repo/file.gguf":     "a file in it hf.co/ORG/REPO:FILE",
		"hf.co/../repo":                "a repository is hf.co/ORG/REPO",
		"hf.co/org/repo:../../x.gguf":  "a repository is hf.co/ORG/REPO",
		"hf.co/org/repo:/etc/x.gguf":   "a repository is hf.co/ORG/REPO",
		"hf.co/org/repo?x=y":           "a repository is hf.co/ORG/REPO",
		"hf.co/org/repo#x":             "a repository is hf.co/ORG/REPO",
		"hf.co/org/%2e%2e":             "a repository is hf.co/ORG/REPO",
		"hf.co/or g/repo":              "a repository is hf.co/ORG/REPO",
		`hf.co/org/repo:..\x.gguf`:     "a repository is hf.co/ORG/REPO",
		"https://":                     "not a valid URL",
		"https:///m.gguf":              "not a valid URL",
		"https://h/.work/m.gguf":       "not a valid URL",
		"https://h/%zz.gguf":           "invalid URL escape",
		"https://h/../other/m.gguf":    "not a valid URL",
		"https://h/%2e%2e/o/m.gguf":    "not a valid URL",
		"https://h/model.bin":          "the URL of a model ends with .gguf",
		"https://h/m.gguf#sha256=abcd": "a SHA-256 has 64 hexadecimal digits",
	} {
		if got, err := s.parse(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v\nwant %q", name, got, err, want)
		}
	}
	if _, err := s.parse("llama9"); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v is not ErrUnknown", err)
	}
}

func TestAnyExistingFileIsAModelPath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile(filepath.Join(dir, "sha256-abc"), model(t, 0, 8), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := newStore(t, Config{}).Resolve("sha256-abc"); got != "sha256-abc" || !ok || err != nil {
		t.Errorf("got %q, %v, %v", got, ok, err)
	}
}

// What List calls a file is what finds it again.
func TestNamesOfStoredFiles(t *testing.T) {
	s := newStore(t, Config{})
	for stored, want := range map[string]string{
		"catalogue/tiny.gguf":      "tiny",
		"hf.co/org/repo/m.gguf":    "hf.co/org/repo:m.gguf",
		"hf.co/org/repo/d/m.gguf":  "hf.co/org/repo:d/m.gguf",
		"https/h.example/d/m.gguf": "https://h.example/d/m.gguf",
		"http/h:1/m.gguf":          "http://h:1/m.gguf",
	} {
		name, ok := s.nameOf(stored)
		if name != want || !ok {
			t.Errorf("%s is called %q, %v, want %q", stored, name, ok, want)
		}
		if ref, err := s.parse(name); err != nil || ref.stored() != stored {
			t.Errorf("%s is stored at %s, %v, want %s", name, ref.stored(), err, stored)
		}
	}
	for _, stored := range []string{"m.gguf", "catalogue/gone.gguf", "hf.co/org/m.gguf", "elsewhere/m.gguf"} {
		if name, ok := s.nameOf(stored); ok {
			t.Errorf("%s is called %q", stored, name)
		}
	}
}

// A short name that two files share is no name: both are listed by their long
// ones, and whoever types it is told them.
func TestShortNames(t *testing.T) {
	s := newStore(t, Config{})
	for _, stored := range []string{"hf.co/a/b/m.gguf", "hf.co/c/d/M.gguf", "https/h.example/only.gguf", "stray.gguf", "hf.co/a/b/tiny.gguf"} {
		write(t, s.at(stored), model(t, 1, 10))
	}
	entries, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
		if path, ok, err := s.Resolve(e.Name); path != e.Path || !ok || err != nil {
			t.Errorf("%s, as it is listed, resolves to %s, %v, %v", e.Name, path, ok, err)
		}
	}
	// tiny is another model: that of the catalogue.
	if want := []string{"hf.co/a/b:m.gguf", "hf.co/a/b:tiny.gguf", "hf.co/c/d:M.gguf", "only", "stray"}; !slices.Equal(names, want) {
		t.Errorf("listed %q, want %q", names, want)
	}
	_, _, err = s.Resolve("m")
	if want := `"m" may mean several models, give the whole name: hf.co/a/b:m.gguf, hf.co/c/d:M.gguf`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := s.Remove("only"); err != nil {
		t.Error(err)
	}
	if err := s.Remove("stray"); err != nil {
		t.Error(err)
	}
}

// Whoever names a file needs no store; whoever names a model is told what lacks.
func TestWithoutAStore(t *testing.T) {
	lacking := errors.New("no folder for models")
	s := newStore(t, Config{})
	s.Root, s.NoRoot = "", lacking
	file := filepath.Join(t.TempDir(), "m.gguf")
	write(t, file, model(t, 1, 10))
	mustPull(t, s, file, model(t, 1, 10))
	for _, name := range []string{"tiny", "hf.co/org/repo", "hf.co/org/repo:m.gguf", "https://h.example/m.gguf"} {
		if _, err := s.Pull(t.Context(), name, nil); !errors.Is(err, lacking) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Remove(name); !errors.Is(err, lacking) {
			t.Errorf("removing %s: %v", name, err)
		}
	}
	if _, err := s.List(); !errors.Is(err, lacking) {
		t.Errorf("listing: %v", err)
	}
}

func TestCatalogueIsSound(t *testing.T) {
	s := Open(Config{})
	for _, m := range Catalogue {
		ref, err := s.parse(m.Name)
		if err != nil || ref.kind != catalogue || !isGGUF(m.File) || !isLocal(m.File) {
			t.Errorf("%s: %+v, %v", m.Name, ref, err)
		}
		if len(m.SHA256) != 64 || m.Size == 0 || len(m.wheels) == 0 || m.Title == "" {
			t.Errorf("%s is incomplete: %+v", m.Name, m)
		}
		for _, alias := range m.Aliases {
			if aliased, err := s.parse(alias); err != nil || aliased != ref {
				t.Errorf("%s: its alias %s is %+v, %v", m.Name, alias, aliased, err)
			}
		}
		for _, w := range m.wheels {
			if !strings.Contains(w.requirement, "==") {
				t.Errorf("%s: %s is not pinned", m.Name, w.requirement)
			}
		}
	}
	if Catalogue[0].Name != Default {
		t.Errorf("the default, %s, is not the first", Default)
	}
}

// What a person types or has downloaded by hand finds the same settings.
func TestLookup(t *testing.T) {
	for name, want := range map[string]string{
		"qwen2.5-coder:0.5b": "qwen2.5-coder:0.5b",
		"qwen2.5-coder":      "qwen2.5-coder:0.5b",
		"gemma3":             "gemma3:270m",
		filepath.Join("some", "where", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"): "qwen2.5-coder:1.5b",
	} {
		if e, ok := Lookup(name); !ok || e.Name != want {
			t.Errorf("%s is %q, want %q", name, e.Name, want)
		}
	}
	for _, name := range []string{"", "llama9", "other.gguf", "qwen2.5-coder:7b"} {
		if e, ok := Lookup(name); ok {
			t.Errorf("%q is %s", name, e.Name)
		}
	}
	if e, _ := Lookup("qwen2.5-coder"); *e.Sampling.Temperature != 0.7 || *e.Sampling.TopK != 20 || *e.Sampling.TopP != 0.8 || *e.Sampling.RepeatPenalty != 1.1 || e.Sampling.MinP != nil {
		t.Errorf("its settings are %+v", e.Sampling)
	}
	if base, _ := Lookup("gemma3:270m"); !base.Base {
		t.Error("gemma3:270m is not marked as a base model")
	}
}

func TestChoose(t *testing.T) {
	several := []string{"m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-q8_0.gguf", "mmproj-m-f16.gguf", "sub/m-IQ4_XS.gguf"}
	split := []string{"m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"}
	for _, c := range []struct {
		files []string
		want  string
		file  string // or
		err   string
	}{
		{several, "", "m-Q4_K_M.gguf", ""},
		{several, "Q8_0", "m-q8_0.gguf", ""},
		{several, "q2_k", "m-Q2_K.gguf", ""},
		{several, "m-Q2_K.gguf", "m-Q2_K.gguf", ""},
		{several, "sub/m-IQ4_XS.gguf", "sub/m-IQ4_XS.gguf", ""},
		{several, "m-iq4_xs.gguf", "sub/m-IQ4_XS.gguf", ""},
		{several, "latest", "m-Q4_K_M.gguf", ""},
		{append([]string{"m-latest.gguf"}, several...), "latest", "m-latest.gguf", ""},
		{several, "4_XS", "", `it has no file "4_XS": name one as hf.co/ORG/REPO:FILE: m-Q2_K.gguf, m-Q4_K_M.gguf, m-q8_0.gguf, sub/m-IQ4_XS.gguf`},
		{[]string{"only.gguf"}, "", "only.gguf", ""},
		{[]string{"a.gguf", "b.gguf"}, "", "", "which of its files? name one"},
		{[]string{"a-Q8_0.gguf", "b-Q8_0.gguf"}, "Q8_0", "", "which of its files? name one"},
		{[]string{"a-q8_0.gguf", "a-q4_0.gguf"}, "", "a-q4_0.gguf", ""},
		{[]string{"mmproj.gguf"}, "", "", "has no .gguf file"},
		{nil, "Q8_0", "", "has no .gguf file"},
		{split, "", "m-Q8_0-00001-of-00002.gguf", ""},
		{split, "Q8_0", "m-Q8_0-00001-of-00002.gguf", ""},
		{split, "m-Q8_0-00002-of-00002.gguf", "m-Q8_0-00001-of-00002.gguf", ""},
		{split[1:], "", "", "has no .gguf file"},
	} {
		got, err := choose(c.files, c.want)
		if got != c.file || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q of %v: got %q, %v, want %q %q", c.want, c.files, got, err, c.file, c.err)
		}
	}
}
