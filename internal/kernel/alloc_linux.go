package kernel

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// Alloc returns n zeroed bytes outside the garbage-collected heap, aligned to
// 64 bytes at least. Large blocks are aligned to huge pages and ask for them.
func Alloc(n int) ([]byte, error) {
	if n < 0 {
		panic("kernel: Alloc: negative size")
	}
	if n == 0 {
		return nil, nil
	}
	size, slack := pageCeil(n), uintptr(0)
	if size >= hugePage {
		slack = hugePage
	}
	p, err := unix.MmapPtr(-1, 0, nil, size+slack, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
	}
	if slack > 0 {
		// Give back what lies before and after the aligned part: Free then only
		// has to unmap the slice.
		head := -uintptr(p) & (hugePage - 1)
		if head > 0 {
			err = unix.MunmapPtr(p, head)
		}
		p = unsafe.Add(p, head)
		if tail := slack - head; err == nil && tail > 0 {
			err = unix.MunmapPtr(unsafe.Add(p, size), tail)
		}
		if err != nil {
			return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
		}
	}
	b := unsafe.Slice((*byte)(p), n)
	if slack > 0 {
		// A kernel without huge pages refuses; the memory works all the same.
		_ = unix.Madvise(unsafe.Slice((*byte)(p), size), unix.MADV_HUGEPAGE)
	}
	return b, nil
}

// Free gives back what Alloc returned. The slice must not be used afterwards.
func Free(b []byte) error {
	if cap(b) == 0 {
		return nil
	}
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), pageCeil(cap(b))); err != nil {
		return fmt.Errorf("free %d bytes: %w", cap(b), err)
	}
	return nil
}

func pageCeil(n int) uintptr {
	page := unix.Getpagesize()
	return uintptr((n + page - 1) / page * page)
}
