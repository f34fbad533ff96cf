package cpu

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"
)

// machine is the files of one with so many nodes, cores on each, and CPUs on a core. As on real ones, the second CPUs of all cores are
// numbered after the first ones.
func machine(nodes, cores, smt int) (root fstest.MapFS, cpus []int) {
	root = files("sys/devices/system/node/online", fmt.Sprintf("0-%d\n", nodes-1))
	all := nodes * cores
	for node := range nodes {
		list := ""
		for core := node * cores; core < (node+1)*cores; core++ {
			siblings := ""
			for t := range smt {
				siblings += fmt.Sprintf(",%d", core+t*all)
			}
			for t := range smt {
				root[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", core+t*all)] = &fstest.MapFile{Data: []byte(siblings[1:] + "\n")}
			}
			list += siblings
		}
		root[fmt.Sprintf("sys/devices/system/node/node%d/cpulist", node)] = &fstest.MapFile{Data: []byte(list[1:] + "\n")}
	}
	for c := range all * smt {
		cpus = append(cpus, c)
	}
	return root, cpus
}

// TestSeats places threads on machines of several kinds.
func TestSeats(t *testing.T) {
	type kind struct{ nodes, cores, smt int }
	for _, c := range []struct {
		name    string
		machine kind
		may     []int // CPUs of the affinity mask; nil: all
		threads int
		want    string
	}{
		{"two cores", kind{1, 2, 1}, nil, 2, "[{0 []} {0 []}]"},
		{"more threads than cores", kind{1, 2, 1}, nil, 3, "[{0 []} {0 []} {0 []}]"},
		{"a thread for every core of two CPUs", kind{1, 2, 2}, nil, 2, "[{0 [0 2]} {0 [1 3]}]"},
		{"a thread for every CPU", kind{1, 2, 2}, nil, 4, "[{0 []} {0 []} {0 []} {0 []}]"},
		{"fewer threads than cores", kind{1, 4, 2}, nil, 2, "[{0 []} {0 []}]"},
		{"two nodes", kind{2, 2, 1}, nil, 4, "[{0 [0 1]} {0 [0 1]} {1 [2 3]} {1 [2 3]}]"},
		{"two nodes, half of the threads", kind{2, 2, 1}, nil, 2, "[{0 [0 1]} {1 [2 3]}]"},
		{"two nodes, cores of two CPUs", kind{2, 1, 2}, nil, 2, "[{0 [0 2]} {1 [1 3]}]"},
		{"two nodes, all CPUs", kind{2, 1, 2}, nil, 4, "[{0 [0 2]} {0 [0 2]} {1 [1 3]} {1 [1 3]}]"},
		{"the mask has the second node alone", kind{2, 2, 1}, []int{2, 3}, 2, "[{0 []} {0 []}]"},
		{"the mask has one CPU of each core", kind{1, 2, 2}, []int{0, 3}, 2, "[{0 []} {0 []}]"},
		{"the mask has more of the second node", kind{2, 4, 1}, []int{0, 4, 5, 6}, 4, "[{0 [0]} {1 [4 5 6]} {1 [4 5 6]} {1 [4 5 6]}]"},
	} {
		root, cpus := machine(c.machine.nodes, c.machine.cores, c.machine.smt)
		if c.may != nil {
			cpus = c.may
		}
		if got := fmt.Sprint(seats(root, cpus, c.threads)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for name, root := range map[string]fstest.MapFS{"nothing is told": files(), "of one CPU nothing is told": files("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0")} {
		if got := fmt.Sprint(seats(root, []int{0, 1}, 2)); got != "[{0 []} {0 []}]" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if len(Seats(3)) != 3 {
		t.Error("not a seat for each thread")
	}
}

// TestBind: a thread that is bound to one CPU may run on it alone, and no other thread is changed.
func TestBind(t *testing.T) {
	before := allowed()
	if len(before) < 2 {
		return // there is nothing to choose from, or the system does not tell
	}
	inside := make(chan []int)
	go func() {
		runtime.LockOSThread()
		Bind(before[1:2])
		inside <- allowed()
	}()
	if got := <-inside; !slices.Equal(got, before[1:2]) {
		t.Errorf("bound to %v: may run on %v", before[1:2], got)
	}
	if after := allowed(); !slices.Equal(after, before) {
		t.Errorf("the test may run on %v, before it was %v", after, before)
	}
}
