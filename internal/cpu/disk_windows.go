package cpu

import "golang.org/x/sys/windows"

// DiskFree is how many bytes more the disk of a folder takes from this user. ok is
// false where that cannot be known.
func DiskFree(dir string) (bytes uint64, ok bool) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	if err := windows.GetDiskFreeSpaceEx(name, &bytes, nil, nil); err != nil {
		return 0, false
	}
	return bytes, true
}
