package kernel

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded returns n values of T that lie directly before (or, with front,
// directly after) a page that cannot be touched: a kernel that reads or writes
// out of bounds crashes the test.
func guarded[T any](t testing.TB, n int, front bool) []T {
	t.Helper()
	if n == 0 {
		return nil
	}
	var zero T
	size, page := n*int(unsafe.Sizeof(zero)), unix.Getpagesize()
	body := (size + page - 1) / page * page
	mem, err := unix.Mmap(-1, 0, body+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	for _, p := range [][]byte{mem[:page], mem[page+body:]} {
		if err := unix.Mprotect(p, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	at := page + body - size
	if front {
		at = page
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[at])), n)
}
