package cpu

import (
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Threads is the number of compute threads to start: as many as the affinity
// mask had processors when the process started, or as the cgroup quota pays for
// (rounded to the nearest) if that is fewer. It is at least 1.
func Threads() int { return threads(os.DirFS("/"), runtime.NumCPU()) }

// MemoryLimit is the number of bytes this process may use: the machine's
// memory or the least cgroup limit. It is 0 if neither is known.
func MemoryLimit() uint64 { return memoryLimit(os.DirFS("/")) }

func threads(root fs.FS, cpus int) int {
	n := max(cpus, 1)
	for _, dir := range cgroupDirs(root, "cpu") {
		if quota, ok := cpuQuota(root, dir); ok {
			n = min(n, workers(quota))
		}
	}
	return n
}

// workers is the number of compute threads that makes the most of a quota.
// Compute threads spin while they wait, so with one more than the quota pays for,
// the system stops all of them for a part of every period. With one fewer, a part
// of the quota is unused. Decoding SmolLM2 in batches of 8, in tokens a second,
// each the mean of two runs or more:
//
//	quota        1.10   1.25   1.50   1.75
//	1 worker      689    679    690    655
//	2 workers     598    692    861    915
//
// At 1.25 two workers are no faster than one, and each period has a pause of 40
// ms. At 1.5 they are faster. So a half and more is rounded up. To measure it: a cgroup with cpu.max = "150000 100000", in it
//
//	penstock bench steps --model smollm2 --batch 8 --ctx 64 --threads N
func workers(quota float64) int { return max(1, int(quota+0.5)) }

func memoryLimit(root fs.FS) uint64 {
	limit := physicalMemory(root)
	for _, dir := range cgroupDirs(root, "memory") {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			// Version 1 says "no limit" with a number beyond any machine.
			n, err := strconv.ParseUint(readWord(root, path.Join(dir, name)), 10, 64)
			if err == nil && n < 1<<62 && (limit == 0 || n < limit) {
				limit = n
			}
		}
	}
	return limit
}

// physicalMemory is MemTotal of /proc/meminfo.
func physicalMemory(root fs.FS) uint64 { return meminfo(root, "MemTotal:") }

// cpuQuota is how many processors the cgroup in dir pays for.
func cpuQuota(root fs.FS, dir string) (float64, bool) {
	quota, period, ok := strings.Cut(readWord(root, path.Join(dir, "cpu.max")), " ")
	if !ok {
		quota = readWord(root, path.Join(dir, "cpu.cfs_quota_us"))
		period = readWord(root, path.Join(dir, "cpu.cfs_period_us"))
	}
	q, err := strconv.ParseInt(quota, 10, 64) // "max" and -1 are no limit
	p, perr := strconv.ParseInt(period, 10, 64)
	if err != nil || perr != nil || q <= 0 || p <= 0 {
		return 0, false
	}
	return float64(q) / float64(p), true
}

// cgroupDirs lists the directories with limits of the given controller for this
// process: that of its own group and those of all groups above, in version 2 and
// in version 1. In a container, the path in /proc may not exist below the mount.
// The process's group is then the mount's root, which the list always includes.
func cgroupDirs(root fs.FS, controller string) []string {
	const mount = "sys/fs/cgroup"
	var dirs []string
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // id:controllers:path
		if len(parts) != 3 {
			continue
		}
		var base []string
		switch names := strings.Split(parts[1], ","); {
		case parts[0] == "0" && parts[1] == "":
			base = []string{mount, mount + "/unified"}
		case slices.Contains(names, controller):
			base = []string{mount + "/" + parts[1], mount + "/" + controller}
		}
		for _, b := range base {
			for p := path.Clean("/" + parts[2]); ; p = path.Dir(p) {
				dirs = append(dirs, path.Join(b, p))
				if p == "/" {
					break
				}
			}
		}
	}
	return dirs
}

// read is the contents of a small file, empty if it can't be read.
func read(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

func readWord(root fs.FS, name string) string { return strings.TrimSpace(read(root, name)) }
