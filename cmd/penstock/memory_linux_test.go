package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/instance"
)

// overhead is what a server may take besides weights and cache.
const overhead = 150e6

// TestMemoryOfAServer: under load, a server's resident memory is its weights, its
// cache and not much more.
func TestMemoryOfAServer(t *testing.T) {
	const cache = 32 << 20
	for _, name := range []string{"smollm2", "gemma3:270m"} {
		t.Run(name, func(t *testing.T) {
			file := hubtest.Open(t, name)
			memory, err := instance.Estimate(file, instance.Options{Tier: cpu.Detect()})
			if err != nil {
				t.Fatal(err)
			}
			pid, url := serve(t, file.Path(), "--kv-memory", strconv.Itoa(cache), "--ctx", "1024", "--max-batch", "8")
			var clients sync.WaitGroup
			for i := range 8 {
				clients.Go(func() { complete(t, url, i) })
			}
			clients.Wait()
			rss := resident(t, pid)
			extra := int64(rss) - int64(memory.Weights) - cache
			t.Logf("resident %s: weights %s, cache %s, %s besides", bytesText(rss), bytesText(memory.Weights), bytesText(cache), bytesText(extra))
			if extra > overhead {
				t.Errorf("the server takes %s besides weights and cache", bytesText(extra))
			}
		})
	}
}

// serve starts a server in a process of its own and waits until it is ready.
func serve(t *testing.T, args ...string) (pid int, url string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := &exec.Cmd{Path: self, Args: append([]string{"penstock", "serve", "--addr", "127.0.0.1:0"}, args...), Stderr: &stderr}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, &stderr)
		}
	})
	address := regexp.MustCompile(`http://[0-9.:]+`)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if url := address.FindString(lines.Text()); url != "" {
			return cmd.Process.Pid, url
		}
	}
	t.Fatalf("the server said no address\n%s", &stderr)
	return 0, ""
}

func complete(t *testing.T, url string, i int) {
	body, err := json.Marshal(map[string]any{
		"prompt": strings.Repeat(fmt.Sprintf("In the year %d, a river ", 1900+i), 20), "max_tokens": 50, "ignore_eos": true,
	})
	if err != nil {
		t.Error(err)
		return
	}
	response, err := http.Post(url+"/v1/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("a completion was answered %s", response.Status)
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
