//go:build !(linux || darwin || freebsd || windows)

package cpu

// DiskFree does not know.
func DiskFree(string) (bytes uint64, ok bool) { return 0, false }
