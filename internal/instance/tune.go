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
	// garbage is how much may lie about between two collections: half of what is in
	// use, within these bounds. The lower one is a part of Process.
	leastGarbage, mostGarbage = 48 << 20, 256 << 20
	// code is the part of Process that is the program itself, which the runtime does
	// not count.
	code = 36 << 20
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

// Heap sets the garbage collector up for what the process holds. Instances in one
// process share one.
type Heap struct {
	limited bool // somebody else has set a limit, such as GOMEMLIMIT, which stays
}

// NewHeap notes how the collector is set up before any instance is there.
func NewHeap() *Heap { return &Heap{limited: debug.SetMemoryLimit(-1) != math.MaxInt64} }

// Tune sets the collector up for what is in the heap once a model was loaded or
// unloaded: what requests leave behind stays within the plan's share for the process,
// and on systems where weights and cache are in the heap, the usual percentage would
// let four times their size become garbage before anything is collected. room
// is the memory of the process without what the runtime does not see of it, 0 if
// there is no limit.
func (h *Heap) Tune(room uint64) {
	runtime.GC() // what loading, or the model that is gone, has left behind
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(gcPercent(m.HeapAlloc))
	if room > 0 && !h.limited {
		debug.SetMemoryLimit(heapLimit(room, m.HeapAlloc))
	}
}

// left is a limit without what is taken of it, and at least 1: 0 would mean that
// there is no limit.
func left(limit, taken uint64) uint64 { return max(1, limit-min(taken, limit)) }

// gcPercent is the garbage that is allowed, as a percentage of what is in use.
func gcPercent(used uint64) int {
	garbage := min(max(used/2, leastGarbage), mostGarbage)
	return int(min(seldom, max(1, 100*garbage/max(used, 1))))
}

// heapLimit is the memory that the runtime may use. Less than a little more than
// what is in use would have it collect all the time.
func heapLimit(room, used uint64) int64 {
	return int64(min(max(room-min(code, room), used+used/4+Process/2), math.MaxInt64))
}

// outside is what the runtime does not see of an instance's memory. Elsewhere than
// on Linux weights, buffers and cache are in its heap.
func (m *Memory) outside() uint64 {
	if runtime.GOOS != "linux" {
		return m.File
	}
	return m.Weights + m.Buffers + m.Cache + m.File
}
