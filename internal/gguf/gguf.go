// Package gguf reads and writes GGUF model files: typed metadata, and tensors
// as views of the file's bytes. A file may come from anybody. Whatever is wrong
// with it becomes an error of one line that names the file, the key or tensor and
// the reason, and reading it takes at most a small multiple of its size in memory.
//
// The package knows nothing of models: what a key means is for tokenizer and
// model to say, what a block of numbers means for quant. It reads for them only
// the general keys, which mean the same in every file (general.go).
package gguf

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/quant"
)

// File is an open GGUF file. All methods may be called concurrently, except
// Close. Strings and slices of metadata are copies and outlive it; the Data of
// tensors does not.
type File struct {
	path    string
	version uint32
	data    []byte
	mapped  bool       // data is a mapping of ours, not the caller's memory
	maps    []*Mapping // of an assembled file, which has no data

	meta    []KV
	byKey   map[string]int
	tensors []Tensor
	byName  map[string]int
}

// KV is one entry of metadata. Value is a uint8, int8, uint16, int16, uint32,
// int32, uint64, int64, float32, float64, bool or string, a slice of one of
// these, or an []any of such slices.
type KV struct {
	Key   string
	Value any
}

// Tensor is a tensor's description and its bytes, which must not be written to.
type Tensor struct {
	Name  string
	Type  quant.Type
	Shape []int  // 1 to 4 sizes, the contiguous one first: Shape[0] = columns of a matrix
	Data  []byte // whole rows, valid until the file is closed

	offset int // of Data in the file
}

// Elements is the number of values in the tensor.
func (t Tensor) Elements() int {
	n := 1
	for _, size := range t.Shape {
		n *= size
	}
	return n
}

// Cols is the length of a row.
func (t Tensor) Cols() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[0]
}

// Rows is the number of rows; dimensions beyond the second multiply it.
func (t Tensor) Rows() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return Tensor{Shape: t.Shape[1:]}.Elements()
}

// Part is rows [first, first+rows) of t, as a matrix.
func (t Tensor) Part(first, rows int) Tensor {
	size := t.Type.RowBytes(t.Cols())
	t.Shape = []int{t.Cols(), rows}
	t.offset += first * size
	t.Data = t.Data[first*size : (first+rows)*size]
	return t
}

// Parse reads a file that is already in memory. name stands for the file in
// errors; data must not change while the File is in use.
func Parse(name string, data []byte) (*File, error) {
	f, err := parseAny(name, data)
	if err != nil {
		return nil, err
	}
	if part := onePiece(name, f); part != "" {
		return nil, &FormatError{File: name, Reason: part}
	}
	return f, nil
}

// parseAny is Parse for a file that may be a part of a model.
func parseAny(name string, data []byte) (*File, error) {
	d := decoder{data: data}
	f := d.file()
	if d.err != nil {
		if part := onePiece(name, nil); part != "" {
			d.err = &FormatError{Reason: part}
		}
		d.err.File = name
		return nil, d.err
	}
	f.path, f.data = name, data
	return f, nil
}

// Path is the name the file was opened under.
func (f *File) Path() string { return f.path }

// Files are the paths of all that was read for the model: Path, and the other files if
// the model is split or is a folder of files.
func (f *File) Files() []string {
	paths := []string{f.path}
	for _, m := range f.maps {
		if !slices.Contains(paths, m.path) {
			paths = append(paths, m.path)
		}
	}
	return paths
}

// Version is that of the container, 2 or 3.
func (f *File) Version() uint32 { return f.version }

// Size is the length of the file in bytes.
func (f *File) Size() int64 {
	n := int64(len(f.data))
	for _, m := range f.maps {
		n += int64(len(m.Data))
	}
	return n
}

// Keys lists the metadata in the file's order.
func (f *File) Keys() []string {
	keys := make([]string, len(f.meta))
	for i, kv := range f.meta {
		keys[i] = kv.Key
	}
	return keys
}

// Tensors lists the tensors in the file's order.
func (f *File) Tensors() []Tensor { return slices.Clone(f.tensors) }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}
