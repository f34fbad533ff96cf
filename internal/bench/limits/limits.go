// Package limits measures what the machine can do at best, in the minute of another measurement: reads from memory, the clock,
// int8 dot products. Nothing is assumed from the processor's name or clock: each is the best of loops that do nothing else. Packages
// kernels, steps and peers print its figures beside their own.
package limits

import (
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Limits are what the machine can do at best, taken in the minute of a measurement.
type Limits struct {
	Bandwidth float64 `json:"read_bytes_per_second"`
	Pattern   string  `json:"read_pattern"`        // the loads that reached it
	Clock     float64 `json:"clock_hz"`            // of one core that is busy
	Ops       float64 `json:"int8_ops_per_second"` // of all threads together; 0: the tier has no 8-bit dot products
}

// Probe measures all limits, with at most so many threads, in half a second to a second. size is how much memory the measured work goes
// through before it comes back to the beginning: what fits into a cache is read faster.
func Probe(tier cpu.Tier, threads, size int) Limits {
	threads = max(threads, 1)
	set := kernel.New(tier)
	l := bandwidth(set, threads, min(size, ColdBytes()), 400*time.Millisecond)
	l.Clock, l.Ops = clock(threads), dotProducts(set, threads, 100*time.Millisecond)
	return l
}

// Best joins two probes. Shared machines change their speed within seconds, so that whoever measures for longer probes again in
// between, and compares with the best that the machine was seen to do.
func (l Limits) Best(o Limits) Limits {
	if o.Bandwidth > l.Bandwidth {
		l.Bandwidth, l.Pattern = o.Bandwidth, o.Pattern
	}
	l.Clock, l.Ops = max(l.Clock, o.Clock), max(l.Ops, o.Ops)
	return l
}

// Bandwidth is the short probe that goes with each round of a comparison. Bandwidth differs by half between minutes on shared
// machines, and decoding a single stream is bound by it.
func Bandwidth(threads int) float64 {
	return bandwidth(kernel.New(cpu.Detect()), max(threads, 1), ColdBytes(), 150*time.Millisecond).Bandwidth
}

// ColdBytes is how much memory has to be gone through before its beginning has left the caches: twice the last one's size.
func ColdBytes() int {
	const atLeast, atMost = 256 << 20, 1 << 30
	return min(max(2*cpu.CacheSizes().L3, atLeast), atMost)
}

// reading is a job for a pool: each worker reads its part of the memory that is next.
type reading struct {
	set     kernel.Set
	pattern kernel.ReadPattern
	next    []byte
}

// Do implements nn.Job.
func (r *reading) Do(worker, workers int) {
	part := len(r.next) / workers / 4096 * 4096
	r.set.Read(r.next[worker*part:(worker+1)*part], r.pattern)
}

// maxWindow is what is read between two looks at the clock: long against the start of the workers, short against another tenant's
// turn on the processor.
const maxWindow = 16 << 20

// bandwidth is the fastest that a buffer of the given size is read, in about the given time. The Pattern is empty where there is no memory for it.
func bandwidth(set kernel.Set, threads, size int, limit time.Duration) Limits {
	r, err := newReads(set, threads, size)
	if err != nil {
		return Limits{} // the bandwidth is not known
	}
	defer r.Close()
	return r.Best(limit)
}

// Reads measures plain reads of one piece of memory as often as it is asked to.
type Reads struct {
	set    kernel.Set
	buffer []byte
	at     int // where the next window begins
	pools  []*nn.Pool
}

// NewReads prepares reads of a buffer with at most so many threads. size is as in Probe.
func NewReads(tier cpu.Tier, threads, size int) (*Reads, error) {
	return newReads(kernel.New(tier), max(threads, 1), min(size, ColdBytes()))
}

func newReads(set kernel.Set, threads, size int) (*Reads, error) {
	buffer, err := kernel.Alloc(max(size, 64<<10)) // as weights have it
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(buffer); i += 4096 {
		buffer[i] = 1 // its own page: untouched ones are all the same page of zeros
	}
	r := &Reads{set: set, buffer: buffer, pools: []*nn.Pool{nn.NewPool(threads)}}
	if threads > 1 {
		r.pools = append(r.pools, nn.NewPool(1))
	}
	return r, nil
}

// Best goes round the buffer with every pattern of reading, alone and with all threads, for about the given time but at least once
// each, and returns the best window.
func (r *Reads) Best(limit time.Duration) (best Limits) {
	for begin := time.Now(); best.Bandwidth == 0 || time.Since(begin) < limit; {
		for _, pool := range r.pools {
			for _, pattern := range r.set.ReadPatterns() {
				if rate := r.windows(pool, pattern); rate > best.Bandwidth {
					best.Bandwidth, best.Pattern = rate, fmt.Sprintf("%v, %d threads", pattern, pool.Workers())
				}
			}
		}
	}
	return best
}

// windows reads the next three windows, and returns the better rate of the last two: the first wakes the workers.
func (r *Reads) windows(pool *nn.Pool, pattern kernel.ReadPattern) (best float64) {
	window := min(maxWindow, len(r.buffer)/4096*4096)
	job := reading{set: r.set, pattern: pattern}
	for turn := range 3 {
		if r.at+window > len(r.buffer) {
			r.at = 0
		}
		job.next = r.buffer[r.at : r.at+window]
		r.at += window
		start := time.Now()
		pool.Run(&job)
		if turn > 0 {
			best = max(best, float64(window)/time.Since(start).Seconds())
		}
	}
	return best
}

// Close frees the buffer and ends the workers.
func (r *Reads) Close() {
	for _, pool := range r.pools {
		pool.Close()
	}
	_ = kernel.Free(r.buffer) // nothing uses it any more
}

// dotting is a job for a pool: each worker does dot products and keeps its best rate.
type dotting struct {
	set   kernel.Set
	rates []float64 // operations per second, by worker
}

// Do implements nn.Job.
func (d *dotting) Do(worker, _ int) {
	const rounds = 4000 // about 50 µs
	start := time.Now()
	operations := d.set.DotCeiling(rounds)
	d.rates[worker] = max(d.rates[worker], float64(operations)/time.Since(start).Seconds())
}

// dotProducts is the sum of what each thread reached at best while the others were busy, too.
func dotProducts(set kernel.Set, threads int, limit time.Duration) (sum float64) {
	pool := nn.NewPool(threads)
	defer pool.Close()
	job := dotting{set: set, rates: make([]float64, threads)}
	for begin := time.Now(); time.Since(begin) < limit; {
		pool.Run(&job)
	}
	for _, rate := range job.rates {
		sum += rate
	}
	return sum
}

// clock measures the cycles per second of cores that are all busy, by a chain of operations that take one cycle each and can't
// overlap. It returns the mean of the threads' best passes.
func clock(threads int) float64 {
	best := make([]float64, max(threads, 1))
	var wg sync.WaitGroup
	for i := range best {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range 40 {
				const loops = 20000
				start := time.Now()
				x := chain(uint64(i)+1, 0x9e3779b97f4a7c15, loops)
				took := time.Since(start).Seconds()
				if x != 0 && took > 0 {
					best[i] = max(best[i], chainCycles*loops/took)
				}
			}
		})
	}
	wg.Wait()
	var sum float64
	for _, b := range best {
		sum += b
	}
	return sum / float64(len(best))
}

const chainCycles = 16 // of one loop of chain

//go:noinline
func chain(x, k uint64, loops int) uint64 {
	for range loops {
		x = bits.RotateLeft64(x^k, 13)
		x = bits.RotateLeft64(x^k, 13)
		x = bits.RotateLeft64(x^k, 13)
		x = bits.RotateLeft64(x^k, 13)
		x = bits.RotateLeft64(x^k, 13)
		x = bits.RotateLeft64(x^k, 13)
		x = bits.RotateLeft64(x^k, 13)
		x = bits.RotateLeft64(x^k, 13)
	}
	return x
}

// Print writes the limits in a line.
func (l Limits) Print(out io.Writer) error {
	text := fmt.Sprintf("the machine, just now: reads %.1f GB/s (%s), clock %.2f GHz", l.Bandwidth/1e9, l.Pattern, l.Clock/1e9)
	if l.Ops > 0 {
		text += fmt.Sprintf(", int8 ceiling %.0f GOPS", l.Ops/1e9)
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
