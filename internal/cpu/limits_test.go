package cpu

import (
	"testing"
	"testing/fstest"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestThreads(t *testing.T) {
	for _, c := range []struct {
		name string
		root fstest.MapFS
		cpus int
		want int
	}{
		{"nothing known", files(), 6, 6},
		{"no processors", files(), 0, 1},
		{"v2 container", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "250000 100000\n"), 8, 3},
		{"v2 no limit", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "max 100000\n"), 8, 8},
		{"v2 under half a processor", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "20000 100000\n"), 8, 1},
		{"v2 parent binds", files("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/cpu.max", "200000 100000\n", "sys/fs/cgroup/a/b/cpu.max", "max 100000"), 8, 2},
		{"v2 more than there is", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "6400000 100000\n"), 4, 4},
		{"v1", files("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "150000\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"), 8, 2},
		{"a quota of 110 %", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "110000 100000\n"), 8, 1},
		{"a quota of 125 %", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "125000 100000\n"), 8, 1},
		{"a quota of 149 %", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "149000 100000\n"), 8, 1},
		{"a quota of 160 %", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "160000 100000\n"), 8, 2},
		{"a quota of 30 %", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "30000 100000\n"), 8, 1},
		{"a quota of 249 %", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "249000 100000\n"), 8, 2},
		{"a quota of 250 %", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "250000 100000\n"), 8, 3},
		{"v1 container: path outside the mount", files("proc/self/cgroup", "4:cpu,cpuacct:/docker/123\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"), 8, 4},
		{"v1 no limit", files("proc/self/cgroup", "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"), 8, 8},
		{"garbage", files("proc/self/cgroup", "0::/../../..\nx\n::\n4:cpu\n", "sys/fs/cgroup/cpu.max", "x y z"), 8, 8},
		{"zero period", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "100 0"), 8, 8},
	} {
		if got := threads(c.root, c.cpus); got != c.want {
			t.Errorf("%s: %d threads, want %d", c.name, got, c.want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	const meminfo = "MemTotal:       16384 kB\nMemFree:           10 kB\n"
	for _, c := range []struct {
		name string
		root fstest.MapFS
		want uint64
	}{
		{"nothing known", files(), 0},
		{"physical", files("proc/meminfo", meminfo), 16 << 20},
		{"v2", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n", "sys/fs/cgroup/a/memory.max", "1048576\n"), 1 << 20},
		{"v2 no limit", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "max\n"), 16 << 20},
		{"v1", files("proc/meminfo", meminfo, "proc/self/cgroup", "9:memory:/p/q\n", "sys/fs/cgroup/memory/p/memory.limit_in_bytes", "2097152\n"), 2 << 20},
		{"v1 no limit", files("proc/meminfo", meminfo, "proc/self/cgroup", "9:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), 16 << 20},
		{"only a limit", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "4096"), 4096},
		{"garbage", files("proc/meminfo", "MemTotal: x kB\nMemTotal:", "proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "-3"), 0},
	} {
		if got := memoryLimit(c.root); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestThisMachine(t *testing.T) {
	if n := Threads(); n < 1 {
		t.Errorf("Threads() = %d", n)
	}
	if Name() == "" {
		t.Error("Name() is empty")
	}
	t.Logf("%s, tier %v, %d threads, %d MB, caches %+v", Name(), Detect(), Threads(), MemoryLimit()>>20, CacheSizes())
}
