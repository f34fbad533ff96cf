// Package limits measures what the machine can do at best, in the minute of another measurement: plain reads from memory, the
// clock, int8 operations. It measures none of this project's code. Packages kernels, steps and peers print its figures beside
// their own.
package limits

import (
	"bytes"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// Bandwidth of plain reads differs by half between minutes on shared machines, and single-stream decoding is bound by it, so
// results carry a probe taken beside them.

// readBandwidth reads bytes far larger than the caches with all threads, for about the given time, and returns the best pass in
// bytes per second. The search for a byte that isn't there is the library's vector loop: a read and nothing else.
func readBandwidth(threads int, size int, limit time.Duration) float64 {
	threads = max(threads, 1)
	part := size / threads
	buffers := make([][]byte, threads)
	for i := range buffers {
		buffers[i] = make([]byte, part)
		for j := 0; j < part; j += 4096 {
			buffers[i][j] = 1 // its own page: untouched ones are all the same page of zeros
		}
	}
	var best float64
	for deadline := time.Now().Add(limit); best == 0 || time.Now().Before(deadline); {
		start := time.Now()
		var wg sync.WaitGroup
		for _, b := range buffers {
			wg.Go(func() {
				if bytes.IndexByte(b, 2) >= 0 {
					panic("bench: the probe's buffer was written to")
				}
			})
		}
		wg.Wait()
		best = max(best, float64(part*threads)/time.Since(start).Seconds())
	}
	return best
}

// Bandwidth is the short probe that goes with each round.
func Bandwidth(threads int) float64 {
	return readBandwidth(threads, 256<<20, 150*time.Millisecond)
}

// Limits are what the machine can do at best, taken in the minute of a measurement.
type Limits struct {
	Bandwidth float64 `json:"read_bytes_per_second"`
	Clock     float64 `json:"clock_hz"`            // of one core that is busy
	Ops       float64 `json:"int8_ops_per_second"` // of all threads together; 0: not known for this tier
}

func Probe(tier cpu.Tier, threads int) Limits {
	l := Limits{Bandwidth: readBandwidth(threads, 512<<20, 300*time.Millisecond), Clock: clock(threads)}
	if tier == cpu.AVX512VNNI {
		// One VPDPBUSD on 64 bytes a cycle: 64 products, each with its addition. Measured so on Zen 4; Intel's server cores do two.
		l.Ops = 128 * l.Clock * float64(threads)
	}
	return l
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

func (l Limits) Print(out io.Writer) error {
	text := fmt.Sprintf("the machine, just now: plain reads %.1f GB/s, clock %.2f GHz", l.Bandwidth/1e9, l.Clock/1e9)
	if l.Ops > 0 {
		text += fmt.Sprintf(", int8 ceiling %.0f GOPS", l.Ops/1e9)
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
