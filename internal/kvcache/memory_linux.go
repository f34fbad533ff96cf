package kvcache

import "golang.org/x/sys/unix"

// mapMemory returns zeroed pages, huge ones where the kernel agrees: a block is
// a few kilobytes, and decoding touches all of them every step.
func mapMemory(n int) ([]byte, func() error, error) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, nil, err
	}
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE) // advice: refusing it is no error
	return mem, func() error { return unix.Munmap(mem) }, nil
}

// populate provides the pages under mem as a write would, and writes nothing.
// Kernels before 5.14 refuse it.
func populate(mem []byte) error { return unix.Madvise(mem, unix.MADV_POPULATE_WRITE) }
