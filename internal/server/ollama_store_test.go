package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// withStore is a fixture that can name the models of a folder, in which one was put.
func withStore(t *testing.T) *fixture {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "mine.gguf"), []byte("GGUF"), 0o644); err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("5a", 32)
	if err := os.WriteFile(filepath.Join(root, "mine.gguf.sha256"), []byte(digest+"  mine.gguf\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	store := hub.Open(hub.Config{Root: root})
	return newFixture(t, "x\x00", withKeys(key("admin", "admin", "infer"), key("client", "infer")), func(c *Config, _ *engineConfig) {
		c.Store = store
		c.Residency = serving.Residency{OnDemand: true, List: func() (all []serving.Source) {
			stored, err := store.List()
			if err != nil {
				t.Error(err)
			}
			for _, m := range stored {
				all = append(all, serving.Source{ID: m.Name, Path: m.Path, Digest: m.SHA256, Size: m.Size, Modified: m.Modified})
			}
			return all
		}}
	})
}

// Clients of Ollama give models further names, ask for digests and remove models, but
// none outside of the store, and by no path.
func TestOllamaStore(t *testing.T) {
	f := withStore(t)
	digest := strings.Repeat("5a", 32)
	for _, c := range []struct {
		key, method, path, body string
		status                  int
		text                    string
	}{
		{"client", "POST", "/api/copy", `{"source":"mine","destination":"yours"}`, 403, "lacks the scope admin"},
		{"admin", "POST", "/api/copy", `{"source":"mine:latest","destination":"yours:latest"}`, 200, ""},
		{"admin", "POST", "/api/copy", `{"source":"mine","destination":"yours"}`, 409, "there is a model \\\"yours\\\" already"},
		{"admin", "POST", "/api/copy", `{"source":"mine","destination":"../yours"}`, 400, "no name for a copy"},
		{"admin", "POST", "/api/copy", `{"source":"mine","destination":"smollm2"}`, 400, "no name for a copy"},
		{"admin", "POST", "/api/copy", `{"source":"nothing","destination":"b"}`, 404, "does not exist"},
		{"admin", "POST", "/api/copy", `{"source":"tiny","destination":"b"}`, 400, "was not downloaded by this server"},
		{"admin", "POST", "/api/copy", `{"destination":"b"}`, 400, "source is required"},
		{"admin", "POST", "/api/copy", `{"source":"mine"}`, 400, "destination is required"},
		{"client", "GET", "/api/tags", "", 200, `"name":"yours"`},
		{"client", "HEAD", "/api/blobs/sha256:" + digest, "", 200, ""},
		{"client", "HEAD", "/api/blobs/sha256-" + digest, "", 200, ""},
		{"client", "HEAD", "/api/blobs/sha256:" + strings.Repeat("0", 64), "", 404, ""},
		{"client", "GET", "/api/blobs/..%2Fmine.gguf", "", 400, "the digest must be"},
		{"client", "DELETE", "/api/delete", `{"model":"yours"}`, 403, "lacks the scope admin"},
		{"admin", "DELETE", "/api/delete", `{"model":"yours"}`, 200, ""},
		{"admin", "DELETE", "/api/delete", `{"model":"yours"}`, 404, "not found"},
		{"admin", "DELETE", "/api/delete", `{"model":"tiny"}`, 409, "is being served"},
		{"admin", "DELETE", "/api/delete", `{"model":"/etc/passwd"}`, 400, "is no name of the catalogue"},
		{"admin", "DELETE", "/api/delete", `{"model":"..\\mine"}`, 400, "is no name of the catalogue"},
		{"admin", "POST", "/api/pull", `{"model":"https://example.org/a.gguf"}`, 400, "is no name of the catalogue"},
		{"admin", "POST", "/api/pull", `{"model":"mine"}`, 400, "is no name of the catalogue"},
		{"admin", "POST", "/api/pull", `{"model":"oci://example.org/a/b"}`, 400, "is no name of the catalogue"},
		{"admin", "POST", "/api/pull", `{"model":"registry.ollama.ai:99/a"}`, 400, "is no name of the catalogue"},
		{"admin", "POST", "/api/pull", `{"model":"registry.ollama.ai/../a"}`, 400, "is no name of the catalogue"},
		{"admin", "DELETE", "/api/delete", `{"model":"registry.ollama.ai/nothing:1b"}`, 404, "not found"},
	} {
		a := f.do(t, c.method, c.path, c.body, "X-Api-Key", c.key)
		if a.status != c.status || !strings.Contains(a.body, c.text) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
	left := f.do(t, "GET", "/api/tags", "", "X-Api-Key", "client")
	if !strings.Contains(left.body, `"name":"mine"`) || strings.Contains(left.body, "yours") {
		t.Errorf("in the end there are %s", left.body)
	}
}

// That a copy cannot be written is the server's trouble: the client asked for nothing
// wrong, and the model is there.
func TestOllamaCopyFails(t *testing.T) {
	f := withStore(t)
	list := f.app.Models.List()
	if err := os.WriteFile(filepath.Join(filepath.Dir(list[0].Path), "copies"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a := f.do(t, "POST", "/api/copy", `{"source":"mine","destination":"yours"}`, "X-Api-Key", "admin")
	if a.status != 500 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
