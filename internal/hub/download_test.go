package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin serves one file at /m.gguf with ranges and an ETag, unless a test has
// it behave otherwise. It records the requests.
type origin struct {
	*httptest.Server
	data     []byte
	etag     string
	answer   func(w http.ResponseWriter, r *http.Request, n int) (done bool) // n: from 1
	mu       sync.Mutex
	requests []*http.Request
}

func newOrigin(t *testing.T, data []byte) *origin {
	o := &origin{data: data, etag: `"v1"`}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.requests = append(o.requests, r)
		n, answer := len(o.requests), o.answer
		o.mu.Unlock()
		if answer != nil && answer(w, r, n) {
			return
		}
		o.serve(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *origin) serve(w http.ResponseWriter, r *http.Request) {
	if o.etag != "" {
		w.Header().Set("ETag", o.etag)
	}
	http.ServeContent(w, r, "m.gguf", time.Time{}, bytes.NewReader(o.data))
}

// recover makes the origin serve its file again, and forget past requests.
func (o *origin) recover() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer, o.requests = nil, nil
}

func (o *origin) url() string { return o.URL + "/m.gguf" }

// part puts what an interrupted pull has left into the store.
func (o *origin) part(t *testing.T, s *Store, data []byte, etag string) {
	t.Helper()
	path := s.at("http/"+strings.TrimPrefix(o.url(), "http://")) + partSuffix
	write(t, path, data)
	if etag != "" {
		write(t, path+etagSuffix, []byte(etag))
	}
}

// ranges is the Range header of each request.
func (o *origin) ranges() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ranges []string
	for _, r := range o.requests {
		ranges = append(ranges, r.Header.Get("Range"))
	}
	return ranges
}

func checkRanges(t *testing.T, o *origin, want ...string) {
	t.Helper()
	if got := o.ranges(); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("ranges asked for: %q, want %q", got, want)
	}
}

func TestDownload(t *testing.T) {
	data := model(t, 3, 1<<20)
	o, s := newOrigin(t, data), newStore(t, Config{})
	var last int64
	path, err := s.Pull(t.Context(), o.url(), func(stage string, done, total int64) {
		if stage == "downloading" {
			if done <= last || total != int64(len(data)) {
				t.Errorf("%d of %d after %d", done, total, last)
			}
			last = done
		}
	})
	if err != nil || last != int64(len(data)) {
		t.Fatalf("%d bytes, %v", last, err)
	}
	checkRanges(t, o, "")
	if got := readDigest(path); got != sum(data) {
		t.Errorf("digest %q", got)
	}
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "")
}

func TestPartIsResumed(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.part(t, s, data[:2000], `"v1"`)
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "bytes=2000-")
}

func TestPartOfAnOlderFileIsReplaced(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.part(t, s, model(t, 4, 5000)[:2000], `"v0"`)
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "bytes=2000-") // with If-Range: answered by the whole
}

func TestPartOfWhoKnowsWhatIsReplaced(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.part(t, s, data[:2000], "")
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "")
}

func TestRangeIsIgnored(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.answer = func(w http.ResponseWriter, r *http.Request, _ int) bool { w.Write(data); return true }
	o.part(t, s, bytes.Repeat([]byte{9}, 6000), `"v1"`)
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "bytes=6000-")
}

func TestPartIsLongerThanTheFile(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.part(t, s, make([]byte, 9000), `"v1"`)
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "bytes=9000-", "") // 416, then anew
}

func TestAnswerStartsElsewhere(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n == 1 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 100-199/%d", len(data)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[100:200])
		}
		return n == 1
	}
	o.part(t, s, data[:2000], `"v1"`)
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "bytes=2000-", "")
}

// breakAfter sends n bytes of what was asked for, then drops the connection.
func (o *origin) breakAfter(n int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		o.serve(&limitedWriter{w, n}, r)
		panic(http.ErrAbortHandler)
	}
}

type limitedWriter struct {
	http.ResponseWriter
	left int
}

