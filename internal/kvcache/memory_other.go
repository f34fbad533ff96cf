//go:build !linux

package kvcache

import "errors"

// mapMemory falls back to the garbage collector's heap, which zeroes and
// releases by itself.
func mapMemory(n int) ([]byte, func() error, error) {
	if n > 1<<40 {
		return nil, nil, errors.New("more than 1 TiB")
	}
	return make([]byte, n), func() error { return nil }, nil
}

// populate refuses: there is no way to provide pages without writing to them.
func populate([]byte) error { return errors.ErrUnsupported }
