package hub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRevisions: @REVISION names a branch, a tag or a commit, of which the store keeps
// each by itself.
func TestRevisions(t *testing.T) {
	files := map[string][]byte{"main": model(t, 1, 500), "v2": model(t, 2, 500), "refs/pr/1": model(t, 3, 500)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for rev, data := range files {
			escaped := strings.ReplaceAll(rev, "/", "%2F")
			switch r.URL.EscapedPath() {
			case "/api/models/org/repo/tree/" + escaped:
				f := repoFile{Type: "file", Path: "m.gguf", Size: int64(len(data))}
				f.LFS.OID = sum(data)
				json.NewEncoder(w).Encode([]repoFile{f})
				return
			case "/org/repo/resolve/" + escaped + "/m.gguf":
				w.Write(data)
				return
			}
		}
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	s := newStore(t, Config{Endpoint: server.URL})
	for name, data := range map[string][]byte{
		"hf.co/org/repo": files["main"], "hf.co/org/repo@v2": files["v2"], "hf.co/org/repo:m.gguf@refs/pr/1": files["refs/pr/1"], "hf.co/org/repo:m@main": files["main"],
	} {
		path := mustPull(t, s, name, data)
		if got, ok, err := s.Resolve(name); got != path || !ok || err != nil {
			t.Errorf("%s resolves to %s, %v, %v", name, got, ok, err)
		}
	}
	var names []string
	entries, _ := s.List()
	for _, e := range entries {
		names = append(names, e.Name)
		if err := s.Remove(e.Name); err != nil {
			t.Error(err)
		}
	}
	if want := "[hf.co/org/repo:m.gguf hf.co/org/repo:m.gguf@refs/pr/1 hf.co/org/repo:m.gguf@v2]"; fmt.Sprint(names) != want {
		t.Errorf("listed %v", names)
	}
	checkEmpty(t, s)
	mustFail(t, s, "hf.co/org/repo@v9", "404 Not Found: the repository has no such revision: check what stands behind the @")
	mustFail(t, s, "hf.co/org/repo@../x", "a repository is hf.co/ORG/REPO")
	mustFail(t, s, "hf.co/org/repo@", "a repository is hf.co/ORG/REPO")
}

// TestPagesOfAList: a repository with many files is listed page by page.
func TestPagesOfAList(t *testing.T) {
	data := model(t, 1, 500)
	next := `</api/models/org/repo/tree/main?cursor=2>; rel="next"`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := repoFile{Type: "file", Path: "README.md", Size: 5}
		switch {
		case strings.Contains(r.URL.Path, "/resolve/"):
			w.Write(data)
			return
		case r.URL.Query().Get("cursor") == "":
			w.Header().Set("Link", next)
		default:
			f = repoFile{Type: "file", Path: "m.gguf", Size: int64(len(data))}
			f.LFS.OID = sum(data)
		}
		json.NewEncoder(w).Encode([]repoFile{f})
	}))
	t.Cleanup(server.Close)
	mustPull(t, newStore(t, Config{Endpoint: server.URL}), "hf.co/org/repo", data)
	next = `<http://elsewhere.example/tree>; rel="next"`
	mustFail(t, newStore(t, Config{Endpoint: server.URL}), "hf.co/org/repo", "continues its list of files at", "which is not followed")
	next = `<?recursive=true>; rel="next"`
	mustFail(t, newStore(t, Config{Endpoint: server.URL}), "hf.co/org/repo", "lists more files than a repository of models has")
}

// TestGatedRepositories: why a repository cannot be read, and what to do, is said as far
// as the answer tells.
func TestGatedRepositories(t *testing.T) {
	for _, c := range []struct {
		code        int
		name, token string
		want        string
	}{
		{401, "GatedRepo", "", "it is gated: sign in at Hugging Face, accept its licence on its page, make a token (settings, access tokens, read) and set HF_TOKEN to it"},
		{403, "GatedRepo", "t", "it is gated, and the account of HF_TOKEN has not been let in"},
		{401, "RepoNotFound", "", "check the name; if it is private, set HF_TOKEN"},
		{401, "", "t", "HF_TOKEN is not valid: it may have been revoked or have expired"},
		{403, "", "", "accept its licence on its page and set HF_TOKEN"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Error-Code", c.name)
			w.WriteHeader(c.code)
		}))
		mustFail(t, newStore(t, Config{Endpoint: server.URL, Token: c.token}), "hf.co/org/repo", fmt.Sprint(c.code), c.want)
		server.Close()
	}
}
