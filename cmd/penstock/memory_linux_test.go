package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/instance"
)

// overhead is what a server may take besides weights, cache and vocabulary.
const overhead = 120e6

// TestMemoryOfAServer: under load, a server's resident memory is its weights, its
// cache, its vocabulary and not much more.
func TestMemoryOfAServer(t *testing.T) {
	const cache = 32 << 20
	load := 8
	if cpu.Detect() == cpu.Generic {
		load = 2 // without assembly eight take minutes
	}
	for _, name := range []string{"smollm2", "gemma3:270m"} {
		t.Run(name, func(t *testing.T) {
			file := hubtest.Open(t, name)
			memory, err := instance.Estimate(file, instance.Options{Tier: cpu.Detect()})
			if err != nil {
				t.Fatal(err)
			}
			server := serve(t, file.Path(), "--kv-memory", strconv.Itoa(cache), "--ctx", "1024", "--max-batch", "8")
			var clients sync.WaitGroup
			for i := range load {
				clients.Go(func() { complete(t, server.url, i) })
			}
			clients.Wait()
			rss := resident(t, server.process.Pid)
			extra := int64(rss) - int64(memory.Weights) - int64(memory.Words) - cache
			t.Logf("resident %s: weights %s, vocabulary %s, cache %s, %s besides", bytesText(rss), bytesText(memory.Weights), bytesText(memory.Words), bytesText(cache), bytesText(extra))
			if extra > overhead {
				t.Errorf("the server takes %s besides weights, vocabulary and cache", bytesText(extra))
			}
		})
	}
}

// resident is what a process has in memory.
func resident(t *testing.T, pid int) uint64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * uint64(os.Getpagesize())
}
