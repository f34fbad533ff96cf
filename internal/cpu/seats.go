package cpu

import (
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// Seat is where a compute thread is to run.
type Seat struct {
	Node int   // of memory (NUMA), counted from 0 among those of this process
	CPUs []int // that the thread is bound to; nil: the system chooses
}

// Seats places so many compute threads: neighbours on the same node, each node with
// as large a part of them as it has of the cores.
//
// A thread is bound only where the system's choice could cost much. Where there are
// several nodes it is bound to all CPUs of its own, since there lie the weights that
// it reads. Where some cores have two CPUs (SMT), and there is a thread for every
// core, each is bound to the CPUs of its core, so that no two share one. Otherwise
// the system may move it: fewer threads than cores mean that something else runs
// there, and with one node and one CPU a core every place is as good as another.
func Seats(threads int) []Seat { return seats(os.DirFS("/"), allowed(), threads) }

func seats(root fs.FS, cpus []int, threads int) []Seat {
	list := make([]Seat, threads)
	cores := coresOf(root, cpus)
	if len(cores) == 0 {
		return list
	}
	nodes := cores[len(cores)-1].node + 1
	for w := range list {
		core := cores[w*len(cores)/threads]
		list[w].Node = core.node
		switch {
		case threads == len(cores) && threads < len(cpus):
			list[w].CPUs = core.cpus
		case nodes > 1:
			for _, c := range cores {
				if c.node == core.node {
					list[w].CPUs = append(list[w].CPUs, c.cpus...)
				}
			}
		}
	}
	return list
}

// core is one core, as far as the process may use it.
type core struct {
	node int // counted from 0
	cpus []int
}

// coresOf lists the cores that the given CPUs belong to, by node. It is nil if the
// system does not tell.
func coresOf(root fs.FS, cpus []int) (cores []core) {
	nodeOf := map[int]int{}
	const nodes = "sys/devices/system/node/"
	for _, node := range list(readWord(root, nodes+"online")) {
		for _, c := range list(readWord(root, nodes+"node"+strconv.Itoa(node)+"/cpulist")) {
			nodeOf[c] = node
		}
	}
	at := map[string]int{} // index in cores
	for _, c := range cpus {
		siblings := readWord(root, "sys/devices/system/cpu/cpu"+strconv.Itoa(c)+"/topology/thread_siblings_list")
		if siblings == "" {
			return nil
		}
		i, known := at[siblings]
		if !known {
			i = len(cores)
			at[siblings], cores = i, append(cores, core{node: nodeOf[c]})
		}
		cores[i].cpus = append(cores[i].cpus, c)
	}
	slices.SortStableFunc(cores, func(a, b core) int { return a.node - b.node })
	number, last := -1, -1
	for i := range cores {
		if cores[i].node != last {
			number, last = number+1, cores[i].node
		}
		cores[i].node = number
	}
	return cores
}
