//go:build !unix

package gguf

import (
	"os"
)

// Mapped says whether a file's data are pages of it, rather than a copy in memory.
const Mapped = false

// Open reads the whole file at path into memory, because mmap is not used here.
func Open(path string) (*File, error) {
	if paths := partsOf(path); paths != nil {
		return openParts(paths)
	}
	data, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

func mapFile(path string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func unmap([]byte) error { return nil }

// Close releases the file. The Data of its tensors must not be touched again.
func (f *File) Close() error {
	f.data = nil
	return f.closeMaps()
}

// Release does nothing: the data is not a mapping.
func (f *File) Release(Tensor) {}

// ReleaseHeader does nothing: the data is not a mapping.
func (f *File) ReleaseHeader() {}