func (l *limitedWriter) Write(b []byte) (int, error) {
	n, err := l.ResponseWriter.Write(b[:min(len(b), l.left)])
	l.left -= n
	l.ResponseWriter.(http.Flusher).Flush()
	if err == nil && n < len(b) {
		err = errors.New("enough")
	}
	return n, err
}

// Each attempt gets a little further: there are more of them than may fail in a row.
func TestInterruptedTransfersContinue(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n <= 2*int(s.retry.attempts) {
			o.breakAfter(700)(w, r)
		}
		return false
	}
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "", "bytes=700-", "bytes=1400-", "bytes=2100-", "bytes=2800-", "bytes=3500-", "bytes=4200-")
}

func TestHopelessTransferIsGivenUp(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n == 1 {
			o.breakAfter(700)(w, r)
		}
		panic(http.ErrAbortHandler)
	}
	mustFail(t, s, o.url(), "gave up after 3 attempts", "pull again to continue")
	o.recover()
	mustPull(t, s, o.url(), data)
	checkRanges(t, o, "bytes=700-")
}

func TestSilenceEndsATransfer(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	s.retry.silence = 50 * time.Millisecond
	s.retry.attempts = 2
	o.answer = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.Header().Set("Content-Length", "5000")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	mustFail(t, s, o.url(), "gave up after 2 attempts", "not a byte for 50ms")
}

func TestServerErrorsAreRetried(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n < 3 {
			w.WriteHeader([]int{0, 503, 429}[n])
		}
		return n < 3
	}
	mustPull(t, s, o.url(), data)
}

func TestRefusalsAreFinal(t *testing.T) {
	for status, want := range map[int]string{
		401: "set HF_TOKEN", 403: "set HF_TOKEN", 404: "404 Not Found: check the name", 410: "unexpected status 410 Gone",
	} {
		o, s := newOrigin(t, nil), newStore(t, Config{})
		o.answer = func(w http.ResponseWriter, r *http.Request, _ int) bool { w.WriteHeader(status); return true }
		mustFail(t, s, o.url(), want)
		checkRanges(t, o, "")
	}
}

func TestUnreachableServer(t *testing.T) {
	o, s := newOrigin(t, nil), newStore(t, Config{})
	o.Close()
	mustFail(t, s, o.url(), "cannot reach 127.0.0.1:", "connection refused", "check the network")
}

func TestDigestMismatch(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	name := o.url() + "#sha256=" + someSHA
	mustFail(t, s, name, "its SHA-256 is "+sum(data)+", not "+someSHA)
	checkRanges(t, o, "")
	if files, _ := filepath.Glob(s.at("http/*/*")); len(files) > 0 {
		t.Errorf("left %v", files)
	}
	mustPull(t, s, o.url()+"#sha256="+sum(data), data)
}

// What a name pins holds for a file that is here already, too.
func TestPinHoldsForAStoredFile(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	path := mustPull(t, s, o.url(), data)
	pinned := o.url() + "#sha256=" + someSHA
	mustFail(t, s, pinned, "has SHA-256 "+sum(data)+", not "+someSHA, "remove it")
	if got, ok, err := s.Resolve(pinned); err == nil {
		t.Errorf("resolved to %q, %v", got, ok)
	}
	os.Remove(path + digestSuffix) // as if somebody had put the model there
	mustPull(t, s, o.url()+"#sha256="+sum(data), data)
	mustFail(t, s, pinned, "has SHA-256 "+sum(data))
	if err := s.Remove(pinned); err != nil {
		t.Error(err)
	}
	checkRanges(t, o, "")
}

