package instance

import (
	"math"
	"runtime"
	"runtime/debug"

	"github.com/penstock-llm/penstock/internal/cpu"
)

const (
	// seldom is the collector's percentage where the heap is small: a step
	// allocates nothing, so collections are for connections only.
	seldom = 400
	// garbage is how much may lie about between two collections where it is large.
	garbage = 256 << 20
)

// Tune sets the runtime up for a process whose compute threads never yield: one
// more processor than these, so that connections get their turn, and a garbage
// collector that runs rarely. threads 0 means all that the process may use.
// Programs call it before Open.
func Tune(threads int) {
	if threads <= 0 {
		threads = cpu.Threads()
	}
	runtime.GOMAXPROCS(threads + 1)
	debug.SetGCPercent(seldom)
}

// tuneHeap sets the collector up for what is in the heap once a model is loaded.
// On systems where weights and cache are in the heap, the usual percentage would
// let four times their size become garbage before anything is collected. limit is
// the memory of the process, 0 if there is none, and outside what of it the
// runtime does not see. A limit that was set from outside stays.
func tuneHeap(limit, outside uint64) {
	runtime.GC() // what loading has left behind
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(gcPercent(m.HeapAlloc))
	if limit > 0 && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(heapLimit(limit, outside, m.HeapAlloc))
	}
}

// gcPercent is the garbage that is allowed, as a percentage of what is in use.
func gcPercent(used uint64) int {
	return int(min(seldom, max(1, 100*garbage/max(used, 1))))
}

// heapLimit is the memory that the runtime may use. Less than a little more than
// what is in use would have it collect all the time.
func heapLimit(limit, outside, used uint64) int64 {
	left := limit - min(outside, limit)
	return int64(min(max(left, used+used/4+process/2), math.MaxInt64))
}

// outside is what the runtime does not see of an instance's memory. Elsewhere than
// on Linux weights, buffers and cache are in its heap.
func (m *Memory) outside() uint64 {
	if runtime.GOOS != "linux" {
		return m.File
	}
	return m.Weights + m.Buffers + m.Cache + m.File
}
