package cpu

import "golang.org/x/sys/unix"

// Bind keeps the calling thread on the given CPUs. The goroutine must be locked to
// the thread, and end with it. Where the system refuses, the thread runs anywhere.
func Bind(cpus []int) {
	if len(cpus) == 0 {
		return
	}
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	_ = unix.SchedSetaffinity(0, &set) // a cpuset may have changed meanwhile
}

// allowed are the CPUs that the calling thread may run on.
func allowed() (cpus []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	for c := range len(set) * 64 {
		if set.IsSet(c) {
			cpus = append(cpus, c)
		}
	}
	return cpus
}
