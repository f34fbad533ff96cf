package cpu

import (
	"io/fs"
	"os"
)

// Quota is how many processors the cgroups of this process pay for, which may be
// a fraction. It is 0 if nothing limits them.
func Quota() float64 { return quota(os.DirFS("/")) }

func quota(root fs.FS) float64 {
	least := 0.0
	for _, dir := range cgroupDirs(root, "cpu") {
		if q, ok := cpuQuota(root, dir); ok && (least == 0 || q < least) {
			least = q
		}
	}
	return least
}
