package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
)

// otherFormats are files that people often have instead of a GGUF file: how each
// begins, and what to do about it.
var otherFormats = []struct{ begin, advice string }{
	{"version https://git-lfs.github.com/spec/", "is a Git LFS pointer, which stands for the model: run `git lfs pull` beside it, or download the file itself"},
	{"<!doctype html", "is a web page, not a model: use the address of the file itself (at Hugging Face …/resolve/main/FILE.gguf), and a token if it asks to sign in"},
	{"<html", "is a web page, not a model: use the address of the file itself (at Hugging Face …/resolve/main/FILE.gguf), and a token if it asks to sign in"},
	{"PK\x03\x04", "is a zip archive, as PyTorch's checkpoints are, not GGUF: " + convert},
	{"\x80\x02", "is a PyTorch checkpoint, not GGUF: " + convert},
	{"lmgg", "is from before GGUF, which replaced that format in 2023: download the model again as GGUF"},
	{"tjgg", "is from before GGUF, which replaced that format in 2023: download the model again as GGUF"},
	{"fmgg", "is from before GGUF, which replaced that format in 2023: download the model again as GGUF"},
	{"\x1f\x8b", "is compressed: unpack it with gunzip"},
	{"\x28\xb5\x2f\xfd", "is compressed: unpack it with unzstd"},
}

const convert = "get the model's GGUF version, or make one with llama.cpp's convert_hf_to_gguf.py"

// foreign says what data is, if it is not a GGUF file.
func foreign(data []byte) string {
	if len(data) == 0 {
		return "is empty: the download has not begun or has failed, fetch it again"
	}
	text := bytes.TrimSpace(data[:min(64, len(data))])
	for _, f := range otherFormats {
		page := f.begin[0] == '<' && len(text) >= len(f.begin) && strings.EqualFold(string(text[:len(f.begin)]), f.begin)
		if page || bytes.HasPrefix(data, []byte(f.begin)) {
			return f.advice
		}
	}
	// A safetensors file is the length of a JSON object, and the object.
	if len(data) > 8 && data[8] == '{' && binary.LittleEndian.Uint64(data) < 1<<32 {
		return "is a safetensors file, not GGUF: name the folder that it is in, with config.json beside it, or make a GGUF file of that with penstock convert"
	}
	if len(bytes.Trim(data[:min(4096, len(data))], "\x00")) == 0 {
		return "holds nothing but zeros: the download was not finished, fetch it again"
	}
	return fmt.Sprintf("not a GGUF file: it begins with %q", data[:min(8, len(data))])
}

// pieces matches the names of the parts of a split file.
var pieces = regexp.MustCompile(`-(\d{5})-of-(\d{5})\.gguf$`)

// onePiece returns an explanation if the file is only a part of a model, and "" if
// it is a whole one. A file that was split by llama.cpp's tools says so in its
// metadata; one that was cut at any byte is recognised by its name.
func onePiece(name string, f *File) string {
	const join = "put all its parts beside it, under the names that they had, or join them: llama-gguf-split --merge FIRST-PART OUT.gguf"
	if f != nil {
		no, _ := f.Uint("split.no")
		if count, _ := f.Uint("split.count"); count > 1 {
			return fmt.Sprintf("is part %d of %d of a model: %s", no+1, count, join)
		}
	}
	if m := pieces.FindStringSubmatch(name); m != nil && f == nil {
		return fmt.Sprintf("is part %s of %s of a model: %s", strings.TrimLeft(m[1], "0"), strings.TrimLeft(m[2], "0"), join)
	}
	return ""
}
