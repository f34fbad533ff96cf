package cpu

import "testing"

// TestExamine reads the files of machines of several kinds.
func TestExamine(t *testing.T) {
	const cpus = "sys/devices/system/cpu/"
	for name, c := range map[string]struct {
		files []string
		want  System
	}{
		"nothing is told": {nil, System{}},
		"two cores": {[]string{
			cpus + "online", "0-1\n", cpus + "cpu0/topology/thread_siblings_list", "0\n", cpus + "cpu1/topology/thread_siblings_list", "1\n",
			"sys/devices/system/node/online", "0\n", "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n",
			"proc/meminfo", "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n",
		}, System{Online: 2, Cores: 2, Nodes: 1, HugePages: "madvise", Available: 1000 << 10}},
		"two processors of a core, two nodes, one processor off": {[]string{
			cpus + "online", "0,2-3\n", cpus + "cpu0/topology/thread_siblings_list", "0\n", cpus + "cpu2/topology/thread_siblings_list", "2-3\n",
			cpus + "cpu3/topology/thread_siblings_list", "2-3\n", "sys/devices/system/node/online", "0-1\n",
			cpus + "cpu0/cpufreq/scaling_governor", "powersave\n", "sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n",
		}, System{Online: 3, Cores: 2, SMT: true, Nodes: 2, HugePages: "never", Governor: "powersave"}},
		"nonsense": {[]string{cpus + "online", "0-x", "sys/devices/system/node/online", "-3", "proc/meminfo", "MemAvailable: lots kB"}, System{}},
	} {
		if got := examine(files(c.files...)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
