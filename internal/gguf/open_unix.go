//go:build unix

package gguf

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mapped says whether a file's data are pages of it, rather than a copy in memory.
const Mapped = true

// Open maps the file at path into memory, read-only. A page is read from the disk
// when it is first touched. If the file is cut after that, touching what is gone
// panics, or ends the process; see Guard. Of a model that is split into several
// files, any of which may be at path, Open opens all.
func Open(path string) (*File, error) {
	if paths := partsOf(path); paths != nil {
		return openParts(paths)
	}
	m, err := Map(path)
	if err != nil {
		return nil, err
	}
	f, err := m.read(Parse)
	if err != nil {
		m.Close() // what is wrong is said already
		return nil, err
	}
	f.mapped = true
	return f, nil
}

func mapFile(path string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	// O_NONBLOCK: if a pipe has taken the file's place since checkPath looked, opening
	// it must not wait for somebody to write into it.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkRegular(path, info); err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, nil // cannot be mapped; Parse says what is wrong with it
	}
	data, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: mapping it into memory: %w", path, err)
	}
	return data, nil
}

func unmap(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	return unix.Munmap(data)
}

// Close releases the file. The Data of its tensors must not be touched again.
func (f *File) Close() error {
	if !f.mapped {
		return f.closeMaps()
	}
	data := f.data
	f.data, f.mapped, f.tensors, f.byName = nil, false, nil, nil
	if err := unix.Munmap(data); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// Release lets the system drop t's pages, for a caller that has made its own
// copy. The data stays readable: touching it reads the file again.
func (f *File) Release(t Tensor) {
	if !f.mapped {
		f.releaseFromMaps(t.Data)
		return
	}
	page := os.Getpagesize()
	start := (t.offset + page - 1) / page * page // pages shared with a neighbour stay
	end := (t.offset + len(t.Data)) / page * page
	if start < end {
		unix.Madvise(f.data[start:end], unix.MADV_DONTNEED) // advice: failing costs memory only
	}
}

// ReleaseHeader lets the system drop the pages before the first tensor: the metadata,
// of which everything is copied.
func (f *File) ReleaseHeader() {
	first := len(f.data)
	for _, t := range f.tensors {
		first = min(first, t.offset)
	}
	if end := first / os.Getpagesize() * os.Getpagesize(); f.mapped && end > 0 {
		unix.Madvise(f.data[:end], unix.MADV_DONTNEED) // advice: failing costs memory only
	}
}

// releaseFromMaps is Release where the data may lie in one of several mappings.
func (f *File) releaseFromMaps(data []byte) {
	for _, m := range f.maps {
		start := address(data) - address(m.Data) // not below it: enormous
		if len(data) == 0 || start >= uintptr(len(m.Data)) {
			continue
		}
		page := uintptr(os.Getpagesize())
		first := (start + page - 1) / page * page
		end := (start + uintptr(len(data))) / page * page
		if first < end {
			unix.Madvise(m.Data[first:end], unix.MADV_DONTNEED) // advice: failing costs memory only
		}
		return
	}
}

func address(data []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(data))) }
