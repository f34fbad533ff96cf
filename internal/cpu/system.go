package cpu

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// System is what else of the machine decides how fast a model is. What the system
// does not tell is zero.
type System struct {
	Online    int    // processors that the system runs
	Cores     int    // of them, counted once where two processors share a core
	SMT       bool   // some cores have two processors
	Nodes     int    // of memory (NUMA)
	HugePages string // always, madvise or never: whether memory that asks for huge pages gets them
	Governor  string // of the clock, such as performance or powersave
	Available uint64 // bytes of memory that nobody uses
}

// Examine reads what the system tells. Elsewhere than on Linux that is nothing.
func Examine() System { return examine(os.DirFS("/")) }

func examine(root fs.FS) System {
	const base = "sys/devices/system/"
	s := System{
		Governor:  readWord(root, base+"cpu/cpu0/cpufreq/scaling_governor"),
		Available: meminfo(root, "MemAvailable:"),
	}
	online := list(readWord(root, base+"cpu/online"))
	s.Online = len(online)
	cores := map[string]bool{}
	for _, n := range online {
		siblings := readWord(root, base+"cpu/cpu"+strconv.Itoa(n)+"/topology/thread_siblings_list")
		if siblings == "" {
			cores = nil
			break
		}
		cores[siblings] = true
	}
	s.Cores = len(cores)
	s.SMT = s.Cores > 0 && s.Cores < s.Online
	s.Nodes = len(list(readWord(root, base+"node/online")))
	if _, after, ok := strings.Cut(readWord(root, "sys/kernel/mm/transparent_hugepage/enabled"), "["); ok {
		s.HugePages, _, _ = strings.Cut(after, "]")
	}
	return s
}

// list reads a list of numbers as the kernel writes it: 0-3,8.
func list(text string) (numbers []int) {
	if text == "" {
		return nil
	}
	const most = 1 << 16 // more is no list of processors
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(low)
		to := from
		if isRange && err == nil {
			to, err = strconv.Atoi(high)
		}
		if err != nil || from < 0 || to-from > most {
			return nil
		}
		for n := from; n <= to; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// meminfo is a line of /proc/meminfo in bytes.
func meminfo(root fs.FS, key string) uint64 {
	for line := range strings.Lines(read(root, "proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == key {
			kb, err := strconv.ParseUint(fields[1], 10, 50)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}
