package bench

import (
	"bytes"
	"sync"
	"time"
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

// probeBandwidth is the short probe that goes with each round.
func probeBandwidth(threads int) float64 {
	return readBandwidth(threads, 256<<20, 150*time.Millisecond)
}
