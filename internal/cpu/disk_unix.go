//go:build linux || darwin || freebsd

package cpu

import "golang.org/x/sys/unix"

// DiskFree is how many bytes more the disk of a folder takes from this user. ok is
// false where that cannot be known.
func DiskFree(dir string) (bytes uint64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true
}
