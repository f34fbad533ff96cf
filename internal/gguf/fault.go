package gguf

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
)

// Fault explains a panic that was caused by reading a tensor's Data: somebody has
// cut or overwritten the file while it was mapped, or its disk fails. value is
// what was recovered; for any other panic the result is nil. Such a read panics
// only in goroutines that have called debug.SetPanicOnFault; in others the system
// ends the process.
func (f *File) Fault(value any) error {
	err, _ := value.(error)
	var fault interface{ Addr() uintptr }
	if !f.mapped || !errors.As(err, &fault) {
		return nil
	}
	start := reflect.ValueOf(f.data).Pointer()
	if at := fault.Addr(); at < start || at >= start+uintptr(len(f.data)) {
		return nil
	}
	return fmt.Errorf("%s was cut or overwritten while it was in use, or its disk fails: put the whole file back, then start again", filepath.Base(f.path))
}
