package hub

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
)

// convert fetches an archive with a model in a folder and makes a GGUF file of it,
// so that the store has one kind of model only. What is made depends on the folder
// alone: its digest is known as that of any other file.
func (w *wheelhouse) convert(ctx context.Context, part string) (err error) {
	dir := w.store.work(w.entry.File)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	archive, folder := filepath.Join(dir, "model.zip"), filepath.Join(dir, "model")
	if err := w.fetch(ctx, archive); err != nil {
		return err
	}
	if err := unzip(ctx, archive, folder); err != nil {
		discard(archive) // a later attempt fetches it again
		return fmt.Errorf("the archive of the model: %w", err)
	}
	f, err := safetensors.Open(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out, err := os.Create(part)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	var meta []gguf.KV
	for _, key := range f.Keys() {
		value, _ := f.Value(key)
		meta = append(meta, gguf.KV{Key: key, Value: value})
	}
	return gguf.Write(&progressWriter{w: out, report: func(int64) error { return ctx.Err() }}, meta, f.Tensors())
}

// members are the files of a model's folder that are read, and the most that each may
// have; an archive may claim anything.
var members = map[string]int64{
	"config.json": 1 << 20, "modules.json": 1 << 20, "1_Pooling/config.json": 1 << 20, "tokenizer_config.json": 16 << 20,
	"tokenizer.json": 128 << 20, "vocab.txt": 128 << 20, "model.safetensors": 8 << 30,
}

// unzip brings the model's files of an archive into dir.
func unzip(ctx context.Context, archive, dir string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	prefix, found := "", false
	for _, f := range z.File {
		if path.Base(f.Name) == "model.safetensors" {
			prefix, found = strings.TrimSuffix(f.Name, "model.safetensors"), true
		}
	}
	if !found {
		return errors.New("it has no model.safetensors")
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, f := range z.File {
		name := strings.TrimPrefix(f.Name, prefix)
		if most := members[name]; strings.HasPrefix(f.Name, prefix) && most > 0 {
			if err := extract(ctx, f, filepath.Join(dir, filepath.FromSlash(name)), most); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// extract writes one file of an archive, of at most so many bytes.
func extract(ctx context.Context, f *zip.File, to string, most int64) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := &progressWriter{w: out, report: func(int64) error { return ctx.Err() }}
	n, err := io.Copy(w, io.LimitReader(r, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return err
}
