//go:build !linux

package kernel

import "unsafe"

// Alloc returns n zeroed bytes aligned to 64 bytes.
func Alloc(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n+63)
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & 63)
	return b[off : off+n : off+n], nil
}

// Free gives back what Alloc returned. The slice must not be used afterwards.
func Free([]byte) error { return nil }
