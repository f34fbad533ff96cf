package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	godigest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// stub is a registry with one repository, org/m, whose blobs can be made to misbehave.
type stub struct {
	*httptest.Server
	t        *testing.T
	manifest v1.Manifest
	blobs    map[string][]byte // by digest
	before   func(w http.ResponseWriter, r *http.Request, n int) (done bool)
	private  bool   // it wants a token
	login    string // that the token's server wants; empty: it gives tokens to anybody

	mu       sync.Mutex
	requests []string // METHOD PATH RANGE
	tokens   int
}

func newStub(t *testing.T) *stub {
	s := &stub{t: t, blobs: map[string][]byte{}}
	s.manifest.SchemaVersion = 2
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// add adds a layer.
func (s *stub) add(mediaType, title string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := v1.Descriptor{MediaType: mediaType, Digest: godigest.FromBytes(data), Size: int64(len(data))}
	if title != "" {
		d.Annotations = map[string]string{v1.AnnotationTitle: title}
	}
	s.manifest.Layers = append(s.manifest.Layers, d)
	s.blobs[d.Digest.String()] = data
}

// meet sets what is called before a request is answered.
func (s *stub) meet(before func(w http.ResponseWriter, r *http.Request, n int) (done bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// last is the last request.
func (s *stub) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

func (s *stub) host() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *stub) name() string { return "oci://" + s.host() + "/org/m:v1" }

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/token" {
		s.token(w, r)
		return
	}
	if s.private && r.Header.Get("Authorization") != "Bearer secret" {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="stub",scope="repository:org/m:pull"`, s.URL))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.requests = append(s.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	if s.before != nil && s.before(w, r, len(s.requests)) {
		return
	}
	_, rest, _ := strings.Cut(r.URL.Path, "/v2/")
	_, what, _ := strings.Cut(rest, "m/")
	switch kind, ref, _ := strings.Cut(what, "/"); {
	case kind == "manifests" && (ref == "v1" || ref == "latest" || strings.HasPrefix(ref, "sha256:")):
		json.NewEncoder(w).Encode(s.manifest)
	case kind == "blobs" && s.blobs[ref] != nil:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.blobs[ref]))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// token gives a token to whoever has the login.
func (s *stub) token(w http.ResponseWriter, r *http.Request) {
	s.tokens++
	user, password, _ := r.BasicAuth()
	if s.login != "" && user+":"+password != s.login {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if got := r.URL.Query().Get("scope"); got != "repository:org/m:pull" {
		s.t.Errorf("a token for %q is asked for", got)
	}
	fmt.Fprint(w, `{"token": "secret"}`)
}

func TestPullFromARegistry(t *testing.T) {
	data := model(t, 9, 3000)
	for _, c := range []struct{ media, title string }{{ollamaModel, ""}, {dockerModel, ""}, {"application/octet-stream", "m-q8.gguf"}} {
		r := newStub(t)
		r.add("application/vnd.oci.empty.v1+json", "", []byte("{}"))
		r.add(c.media, c.title, data)
		s := newStore(t, Config{})
		path := mustPull(t, s, r.name(), data)
		if got, ok, err := s.Resolve(r.name()); got != path || !ok || err != nil {
			t.Errorf("resolved to %s, %v, %v", got, ok, err)
		}
		entries, err := s.List()
		if err != nil || len(entries) != 1 || entries[0].Name != "m-v1" || entries[0].Source != r.name() || entries[0].SHA256 != sum(data) {
			t.Errorf("listed %+v, %v", entries, err)
		}
		before := len(r.requests)
		mustPull(t, s, r.name(), data)
		if len(r.requests) != before {
			t.Error("fetched what was there")
		}
		if err := s.Remove("m-v1"); err != nil {
			t.Error(err)
		}
		checkEmpty(t, s)
	}
}

// checkEmpty: a store without models has no files.
func checkEmpty(t *testing.T, s *Store) {
	t.Helper()
	s.walk(func(name string, _ os.DirEntry) { t.Errorf("%s is left", name) })
}

func TestManifestByDigest(t *testing.T) {
	r := newStub(t)
	data := model(t, 9, 300)
	r.add(ollamaModel, "", data)
	text, err := json.Marshal(r.manifest)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, Config{})
	name := "oci://" + r.host() + "/org/m@sha256:" + sum(append(text, '\n'))
	mustPull(t, s, name, data)
	if entries, _ := s.List(); len(entries) != 1 || entries[0].Source != name {
		t.Errorf("listed %+v", entries)
	}
	mustFail(t, newStore(t, Config{}), "oci://"+r.host()+"/org/m@sha256:"+someSHA, "wrong digest")
}

// TestOllamasRegistry: names without an organisation are in library/; the small layers
// become defaults, and what is not used is said.
func TestOllamasRegistry(t *testing.T) {
	data := model(t, 9, 3000)
	r := newStub(t)
	r.add(ollamaModel, "", data)
	r.add(ollamaTemplate, "", []byte("{{ .Prompt }}"))
	r.add("application/vnd.ollama.image.license", "", []byte("Apache"))
	r.add(ollamaSystem, "", []byte("You are terse."))
	r.add(ollamaParams, "", []byte(`{"temperature":0.3,"top_k":20,"top_p":0.8,"min_p":7,"stop":["<|im_end|>","USER:"],"num_ctx":4096,"mirostat":2,"repeat_penalty":1.1}`))
	server := httptest.NewTLSServer(r)
	t.Cleanup(server.Close)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "registry.ollama.ai:443" {
			t.Errorf("dialled %s", address)
		}
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	var notices []string
	s := newStore(t, Config{Notice: func(line string) { notices = append(notices, line) }, Client: &http.Client{
		Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}})
	path := mustPull(t, s, "registry.ollama.ai/m:v1", data)
	if r.requests[0] != "/v2/library/m/manifests/v1" {
		t.Errorf("asked for %s", r.requests[0])
	}
	got, err := DefaultsOf(path)
	want := Defaults{Temperature: new(0.3), TopK: new(20), TopP: new(0.8), RepeatPenalty: new(1.1), Stop: []string{"<|im_end|>", "USER:"}, Context: 4096, System: "You are terse."}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	all := strings.Join(notices, "\n")
	for _, w := range []string{"its template is in Ollama's language and not used", "parameters of it that are not used: min_p, mirostat"} {
		if !strings.Contains(all, w) {
			t.Errorf("%q is not said in %q", w, all)
		}
	}
	if entries, _ := s.List(); len(entries) != 1 || entries[0].Source != "registry.ollama.ai/m:v1" {
		t.Errorf("listed %+v", entries)
	}
	if err := s.Import(t.Context(), "registry.ollama.ai/m:v1", "mine", func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	mine, ok, err := s.Resolve("mine")
	if again, _ := DefaultsOf(mine); !ok || err != nil || again.System != want.System {
		t.Errorf("the copy %q has the defaults %+v, %v", mine, again, err)
	}
	if err := errors.Join(s.Remove("registry.ollama.ai/m:v1"), s.Remove("mine")); err != nil {
		t.Error(err)
	}
	checkEmpty(t, s)
}

func TestRegistriesThatRefuse(t *testing.T) {
	data := model(t, 9, 300)
	fail := func(change func(r *stub), want ...string) {
		t.Helper()
		r := newStub(t)
		r.add(ollamaModel, "", data)
		change(r)
		s := newStore(t, Config{})
		mustFail(t, s, r.name(), want...)
		checkEmpty(t, s)
	}
	fail(func(r *stub) { r.add(ollamaAdapter, "", data) }, "it has an adapter (LoRA), which cannot be served")
	fail(func(r *stub) { r.manifest.Layers = nil; r.add("image/png", "", data) }, "it has no GGUF file, but layers of the kinds image/png")
	fail(func(r *stub) { r.add(ollamaModel, "b.gguf", model(t, 8, 300)) }, "several GGUF files that are not the parts of one model")
	fail(func(r *stub) { r.manifest.Layers[0].Digest = "sha256:../../x" }, "which has no SHA-256")
	fail(func(r *stub) { // not even of the form of a digest
		r.add(ollamaSystem, "", []byte("You are terse."))
		r.manifest.Layers[1].Digest, r.blobs["x"] = "x", []byte("You are terse.")
	}, "which has no SHA-256")
	fail(func(r *stub) { r.manifest.Layers[0].Size = 7 }, "bytes, not 7")
	fail(func(r *stub) { clear(r.blobs) }, "404 Not Found: check the name")
	fail(func(r *stub) { r.add(ollamaParams, "", []byte("[")) }, "its parameters cannot be read")
	fail(func(r *stub) { r.blobs[r.manifest.Layers[0].Digest.String()] = model(t, 7, 300) }, "wrong digest: its SHA-256 is")
	fail(func(r *stub) { r.private, r.login = true, "a:b" }, "gives no token", "docker login 127.0.0.1:")
	fail(func(r *stub) {
		r.before = func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(403); return true }
	}, "403 Forbidden", "docker login")
	fail(func(r *stub) {
		r.before = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			return true
		}
	}, "429 Too Many Requests, and asks to be left alone for 1h0m0s: pull again then")
	s := newStore(t, Config{})
	for _, name := range []string{"oci://", "oci://h", "oci://h/../x:y", "oci://h/R:t", "registry.ollama.ai/", "oci://h/r:.x", "oci://.h/r:x"} {
		if ref, err := s.parse(name); err == nil || !strings.Contains(err.Error(), "oci://HOST/REPOSITORY[:TAG]") {
			t.Errorf("%s: %+v, %v", name, ref, err)
		}
	}
}

// TestTokens: a registry that wants a token gets one, with the login where there is one.
func TestTokens(t *testing.T) {
	data := model(t, 9, 300)
	r := newStub(t)
	r.add(ollamaModel, "", data)
	r.private = true
	mustPull(t, newStore(t, Config{}), r.name(), data)
	r.login = "someone:pass"
	logins := filepath.Join(t.TempDir(), "config.json")
	write(t, logins, fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, r.host(), base64.StdEncoding.EncodeToString([]byte(r.login))))
	s := newStore(t, Config{Logins: logins})
	mustPull(t, s, r.name(), data)
	if r.tokens < 2 {
		t.Errorf("%d tokens", r.tokens)
	}
	write(t, logins, []byte("{"))
	mustFail(t, newStore(t, Config{Logins: logins}), r.name(), "the logins for registries in ")
}

// TestRegistriesThatMisbehave: what goes wrong for a while does not matter in the end.
func TestRegistriesThatMisbehave(t *testing.T) {
	data := model(t, 9, 3000)
	elsewhere := newOrigin(t, data)
	for name, before := range map[string]func(w http.ResponseWriter, r *http.Request, n int) bool{
		"errors at first": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n%2 == 1 {
				w.WriteHeader(http.StatusBadGateway)
			}
			return n%2 == 1
		},
		"asks to wait": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n%2 == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return n%2 == 1
		},
		"cuts": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if strings.Contains(r.URL.Path, "/blobs/") && n < 6 {
				http.ServeContent(&limitedWriter{w, 700}, r, "", time.Time{}, bytes.NewReader(data))
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"redirects": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, strings.Replace(elsewhere.url(), "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newStub(t)
			r.private = true
			r.add(ollamaModel, "", data)
			r.before = before
			mustPull(t, newStore(t, Config{}), r.name(), data)
		})
	}
	for _, r := range elsewhere.requests {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token was sent to where the registry redirects to")
		}
	}
}

func TestSilentRegistry(t *testing.T) {
	r := newStub(t)
	data := model(t, 9, 3000)
	r.add(ollamaModel, "", data)
	r.before = func(w http.ResponseWriter, q *http.Request, n int) bool {
		if n == 2 { // the blob, for the first time
			w.Write(data[:1000])
			w.(http.Flusher).Flush()
			<-q.Context().Done()
			panic(http.ErrAbortHandler)
		}
		return false
	}
	s := newStore(t, Config{})
	s.retry.silence = 50 * time.Millisecond
	mustPull(t, s, r.name(), data)
	if got := r.requests[2]; !strings.HasSuffix(got, " bytes=1000-") {
		t.Errorf("then asked for %s", got)
	}
}

// TestRetryAfter: a server's wish is obeyed up to a limit.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[string]string{
		"0": "transient", "2": "transient", "": "transient", "soon": "transient", "301": "final", "-1": "transient",
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat):  "final",
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): "transient",
	} {
		resp := &http.Response{Header: http.Header{"Retry-After": {after}}}
		err := waitAsAsked(resp, errors.New("busy"))
		if isTransient(err) != (want == "transient") || !strings.HasPrefix(err.Error(), "busy") {
			t.Errorf("%q: %v", after, err)
		}
	}
	slow := retryPolicy{attempts: 3, pause: time.Hour}
	n := 0
	_, err := insist(t.Context(), slow, nil, func() (int, error) {
		n++
		return 0, waitAsAsked(&http.Response{Header: http.Header{"Retry-After": {"0"}}}, errors.New("busy"))
	})
	if n != 3 || err == nil || err.Error() != "busy" {
		t.Errorf("%d attempts, %v", n, err)
	}
}

// TestSplitModelOfARegistry: several files are the parts of one model.
func TestSplitModelOfARegistry(t *testing.T) {
	r := newStub(t)
	files := splitModel(t)
	for i := 3; i >= 1; i-- {
		name := fmt.Sprintf(splitName, i)
		r.add("application/octet-stream", path.Base(name), files[name])
	}
	s := newStore(t, Config{})
	path := mustPull(t, s, r.name(), files[fmt.Sprintf(splitName, 1)])
	if got, ok, err := s.Resolve(r.name()); got != path || !ok || err != nil {
		t.Errorf("resolved to %s, %v, %v", got, ok, err)
	}
	if err := s.Import(t.Context(), r.name(), "mine", func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(r.name()); err != nil {
		t.Error(err)
	}
	mine, ok, err := s.Resolve("mine")
	if !ok || err != nil || checkWhole(mine) != nil {
		t.Errorf("the copy is %s, %v, %v", mine, ok, err)
	}
}

// TestTwoNamesOfOneFile: content that the store has is not fetched again under another
// name, and lies on the disk once; the last name that goes takes it along.
func TestTwoNamesOfOneFile(t *testing.T) {
	data := model(t, 9, 3000)
	r, o := newStub(t), newOrigin(t, data)
	r.add(ollamaModel, "", data)
	s := newStore(t, Config{})
	a := mustPull(t, s, o.url(), data)
	b := mustPull(t, s, r.name(), data)
	if n := len(r.requests); n != 1 {
		t.Errorf("%d requests %q, not the manifest alone", n, r.requests)
	}
	blob := s.at(blobName(sum(data)))
	if !sameFile(a, b) || !sameFile(a, blob) {
		t.Error("there are copies on the disk")
	}
	if err := s.Remove(o.url()); err != nil {
		t.Error(err)
	}
	if !isRegular(blob) || !isRegular(b) {
		t.Error("the content went with its first name")
	}
	if left, err := s.Prune(false); len(left) != 0 || err != nil {
		t.Errorf("to be pruned: %+v, %v", left, err)
	}
	if err := s.Remove(r.name()); err != nil {
		t.Error(err)
	}
	checkEmpty(t, s)
}

// TestDamagedContentIsNotAdopted: what is on the disk is read before it gets a name.
func TestDamagedContentIsNotAdopted(t *testing.T) {
	data := model(t, 9, 3000)
	r := newStub(t)
	r.add(ollamaModel, "", data)
	s := newStore(t, Config{})
	write(t, s.at(blobName(sum(data))), model(t, 8, 3000))
	mustPull(t, s, r.name(), data)
}

// TestTwoProcessesTwoNames: two pulls of the same content at once fetch it once.
func TestTwoProcessesTwoNames(t *testing.T) {
	data := model(t, 9, 3000)
	r := newStub(t)
	r.add(ollamaModel, "", data)
	blobs := 0
	waiting := make(chan struct{})
	r.before = func(_ http.ResponseWriter, q *http.Request, _ int) bool {
		if strings.Contains(q.URL.Path, "/blobs/") {
			blobs++
			r.mu.Unlock()
			<-waiting
			r.mu.Lock()
		}
		return false
	}
	root := filepath.Join(t.TempDir(), "models")
	var wg sync.WaitGroup
	var once sync.Once
	for _, tag := range []string{"v1", "latest"} {
		wg.Go(func() {
			s := newStore(t, Config{Root: root})
			_, err := s.Pull(t.Context(), "oci://"+r.host()+"/org/m:"+tag, func(stage string, _, _ int64) {
				if stage == "waiting for another download" {
					once.Do(func() { close(waiting) })
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if blobs != 1 {
		t.Errorf("the content was fetched %d times", blobs)
	}
}

// TestKilledPull: a process that is killed in the middle of a pull leaves no lock, and
// the next goes on where it stopped.
func TestKilledPull(t *testing.T) {
	if name := os.Getenv("HUB_TEST_PULL"); name != "" { // the process that is killed
		newStore(t, Config{Root: os.Getenv("HUB_TEST_ROOT")}).Pull(t.Context(), name, nil)
		return
	}
	data := model(t, 9, 1<<20)
	r := newStub(t)
	r.add(ollamaModel, "", data)
	gone := make(chan struct{})
	r.meet(func(w http.ResponseWriter, q *http.Request, n int) bool { // the other process asks
		if n == 2 {
			w.Write(data[:1<<19])
			w.(http.Flusher).Flush()
			<-q.Context().Done()
			close(gone)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	s := newStore(t, Config{})
	child := exec.Command(os.Args[0], "-test.run=^TestKilledPull$")
	child.Env = append(os.Environ(), "HUB_TEST_PULL="+r.name(), "HUB_TEST_ROOT="+s.Root)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	part := s.at("oci/"+r.host()+"/org/m/v1/m-v1.gguf") + partSuffix
	for sizeOf(part) < 1<<19 {
		if t.Context().Err() != nil {
			t.Fatal("nothing has arrived")
		}
		time.Sleep(time.Millisecond)
	}
	if err := child.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	child.Wait()
	<-gone
	mustPull(t, s, r.name(), data)
	if got := r.last(); !strings.HasSuffix(got, fmt.Sprintf(" bytes=%d-", 1<<19)) {
		t.Errorf("then asked for %s", got)
	}
}

func TestNoRoomOnTheDisk(t *testing.T) {
	data := model(t, 9, 3000)
	r, o := newStub(t), newOrigin(t, data)
	r.add(ollamaModel, "", data)
	s := newStore(t, Config{})
	s.free = func() (uint64, bool) { return spare + 2999, true }
	mustFail(t, s, r.name(), "has 67 MB: remove models (penstock rm), remove what is left over (penstock prune)")
	if len(r.requests) != 1 {
		t.Errorf("asked for %q", r.requests)
	}
	mustFail(t, s, o.url(), "the disk of "+s.Root) // its size shows when it answers
	checkEmpty(t, s)
	s.free = func() (uint64, bool) { return spare + 4000, true }
	mustPull(t, s, r.name(), data)
	s.free = nil
	if free, ok := s.freeSpace(); !ok || free == 0 {
		t.Errorf("the disk has %d bytes, %v", free, ok)
	}
}

func TestPrune(t *testing.T) {
	s := newStore(t, Config{})
	data := model(t, 9, 3000)
	o := newOrigin(t, data)
	path := mustPull(t, s, o.url(), data)
	old := func(name string, data []byte) string {
		write(t, s.at(name), data)
		long := time.Now().Add(-25 * time.Hour)
		if err := os.Chtimes(s.at(name), long, long); err != nil {
			t.Fatal(err)
		}
		return s.at(name)
	}
	gone := []string{
		old(blobName(someSHA), data),
		old("http/h/a.gguf"+partSuffix, data[:500]),
		old("http/h/a.gguf"+partSuffix+etagSuffix, []byte("x")),
		old("http/h/gone.gguf"+digestSuffix, []byte("x")),
	}
	old("notes.txt", []byte("somebody's own"))
	write(t, s.at("http/h/new.gguf")+partSuffix, data[:500]) // of this day
	locked := old("http/h/locked.gguf"+partSuffix, data[:500])
	unlock, err := s.lock(t.Context(), "http/h/locked.gguf", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	left, err := s.Prune(false)
	if err != nil || len(left) != len(gone)+1 {
		t.Errorf("%+v, %v", left, err)
	}
	removed, err := s.Prune(true)
	var bytes int64
	for _, l := range removed {
		bytes += l.Size
	}
	if err != nil || len(removed) != len(gone) || bytes != int64(len(data))+502 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	for _, f := range gone {
		if _, err := os.Stat(f); err == nil {
			t.Errorf("%s is left", f)
		}
	}
	for _, f := range []string{path, path + digestSuffix, s.at("notes.txt"), s.at("http/h/new.gguf") + partSuffix, locked} {
		if _, err := os.Stat(f); err != nil {
			t.Errorf("%s is gone", f)
		}
	}
}

func TestImport(t *testing.T) {
	s := newStore(t, Config{})
	data := model(t, 9, 3000)
	o := newOrigin(t, data)
	path := mustPull(t, s, o.url(), data)
	if err := s.Import(t.Context(), o.url(), "mine", func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	mine, ok, err := s.Resolve("mine")
	if !ok || err != nil || !sameFile(mine, path) {
		t.Errorf("the copy is %s, %v, %v", mine, ok, err)
	}
	outside := filepath.Join(t.TempDir(), "x.gguf")
	write(t, outside, model(t, 8, 100))
	if err := s.Import(t.Context(), outside, "imported", func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	imported, ok, err := s.Resolve("imported")
	if !ok || err != nil || sameFile(imported, outside) || readDigest(imported) != sum(model(t, 8, 100)) {
		t.Errorf("the import is %s, %v, %v", imported, ok, err)
	}
	names := map[string]string{}
	entries, _ := s.List()
	for _, e := range entries {
		names[e.Name] = e.Source
	}
	if diff := cmp.Diff(map[string]string{"m": o.url(), "mine": "mine", "imported": "imported"}, names); diff != "" {
		t.Error(diff)
	}
	for to, want := range map[string]string{"mine": "there is a model", "tiny": "no name for a copy", "a/b": "no name for a copy", "x.gguf": "no name for a copy", "": "no name for a copy"} {
		if err := s.Import(t.Context(), o.url(), to, func(string, int64, int64) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if err := s.Import(t.Context(), "tiny", "z", nil); !errors.Is(err, ErrNotFetched) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"mine", "imported", o.url()} {
		if err := s.Remove(name); err != nil {
			t.Error(err)
		}
	}
	checkEmpty(t, s)
}