// A pull of which not a byte arrives leaves nothing where models are kept.
func TestNothingIsLeftOfNothing(t *testing.T) {
	o, s := newOrigin(t, nil), newStore(t, Config{})
	o.answer = func(w http.ResponseWriter, r *http.Request, _ int) bool { w.WriteHeader(404); return true }
	mustFail(t, s, o.url(), "404")
	if left, _ := filepath.Glob(s.at("http*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// A part can be bad without anybody's noticing until the digest: then, once,
// everything is fetched again.
func TestBadPartIsFetchedAgain(t *testing.T) {
	data := model(t, 3, 5000)
	o, s := newOrigin(t, data), newStore(t, Config{})
	o.etag = ""
	o.part(t, s, make([]byte, 2000), "")
	mustPull(t, s, o.url()+"#sha256="+sum(data), data)
	checkRanges(t, o, "bytes=2000-", "")
}

func TestSomethingElseThanAModel(t *testing.T) {
	o, s := newOrigin(t, []byte("<html>Please sign in")), newStore(t, Config{})
	mustFail(t, s, o.url(), "what was fetched is no model, and has been deleted: it is a web page")
	if files, _ := filepath.Glob(s.at("http/*/*")); len(files) > 0 {
		t.Errorf("left %v", files)
	}
}

func TestCancelKeepsThePart(t *testing.T) {
	data := model(t, 3, 1<<20)
	o, s := newOrigin(t, data), newStore(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	o.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n == 1 {
			o.serve(&limitedWriter{w, 4096}, r)
			<-r.Context().Done()
		}
		return n == 1
	}
	_, err := s.Pull(ctx, o.url(), func(stage string, _, _ int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	mustPull(t, s, o.url(), data)
	var from int // whatever had arrived when the pull was cancelled
	if second := o.ranges()[1]; !scans(second, "bytes=%d-", &from) || from <= 0 || from > 4096 {
		t.Errorf("then asked for %q", second)
	}
}

func scans(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}

func TestRemoveDropsAPart(t *testing.T) {
	o, s := newOrigin(t, nil), newStore(t, Config{})
	o.part(t, s, []byte("GGUF"), `"v1"`)
	if err := s.Remove(o.url()); err != nil {
		t.Error(err)
	}
	checkEmpty(t, s)
	if err := s.Remove("hf.co/org/repo"); !errors.Is(err, ErrNotFetched) {
		t.Errorf("got %v", err)
	}
}

// What is being fetched is not taken away from under the process that fetches it.
func TestRemoveWaitsForNobody(t *testing.T) {
	o, s := newOrigin(t, nil), newStore(t, Config{})
	o.part(t, s, []byte("GGUF"), `"v1"`)
	ref, err := s.parse(o.url())
	if err != nil {
		t.Fatal(err)
	}
	unlock, ok, err := s.tryLock(ref.stored())
	if !ok || err != nil {
		t.Fatalf("locked %v, %v", ok, err)
	}
	if err := s.Remove(o.url()); !errors.Is(err, ErrBusy) || sizeOf(s.at(ref.stored())+partSuffix) != 4 {
		t.Errorf("got %v, and %d bytes are left", err, sizeOf(s.at(ref.stored())+partSuffix))
	}
	unlock()
	if err := s.Remove(o.url()); err != nil {
		t.Error(err)
	}
	checkEmpty(t, s)
}

// hugging is a Hub with one repository, org/repo, whose files lie on another host.
func hugging(t *testing.T, files map[string][]byte, change func([]repoFile)) (endpoint string, cdn *origin, tokens *[]string) {
	var listing []repoFile
	for name, data := range files {
		f := repoFile{Type: "file", Path: name, Size: int64(len(data))}
		f.LFS.OID = sum(data)
		listing = append(listing, f)
	}
	listing = append(listing, repoFile{Type: "directory", Path: "dir.gguf"}, repoFile{Type: "file", Path: "README.md"})
	if change != nil {
		change(listing)
	}
	tokens = new([]string)
	cdn = newOrigin(t, nil)
	cdn.answer = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		*tokens = append(*tokens, r.Header.Get("Authorization"))
		cdn.data = files[strings.TrimPrefix(r.URL.Path, "/")]
		return false
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/org/repo/tree/main", func(w http.ResponseWriter, r *http.Request) {
		*tokens = append(*tokens, r.Header.Get("Authorization"))
		json.NewEncoder(w).Encode(listing)
	})
	mux.HandleFunc("GET /org/repo/resolve/main/{file...}", func(w http.ResponseWriter, r *http.Request) {
		*tokens = append(*tokens, r.Header.Get("Authorization"))
		// By another name, so that it counts as another host.
		http.Redirect(w, r, strings.Replace(cdn.URL, "127.0.0.1", "localhost", 1)+"/"+r.PathValue("file"), http.StatusFound)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, cdn, tokens
}

func TestPullFromHuggingFace(t *testing.T) {
	files := map[string][]byte{"m-Q4_K_M.gguf": model(t, 5, 900), "m-Q8_0.gguf": model(t, 6, 1800), "sub dir/m+F16.gguf": model(t, 7, 100)}
	endpoint, cdn, tokens := hugging(t, files, nil)
	s := newStore(t, Config{Endpoint: endpoint + "/", Token: "secret"})
	path := mustPull(t, s, "hf.co/org/repo", files["m-Q4_K_M.gguf"])
	if got := strings.Join(*tokens, ","); got != "Bearer secret,Bearer secret," {
		t.Errorf("tokens sent to the Hub, the Hub and the CDN: %q", got)
	}
	if path != s.at("hf.co/org/repo/m-Q4_K_M.gguf") {
		t.Errorf("stored as %s", path)
	}
	mustPull(t, s, "hf.co/org/repo:Q8_0", files["m-Q8_0.gguf"])
	mustPull(t, s, "hf.co/org/repo:sub dir/m+F16.gguf", files["sub dir/m+F16.gguf"])
	for name, want := range map[string]string{
		"hf.co/org/repo":      "m-Q4_K_M.gguf", // as without the network, so with it
		"hf.co/org/repo:q8_0": "m-Q8_0.gguf",
	} {
		if got, ok, err := s.Resolve(name); filepath.Base(got) != want || !ok || err != nil {
			t.Errorf("%s resolves to %s, %v, %v", name, got, ok, err)
		}
	}
	if _, ok, err := s.Resolve("hf.co/org/repo:Q2_K"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	before := len(cdn.requests)
	mustPull(t, s, "hf.co/org/repo:m-Q8_0.gguf", files["m-Q8_0.gguf"])
	if len(cdn.requests) != before {
		t.Error("fetched what was there")
	}
	entries, _ := s.List()
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if want := "[m+F16 m-Q4_K_M m-Q8_0]"; fmt.Sprint(names) != want {
		t.Errorf("listed %v", names)
	}
	for name, want := range map[string]string{"m+F16": "sub dir/m+F16.gguf", "M-q8_0": "m-Q8_0.gguf", "m-Q4_K_M.gguf": "m-Q4_K_M.gguf"} {
		if got, ok, err := s.Resolve(name); got != s.at("hf.co/org/repo/"+want) || !ok || err != nil {
			t.Errorf("%s resolves to %s, %v, %v", name, got, ok, err)
		}
	}
	if err := s.Remove("hf.co/org/repo:Q8_0"); err != nil {
		t.Error(err)
	}
}

// TestFileWithoutEnd: of a file whose size is known nothing more is kept, though the server
// announces no length.
func TestFileWithoutEnd(t *testing.T) {
	endpoint, _, _ := hugging(t, map[string][]byte{"m.gguf": model(t, 5, 900)}, nil)
	behind, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/resolve/") {
			proxy.ServeHTTP(w, r)
			return
		}
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	s := newStore(t, Config{Endpoint: server.URL})
	mustFail(t, s, "hf.co/org/repo", "sends more than the")
	if left := s.at("hf.co/org/repo/m.gguf") + partSuffix; exists(left) {
		t.Errorf("%s is left over", left)
	}
}

// TestTransferWithoutLengthGoesOn: a server that announces no length ends its answer in the
// same way when it fails as when it is done. Of a file whose size is known the rest is
// fetched, and nothing is deleted.
func TestTransferWithoutLengthGoesOn(t *testing.T) {
	data := model(t, 5, 900)
	endpoint, _, _ := hugging(t, map[string][]byte{"m.gguf": data}, nil)
	behind, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	var ranges []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/resolve/") {
			proxy.ServeHTTP(w, r)
			return
		}
		start := 0
		if ranges = append(ranges, r.Header.Get("Range")); len(ranges) > 1 {
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.(http.Flusher).Flush() // in chunks from here
		w.Write(data[start:min(start+400, len(data))])
	}))
	defer server.Close()
	mustPull(t, newStore(t, Config{Endpoint: server.URL}), "hf.co/org/repo", data)
	if len(ranges) < 3 || ranges[1] != "bytes=400-" || ranges[2] != "bytes=800-" {
		t.Errorf("it asked for %q", ranges)
	}
}

func TestHuggingFaceFailures(t *testing.T) {
	files := map[string][]byte{"m.gguf": model(t, 5, 900)}
	endpoint, _, _ := hugging(t, files, nil)
	s := newStore(t, Config{Endpoint: endpoint})
	mustFail(t, s, "hf.co/org/other", "404 Not Found: check the name")
	mustFail(t, s, "hf.co/org/repo:Q8_0", `it has no file "Q8_0"`, "m.gguf")

	endpoint, _, _ = hugging(t, files, func(l []repoFile) { l[0].Size++ })
	mustFail(t, newStore(t, Config{Endpoint: endpoint}), "hf.co/org/repo", "bytes, not")

	endpoint, _, _ = hugging(t, files, func(l []repoFile) { l[0].LFS.OID = someSHA })
	mustFail(t, newStore(t, Config{Endpoint: endpoint}), "hf.co/org/repo", "wrong digest")

	endpoint, _, _ = hugging(t, files, func(l []repoFile) { l[0].Path = "../../../m.gguf" })
	mustFail(t, newStore(t, Config{Endpoint: endpoint}), "hf.co/org/repo", "has no .gguf file")

	for _, answer := range []string{"<html>", `{"error":"moved"}`} {
		o := newOrigin(t, []byte(answer))
		err := mustFail(t, newStore(t, Config{Endpoint: o.URL}), "hf.co/org/repo", "is HF_ENDPOINT right?", fmt.Sprintf("It sent %q", answer))
		if strings.Contains(err.Error(), "Go value") {
			t.Errorf("to people it speaks of the program: %v", err)
		}
	}
	o := newOrigin(t, nil)
	o.answer = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.Header().Set("Content-Length", "50")
		io.WriteString(w, "[")
		return true
	}
	mustFail(t, newStore(t, Config{Endpoint: o.URL}), "hf.co/org/repo", "the answer of 127.0.0.1:", "broke off")
	o.Close()
	mustFail(t, newStore(t, Config{Endpoint: o.URL}), "hf.co/org/repo", "cannot reach 127.0.0.1:")
}

func TestRedirectFromHTTPSToHTTPIsRefused(t *testing.T) {
	plain := newOrigin(t, model(t, 3, 100))
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.url(), http.StatusFound))
	defer secure.Close()
	client := secure.Client()
	client.CheckRedirect = newClient().CheckRedirect
	s := newStore(t, Config{Client: client})
	err := mustFail(t, s, secure.URL+"/m.gguf", "refused to follow a redirect from https")
	if strings.Contains(err.Error(), "attempts") {
		t.Errorf("tried more than once: %v", err)
	}
	if len(plain.requests) > 0 {
		t.Error("followed it all the same")
	}
}

func TestReadOnlyStore(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root may write anywhere: a file in the place of the directory refuses all.
		root := filepath.Join(t.TempDir(), "models")
		write(t, root, nil)
		mustFail(t, newStore(t, Config{Root: root}), "tiny", "not a directory")
		return
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o500); err != nil {
		t.Fatal(err)
	}
	mustFail(t, newStore(t, Config{Root: root}), "tiny", "no permission to write", "PENSTOCK_MODELS")
}
