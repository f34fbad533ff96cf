package hub

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

const splitName = "big/m-Q4_K_M-%05d-of-00003.gguf"

// splitModel is a model of three parts, by name.
func splitModel(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for i := range 3 {
		meta := []gguf.KV{{Key: "split.no", Value: uint16(i)}, {Key: "split.count", Value: uint16(3)}, {Key: "split.tensors.count", Value: int32(3)}}
		if i == 0 {
			meta = append(meta, gguf.KV{Key: "general.architecture", Value: "llama"})
		}
		tensor := gguf.Tensor{Name: fmt.Sprint("t", i), Type: quant.F32, Shape: []int{50, 10}, Data: bytes.Repeat([]byte{byte(i)}, 2000)}
		var b bytes.Buffer
		if err := gguf.Write(&b, meta, []gguf.Tensor{tensor}); err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf(splitName, i+1)] = b.Bytes()
	}
	return files
}

// TestPullSplitModels: all parts of a model are fetched under their names, whichever of
// them is named, and count as one model.
func TestPullSplitModels(t *testing.T) {
	files := splitModel(t)
	endpoint, _, _ := hugging(t, files, nil)
	head := fmt.Sprintf(splitName, 1)
	for _, name := range []string{"hf.co/org/repo", "hf.co/org/repo:Q4_K_M", "hf.co/org/repo:" + fmt.Sprintf(splitName, 2)} {
		s := newStore(t, Config{Endpoint: endpoint})
		path := mustPull(t, s, name, files[head])
		if path != s.at("hf.co/org/repo/"+head) {
			t.Errorf("%s: stored as %s", name, path)
		}
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(f.Tensors()); n != 3 {
			t.Errorf("%s: %d tensors", name, n)
		}
		f.Close()
		if got, ok, err := s.Resolve(name); got != path || !ok || err != nil {
			t.Errorf("%s: resolved as %s, %v, %v", name, got, ok, err)
		}
		list, err := s.List()
		if size := sizeOfModel(path); err != nil || len(list) != 1 || list[0].Path != path || list[0].Size != size || size < 6000 {
			t.Errorf("%s: %v, listed as %+v", name, err, list)
		}
		if err := s.Remove(name); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(s.at("hf.co")); len(left) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// TestSplitModelsAreResumed: the parts that came whole are not fetched again, a part
// that broke off goes on, and until all are there the store has no such model.
func TestSplitModelsAreResumed(t *testing.T) {
	files := splitModel(t)
	endpoint, cdn, _ := hugging(t, files, nil)
	third := fmt.Sprintf(splitName, 3)
	serve := cdn.answer
	cdn.answer = func(w http.ResponseWriter, r *http.Request, n int) bool {
		serve(w, r, n)
		if strings.HasSuffix(r.URL.Path, third) {
			http.Error(w, "later", http.StatusForbidden)
			return true
		}
		return false
	}
	s := newStore(t, Config{Endpoint: endpoint})
	mustFail(t, s, "hf.co/org/repo", "m-Q4_K_M-00003-of-00003.gguf", "403")
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("%v, listed %+v", err, list)
	}
	if _, ok, err := s.Resolve("hf.co/org/repo"); ok || err != nil {
		t.Errorf("resolved: %v, %v", ok, err)
	}
	before := len(cdn.requests)
	cdn.answer = serve
	if err := os.WriteFile(s.at("hf.co/org/repo/"+third)+partSuffix, files[third][:700], 0o644); err != nil {
		t.Fatal(err)
	}
	mustPull(t, s, "hf.co/org/repo", files[fmt.Sprintf(splitName, 1)])
	var paths []string
	for _, r := range cdn.requests[before:] {
		paths = append(paths, r.URL.Path)
	}
	if len(paths) != 2 || !strings.HasSuffix(paths[0], third) || !strings.HasSuffix(paths[1], fmt.Sprintf(splitName, 1)) {
		t.Errorf("fetched %v", paths)
	}
}

// TestSplitModelsWithSomethingWrong: a part with another digest, a part that the
// repository lacks, and parts that are none of one model.
func TestSplitModelsWithSomethingWrong(t *testing.T) {
	second := fmt.Sprintf(splitName, 2)
	endpoint, _, _ := hugging(t, splitModel(t), func(list []repoFile) {
		for i := range list {
			if list[i].Path == second {
				list[i].LFS.OID = strings.Repeat("0", 64)
			}
		}
	})
	err := mustFail(t, newStore(t, Config{Endpoint: endpoint}), "hf.co/org/repo", "m-Q4_K_M-00002-of-00003.gguf", "SHA-256")
	if !errors.Is(err, errWrongDigest) {
		t.Errorf("got %v", err)
	}

	files := splitModel(t)
	delete(files, second)
	endpoint, _, _ = hugging(t, files, nil)
	mustFail(t, newStore(t, Config{Endpoint: endpoint}), "hf.co/org/repo", "the repository has no file "+second)

	files = splitModel(t)
	files[second] = files[fmt.Sprintf(splitName, 3)]
	endpoint, _, _ = hugging(t, files, nil)
	s := newStore(t, Config{Endpoint: endpoint})
	mustFail(t, s, "hf.co/org/repo", "what was fetched is no model, and has been deleted")
	if list, _ := s.List(); len(list) != 0 {
		t.Errorf("listed %+v", list)
	}
}

// What cannot be read at present may be a model: nothing is deleted for that.
func TestUnreadableIsKept(t *testing.T) {
	for _, part := range []bool{false, true} {
		if err := checkFetched(t.TempDir(), part); err == nil || errors.Is(err, errNoModel) {
			t.Errorf("part %v: a folder: %v", part, err)
		}
		empty := filepath.Join(t.TempDir(), "empty.gguf")
		if err := os.WriteFile(empty, []byte("GG"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkFetched(empty, part); !errors.Is(err, errNoModel) {
			t.Errorf("part %v: two bytes: %v", part, err)
		}
	}
	target := filepath.Join(t.TempDir(), "m-00001-of-00002.gguf")
	second := filepath.Join(filepath.Dir(target), "m-00002-of-00002.gguf")
	if err := errors.Join(os.Mkdir(target, 0o700), os.WriteFile(second, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := checkWhole(target); err == nil {
		t.Error("a folder is taken for a part")
	}
	if _, err := os.Stat(second); err != nil {
		t.Errorf("a part is gone though nothing is known against it: %v", err)
	}
}
