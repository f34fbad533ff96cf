package scaling

import "slices"

// The model of a step on n cores. It starts from the step of one thread, by kind of work:
//
//	time(n) = between + Σ max(time(1)/n, bytes/bandwidth(n)) + calls·barrier(n)
//
// between is what one thread does between operations, and kinds of work that were no faster with more threads here, such as the
// normalisation of a few rows: more cores do not shorten it. A kind that is not bound by memory is divided evenly, which overstates
// kinds of which there are few pieces. bandwidth(n) grows with the cores as it does here, up to what is given for the machine. A
// dispatch's cost is taken to grow in proportion to the workers, each of which writes the same line of memory when it comes and when it
// goes. What the model leaves out (caches that are shared, clocks that fall, memory of another socket) makes a real machine slower.

// simulate extrapolates a load to the numbers of threads that were measured, as a check, and to the numbers of cores that are asked for.
func (s *Scaling) simulate(l *Load, profiles []profile, reads []Reads) (list []Simulated) {
	counts := s.threads()
	for _, n := range s.Cores {
		if n > s.Threads {
			counts = append(counts, n)
		}
	}
	serial := serialKinds(profiles)
	for _, n := range slices.Compact(counts) {
		list = append(list, s.step(l, &profiles[0], serial, reads, n))
	}
	return list
}

// serialKinds says which kinds of work were no faster with the most threads than with one: less than a third of what they might have
// gained. With a single thread nothing is known, and none counts as such.
func serialKinds(profiles []profile) []bool {
	one, most := &profiles[0], &profiles[len(profiles)-1]
	serial := make([]bool, len(one.kinds))
	for i := range one.kinds {
		serial[i] = len(profiles) > 1 && most.kinds[i].time > one.kinds[i].time*5/6
	}
	return serial
}

// step is the time of a step with n cores.
func (s *Scaling) step(l *Load, one *profile, serial []bool, reads []Reads, n int) Simulated {
	bandwidth, barrier := s.bandwidth(reads, n), barrier(reads, n)
	between, parallel := one.step, 0.0
	for i, k := range one.kinds {
		if serial[i] {
			continue
		}
		between -= k.time
		parallel += max(k.time/float64(n), k.bytes/bandwidth)
		if n > 1 {
			between += k.calls * barrier
		}
	}
	between = max(between, 0)
	step := between + parallel
	return Simulated{Cores: n, Speed: float64(l.Rows) / step, Between: between / step}
}

// bandwidth is what n cores read together, in bytes a second: interpolated where it was measured, beyond that in proportion, and at
// most what is given.
func (s *Scaling) bandwidth(reads []Reads, n int) float64 {
	last := reads[len(reads)-1]
	if n >= last.Threads {
		all := last.Bandwidth / float64(last.Threads) * float64(n)
		if s.Bandwidth > 0 && n > last.Threads {
			all = min(all, s.Bandwidth*1e9)
		}
		return all
	}
	for _, r := range reads {
		if r.Threads >= n {
			return r.Bandwidth
		}
	}
	return last.Bandwidth
}

// barrier is the cost in seconds of a dispatch to n workers.
func barrier(reads []Reads, n int) float64 {
	last := reads[len(reads)-1]
	if last.Threads == 1 {
		return 0
	}
	return last.Dispatch * 1e-9 / float64(last.Threads-1) * float64(n-1)
}
