package kvcache

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock-llm/penstock/internal/quant"
)

// Who writes to what Prepare has been through waits for no page.
func TestPrepareProvides(t *testing.T) {
	c, err := newCache(Config{Layers: 8, KVHeads: 4, HeadDim: 128, Blocks: 128, Type: quant.F16})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := unix.Madvise(c.mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		t.Fatal(err) // small pages are easier to count; EINVAL: there are no others
	}
	if err := populate(c.mem[:os.Getpagesize()]); err == unix.EINVAL {
		t.Log("this kernel provides no pages ahead")
		return
	}
	for c.Prepare(32) {
	}
	// The thread has a few faults of its own, and more under the race detector.
	pages, n := c.prepared/os.Getpagesize(), faults(t, c.mem[:c.prepared])
	if n > pages/10 {
		t.Errorf("%d page faults in %d pages that were prepared", n, pages)
	}
	pages, n = (len(c.mem)-c.prepared)/os.Getpagesize(), faults(t, c.mem[c.prepared:])
	if n < pages {
		t.Errorf("%d page faults in the %d pages of the rest: more was prepared", n, pages)
	}
}

// faults is the number of page faults of writing to every page of mem.
func faults(t *testing.T, mem []byte) int {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	count := func() int64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return u.Minflt
	}
	before := count()
	for at := 0; at < len(mem); at += os.Getpagesize() {
		mem[at] = 1
	}
	return int(count() - before)
}
