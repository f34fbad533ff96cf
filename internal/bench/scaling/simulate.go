package scaling

import (
	"math"
	"slices"
)

// The model of a step on n cores. It starts from the step of one thread, by kind of work:
//
//	time(n) = between + Σ max(time(1)/share(n), bytes/bandwidth(n)) + calls·barrier(n)
//
// between is what one thread does between operations, and kinds of work that were no faster with more threads here, such as the
// normalisation of a few rows: more cores do not shorten it. Of the pieces that a call is cut into some cores have one more than others,
// or one and others none: share(n) is pieces / ceil(pieces/n). bandwidth(n) grows with the cores as it does here, up to what is given for
// the machine, of which every socket reads its own part. barrier(n) is that of two workers, measured, and for every further one the
// transfer of the line on which the job is announced, as long as that of a line that two cores write, and the reading of its own line by
// the caller, which overlaps with others: both were measured, too. On other sockets than the caller's both take longer by --remote. What
// the model leaves out (caches that are shared, clocks that fall, keys and values in another socket's memory) makes a real machine slower.

// machine is what the model knows of the cores that are not there.
type machine struct {
	reads     []Reads
	lines     Lines
	bandwidth float64 // of all together, bytes a second; 0: as many for each core as here
	nodes     int
	remote    float64
}

// simulate extrapolates a load to the numbers of threads that were measured, as a check, and to the numbers of cores that are asked for.
func (s *Scaling) simulate(l *Load, profiles []profile, m *machine) (list []Simulated) {
	counts := s.threads()
	for _, n := range s.Cores {
		if n > s.Threads {
			counts = append(counts, n)
		}
	}
	serial := serialKinds(profiles)
	for _, n := range slices.Compact(counts) {
		list = append(list, m.step(l.Rows, &profiles[0], serial, n))
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

// step is a step of so many rows with n cores.
func (m *machine) step(rows int, one *profile, serial []bool, n int) Simulated {
	bandwidth, barrier := m.reading(n), m.barrier(n)
	between, parallel := one.step, 0.0
	for i, k := range one.kinds {
		if serial[i] {
			continue
		}
		between -= k.time
		parallel += max(k.time/k.share(n), k.bytes/bandwidth)
		if n > 1 {
			between += k.calls * barrier
		}
	}
	between = max(between, 0)
	step := between + parallel
	return Simulated{Cores: n, Speed: float64(rows) / step, Between: between / step}
}

// share is the number of cores that n of them are worth for a kind of work.
func (k *kind) share(n int) float64 {
	if k.calls == 0 || k.pieces == 0 {
		return float64(n)
	}
	pieces := k.pieces / k.calls
	return pieces / math.Ceil(pieces/float64(n))
}

// reading is what n cores read together, in bytes a second: interpolated where it was measured, beyond that in proportion, and at
// most what is given.
func (m *machine) reading(n int) float64 {
	last := m.reads[len(m.reads)-1]
	if n >= last.Threads {
		all := last.Bandwidth / float64(last.Threads) * float64(n)
		if m.bandwidth > 0 && n > last.Threads {
			all = min(all, m.bandwidth)
		}
		return all
	}
	for _, r := range m.reads {
		if r.Threads >= n {
			return r.Bandwidth
		}
	}
	return last.Bandwidth
}

// barrier is the cost in seconds of a dispatch to n workers.
func (m *machine) barrier(n int) float64 {
	two := 0.0
	for _, r := range m.reads {
		if r.Threads == n {
			return r.Dispatch * 1e-9
		}
		if r.Threads == 2 {
			two = r.Dispatch
		}
	}
	if two == 0 {
		return 0
	}
	near := (n + m.nodes - 1) / m.nodes // workers on the caller's socket
	further := float64(max(near-2, 0)) + m.remote*float64(n-max(near, 2))
	return (two + further*(m.lines.Transfer+m.lines.Read)) * 1e-9
}
