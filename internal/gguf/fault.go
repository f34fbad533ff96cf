package gguf

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime/debug"
)

// Guard runs work, which reads tensors' Data in the goroutine of the caller. If a read
// fails because the file was cut or overwritten meanwhile, or its disk fails, that is
// work's error; any other panic goes on. Goroutines that work starts need a Guard, or
// debug.SetPanicOnFault, of their own.
func (f *File) Guard(work func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			if err = f.Fault(v); err == nil {
				panic(v)
			}
		}
	}()
	return work()
}

// Fault explains a panic that was caused by reading a tensor's Data: somebody has
// cut or overwritten the file while it was mapped, or its disk fails. value is
// what was recovered; for any other panic the result is nil. Such a read panics
// only in goroutines that have called debug.SetPanicOnFault; in others the system
// ends the process.
func (f *File) Fault(value any) error {
	err, _ := value.(error)
	var fault interface{ Addr() uintptr }
	if !errors.As(err, &fault) {
		return nil
	}
	path := f.mappedAt(fault.Addr())
	if path == "" {
		return nil
	}
	return fmt.Errorf("%s was cut or overwritten while it was in use, or its disk fails: put the whole file back, then start again", filepath.Base(path))
}

// mappedAt is the path of the file whose mapping has an address, "" if none has it.
func (f *File) mappedAt(address uintptr) string {
	if f.mapped && holds(f.data, address) {
		return f.path
	}
	for _, m := range f.maps {
		if Mapped && holds(m.Data, address) {
			return m.path
		}
	}
	return ""
}

func holds(data []byte, address uintptr) bool {
	start := reflect.ValueOf(data).Pointer()
	return address >= start && address < start+uintptr(len(data))
}
