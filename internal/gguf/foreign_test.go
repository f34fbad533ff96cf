package gguf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What people have in the place of a model, and the whole line that they read.
func TestFilesThatAreNoModels(t *testing.T) {
	var part bytes.Buffer
	if err := Write(&part, []KV{{"split.no", uint16(1)}, {"split.count", uint16(3)}}, nil); err != nil {
		t.Fatal(err)
	}
	whole := encode(t, everyKind, someTensors())
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"m.gguf", nil, "is empty: the download has not begun or has failed, fetch it again"},
		{"m.gguf", make([]byte, 5000), "holds nothing but zeros: the download was not finished, fetch it again"},
		{"m.gguf", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:1d96\nsize 491400064\n"), "is a Git LFS pointer, which stands for the model: run `git lfs pull` beside it, or download the file itself"},
		{"m.gguf", []byte("\n<!DOCTYPE html>\n<html>"), "is a web page, not a model: use the address of the file itself (at Hugging Face …/resolve/main/FILE.gguf), and a token if it asks to sign in"},
		{"m.gguf", []byte("<HTML><body>Sign in"), "is a web page, not a model: use the address of the file itself (at Hugging Face …/resolve/main/FILE.gguf), and a token if it asks to sign in"},
		{"m.safetensors", []byte("\x40\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\":{}}"), "is a safetensors file, not GGUF: name the folder that it is in, with config.json beside it, or make a GGUF file of that with penstock convert"},
		{"model.bin", []byte("PK\x03\x04archive/data.pkl"), "is a zip archive, as PyTorch's checkpoints are, not GGUF: get the model's GGUF version, or make one with llama.cpp's convert_hf_to_gguf.py"},
		{"model.pt", []byte("\x80\x02\x8a\x0al\xfc"), "is a PyTorch checkpoint, not GGUF: get the model's GGUF version, or make one with llama.cpp's convert_hf_to_gguf.py"},
		{"old.bin", []byte("tjgg\x03\x00\x00\x00"), "is from before GGUF, which replaced that format in 2023: download the model again as GGUF"},
		{"m.gguf.gz", []byte("\x1f\x8b\x08"), "is compressed: unpack it with gunzip"},
		{"m.gguf", whole[:len(whole)-100], "is incomplete: 1724 of 1808 bytes are here, fetch it again"},
		{"m.gguf", part.Bytes(), "is part 2 of 3 of a model: put all its parts beside it, under the names that they had, or join them: llama-gguf-split --merge FIRST-PART OUT.gguf"},
		{"m-00001-of-00003.gguf", whole[:len(whole)-100], "is part 1 of 3 of a model: put all its parts beside it, under the names that they had, or join them: llama-gguf-split --merge FIRST-PART OUT.gguf"},
		{"m-00012-of-00013.gguf", []byte("the middle of something"), "is part 12 of 13 of a model: put all its parts beside it, under the names that they had, or join them: llama-gguf-split --merge FIRST-PART OUT.gguf"},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err == nil {
			f.Close()
			t.Errorf("%s %.20q: was opened", c.name, c.data)
			continue
		}
		if got, want := err.Error(), path+": "+c.want; got != want {
			t.Errorf("%.20q:\ngot  %s\nwant %s", c.data, got, want)
		}
	}
	// A whole file may be called like a part.
	if _, err := Parse("m-00001-of-00001.gguf", whole); err != nil {
		t.Error(err)
	}
}
