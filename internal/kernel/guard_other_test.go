//go:build !linux

package kernel

import "testing"

// guarded is a plain slice where pages cannot be protected.
func guarded[T any](t testing.TB, n int, front bool) []T {
	t.Helper()
	return make([]T, n)
}
