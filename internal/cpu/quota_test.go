package cpu

import (
	"testing"
	"testing/fstest"
)

// TestQuota: the least quota of the process's groups counts.
func TestQuota(t *testing.T) {
	const group = "sys/fs/cgroup/a/b"
	root := func(own, parent string) fstest.MapFS {
		return fstest.MapFS{
			"proc/self/cgroup":        {Data: []byte("0::/a/b\n")},
			group + "/cpu.max":        {Data: []byte(own)},
			"sys/fs/cgroup/a/cpu.max": {Data: []byte(parent)},
		}
	}
	for _, c := range []struct {
		own, parent string
		want        float64
	}{
		{"max 100000\n", "max 100000\n", 0},
		{"150000 100000\n", "max 100000\n", 1.5},
		{"150000 100000\n", "50000 100000\n", 0.5},
		{"", "400000 100000\n", 4},
	} {
		if got := quota(root(c.own, c.parent)); got != c.want {
			t.Errorf("%q below %q: %v, want %v", c.own, c.parent, got, c.want)
		}
	}
}
