package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// IsFolder reports whether path is a folder with a model in it.
func IsFolder(path string) bool {
	info, err := os.Stat(filepath.Join(path, configFile))
	return err == nil && info.Mode().IsRegular()
}

// Open opens a GGUF file, or a folder as Hugging Face keeps models.
func Open(path string) (*gguf.File, error) {
	if !IsFolder(path) {
		return gguf.Open(path)
	}
	f := &folder{dir: path}
	file, err := f.open()
	if err != nil {
		for _, m := range f.maps {
			m.Close()
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

const (
	configFile = "config.json"
	// maxText is the longest JSON file of a folder that is read. The tokenizer of a
	// vocabulary of 256 thousand tokens takes 33 MB.
	maxText = 128 << 20
)

// folder is a model while it is opened.
type folder struct {
	dir     string
	config  config
	maps    []*gguf.Mapping
	entries map[string]entry
	meta    []gguf.KV
	tensors []gguf.Tensor
}

func (f *folder) open() (*gguf.File, error) {
	if err := f.json(configFile, &f.config); err != nil {
		return nil, err
	}
	family, err := f.config.family()
	if err != nil {
		return nil, err
	}
	if err := f.weights(); err != nil {
		return nil, err
	}
	if err := family.describe(f); err != nil {
		return nil, err
	}
	if err := f.vocabulary(); err != nil {
		return nil, err
	}
	if err := f.name(family); err != nil {
		return nil, err
	}
	return gguf.Assemble(f.dir, f.meta, f.tensors, f.maps...)
}

// set adds a key of the architecture.
func (f *folder) set(key string, value any) {
	f.meta = append(f.meta, gguf.KV{Key: strings.ReplaceAll(key, "ARCH", f.config.arch), Value: value})
}

// json reads a file of the folder.
func (f *folder) json(name string, dst any) error {
	data, err := f.read(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, dst); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// optional is json for a file that may be missing.
func (f *folder) optional(name string, dst any) error {
	if err := f.json(name, dst); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *folder) read(name string) ([]byte, error) {
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() || info.Size() > maxText {
		return nil, fmt.Errorf("%s is no file of at most %d MB", name, maxText>>20)
	}
	return os.ReadFile(path)
}

// weights maps the folder's safetensors files: model.safetensors, or those that an
// index names.
func (f *folder) weights() error {
	names := []string{"model.safetensors"}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := f.optional("model.safetensors.index.json", &index); err != nil {
		return err
	}
	if len(index.Map) > 0 {
		names = names[:0]
		for _, name := range index.Map {
			if filepath.Base(name) != name || !strings.HasSuffix(name, ".safetensors") {
				return fmt.Errorf("model.safetensors.index.json names %q, which is no file beside it", brief(name))
			}
			names = append(names, name)
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	f.entries = map[string]entry{}
	for _, name := range names {
		m, err := gguf.Map(filepath.Join(f.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing", name)
		}
		if err != nil {
			return err
		}
		f.maps = append(f.maps, m)
		var entries []entry
		err = m.Guard(func() (err error) {
			entries, err = parse(m.Data)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range entries {
			if _, twice := f.entries[e.name]; twice {
				return fmt.Errorf("%s: tensor %q is in another file, too", name, brief(e.name))
			}
			f.entries[e.name] = e
		}
	}
	return nil
}

// name gives every tensor its name in GGUF. One that the family does not know is an
// error: without it the model would be another one.
func (f *folder) name(family *family) error {
	prefix := family.prefixOf(f.entries)
	names := make([]string, 0, len(f.entries))
	for name := range f.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		e := f.entries[name]
		to, known := family.translate(strings.TrimPrefix(name, prefix))
		if !known {
			return fmt.Errorf("tensor %q is not part of a %s model as it is known here", brief(name), f.config.ModelType)
		}
		if to == "" || to == "output.weight" && f.config.Tied {
			continue // it does not take part, or is there already
		}
		typ, ok := dtypes[e.dtype]
		if !ok {
			return fmt.Errorf("tensor %q: weights in %s are not supported: want F32, F16 or BF16", brief(name), e.dtype)
		}
		if len(e.shape) == 0 || len(e.shape) > 2 || len(e.data) == 0 {
			return fmt.Errorf("tensor %q: a shape of %v", brief(name), e.shape)
		}
		shape := slices.Clone(e.shape)
		slices.Reverse(shape)
		t := gguf.Tensor{Name: to, Type: typ, Shape: shape, Data: e.data}
		if family.plusOne && strings.HasSuffix(to, "norm.weight") {
			if err := addOne(&t); err != nil {
				return fmt.Errorf("tensor %q: %w", brief(name), err)
			}
		}
		f.tensors = append(f.tensors, t)
	}
	return nil
}

// addOne makes a copy of a norm's weights with 1 added, as GGUF files of Gemma have
// them.
func addOne(t *gguf.Tensor) error {
	x := make([]float32, t.Elements())
	if err := quant.Dequantize(t.Type, x, t.Data); err != nil {
		return err
	}
	for i := range x {
		x[i]++
	}
	t.Type, t.Data = quant.F32, make([]byte, 4*len(x))
	return quant.Quantize(quant.F32, t.Data, x)
}
