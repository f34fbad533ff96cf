package instance

import (
	"runtime"
	"runtime/debug"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// Tune sets the runtime up for a process whose compute threads never yield: one
// more processor than these, so that connections get their turn, and a garbage
// collector that runs rarely, since a step allocates nothing. threads 0 means
// all that the process may use. Programs call it before Open.
func Tune(threads int) {
	if threads <= 0 {
		threads = cpu.Threads()
	}
	runtime.GOMAXPROCS(threads + 1)
	debug.SetGCPercent(400)
}
