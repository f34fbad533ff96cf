package gguf

import (
	"errors"
	"fmt"
)

// Mapping is a whole file in memory, as Open has it.
type Mapping struct {
	Data []byte // not to be written to
	path string
}

// Map maps the file at path into memory, or reads it where there is no mmap.
func Map(path string) (*Mapping, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	return &Mapping{Data: data, path: path}, nil
}

// Guard is File.Guard for work that reads the mapping before it is part of a File.
func (m *Mapping) Guard(work func() error) error { return (&File{maps: []*Mapping{m}}).Guard(work) }

// read parses the whole mapping.
func (m *Mapping) read(parse func(name string, data []byte) (*File, error)) (f *File, err error) {
	err = m.Guard(func() (err error) {
		f, err = parse(m.path, m.Data)
		return err
	})
	return f, err
}

// Close releases the memory.
func (m *Mapping) Close() error {
	data := m.Data
	m.Data = nil
	if err := unmap(data); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return nil
}

// Assemble makes a File of metadata and tensors that come from files of another
// format. The mappings are what the tensors' Data lie in; Close closes them.
func Assemble(path string, meta []KV, tensors []Tensor, maps ...*Mapping) (*File, error) {
	f := &File{path: path, version: 3, meta: meta, tensors: tensors, byKey: map[string]int{}, byName: map[string]int{}, maps: maps}
	for i, kv := range meta {
		if _, twice := f.byKey[kv.Key]; twice {
			return nil, &FormatError{path, "", fmt.Sprintf("key %q twice", kv.Key)}
		}
		f.byKey[kv.Key] = i
	}
	for i, t := range tensors {
		if _, twice := f.byName[t.Name]; twice {
			return nil, &FormatError{path, "", fmt.Sprintf("tensor %q twice", t.Name)}
		}
		if len(t.Shape) == 0 || len(t.Data) != t.Rows()*t.Type.RowBytes(t.Cols()) {
			reason := fmt.Sprintf("%d bytes for the shape %v of %v", len(t.Data), t.Shape, t.Type)
			return nil, &FormatError{path, fmt.Sprintf("tensor %q", t.Name), reason}
		}
		f.byName[t.Name] = i
	}
	return f, nil
}

// closeMaps closes the mappings of an assembled file.
func (f *File) closeMaps() error {
	var errs []error
	for _, m := range f.maps {
		errs = append(errs, m.Close())
	}
	f.maps, f.tensors, f.byName = nil, nil, nil
	return errors.Join(errs...)
}
