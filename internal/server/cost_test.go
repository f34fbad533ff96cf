package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
)

// nothing is a ResponseWriter that takes everything and keeps nothing.
type nothing struct {
	header  http.Header
	flushes int
	bytes   int
}

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) WriteHeader(int)             {}
func (n *nothing) Write(b []byte) (int, error) { n.bytes += len(b); return len(b), nil }
func (n *nothing) Flush()                      { n.flushes++ }

func mockEngine() engine.Executor {
	return engine.NewMock(engine.MockConfig{Vocab: testVocab, Blocks: 8192, First: byteToken + 'a', Last: byteToken + 'z'})
}

func roomy(_ *Config, e *engineConfig) { e.Blocks, e.Context, e.MaxQueue = 8192, 32768, 256 }

// A streamed token costs next to no allocations from the engine to the writer.
func TestStreamedTokenAllocs(t *testing.T) {
	f := serve(t, mockEngine(), roomy)
	for path, body := range map[string]string{
		"/v1/chat/completions": "{" + hello + `,"max_tokens":%d,"temperature":0,"ignore_eos":true,"stream":true}`,
		"/v1/completions":      `{"prompt":"abc","max_tokens":%d,"temperature":0,"ignore_eos":true,"stream":true,"stop":["ABC"]}`,
		"/generate_stream":     `{"prompt":"abc","max_tokens":%d,"temperature":0,"ignore_eos":true}`,
		"/completion":          `{"prompt":"abc","max_tokens":%d,"temperature":0,"ignore_eos":true,"stream":true}`,
	} {
		run := func(tokens int) (allocs uint64, flushes int) {
			r, err := http.NewRequest("POST", path, strings.NewReader(fmt.Sprintf(body, tokens)))
			if err != nil {
				t.Fatal(err)
			}
			w := &nothing{header: http.Header{}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f.ServeHTTP(w, r.WithContext(t.Context()))
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs, w.flushes
		}
		run(100)
		const more = 2000
		short, flushes, perToken := uint64(0), 0, math.Inf(1)
		for range 3 { // what else the process does is counted, too
			var long uint64
			short, _ = run(100)
			long, flushes = run(100 + more)
			perToken = min(perToken, float64(long-min(short, long))/more)
		}
		t.Logf("%s: %.3f allocations a token, %d for a request; %d flushes", path, perToken, short, flushes)
		if perToken > 0.03 {
			t.Errorf("%s: %.3f allocations a token", path, perToken)
		}
	}
}

// BenchmarkStreamedToken is a token from the mock executor through the handler
// and a loopback socket. The CPU time is the whole process's, so the reading
// side of the socket, which only counts bytes, is in it, too.
func BenchmarkStreamedToken(b *testing.B) {
	for _, streams := range []int{1, 8} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			// Steps of a realistic length: no step finds the last one's tokens unsent.
			x := engine.NewMock(engine.MockConfig{Vocab: testVocab, Blocks: 8192, First: byteToken + 'a', Last: byteToken + 'z', StepTime: time.Millisecond})
			f := serve(b, x, roomy)
			ts := f.listen(b)
			each := b.N/streams + 1
			var wait sync.WaitGroup
			start := cpu.Used()
			b.ResetTimer()
			for range streams {
				wait.Go(func() {
					conn, err := net.Dial("tcp", ts.Listener.Addr().String())
					if err != nil {
						b.Error(err)
						return
					}
					defer conn.Close()
					body := fmt.Sprintf("{"+hello+`,"max_tokens":%d,"temperature":0,"ignore_eos":true,"stream":true}`, each)
					fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
					if err := untilDone(conn); err != nil {
						b.Error(err)
					}
				})
			}
			wait.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpu.Used()-start)/1e3/float64(each*streams), "cpu-µs/token")
		})
	}
}

func untilDone(conn net.Conn) error {
	buf := make([]byte, 1<<16)
	keep := 0
	for {
		n, err := conn.Read(buf[keep:])
		if err != nil {
			return err
		}
		if bytes.Contains(buf[:keep+n], []byte("data: [DONE]")) {
			return nil
		}
		keep = copy(buf, buf[max(0, keep+n-16):keep+n])
	}
}

// BenchmarkRequest is a chat request of a 32-token prompt and one token, not
// streamed, over a connection that is kept.
func BenchmarkRequest(b *testing.B) {
	f := serve(b, mockEngine(), roomy)
	ts := f.listen(b)
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	body := `{"model":"tiny","messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"Why is the sky blue?"}],"max_tokens":1,"temperature":0}`
	request := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	br := bufio.NewReader(conn)
	b.ReportAllocs()
	start := cpu.Used()
	for b.Loop() {
		io.WriteString(conn, request)
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		if r.StatusCode != 200 {
			b.Fatalf("status %d", r.StatusCode)
		}
	}
	b.ReportMetric(float64(cpu.Used()-start)/1e3/float64(b.N), "cpu-µs/op")
}
