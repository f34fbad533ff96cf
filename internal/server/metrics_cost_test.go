package server

import (
	"net/http"
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// reader reads /metrics and keeps nothing of it.
func (f *fixture) reader(t testing.TB) func() (bytes int) {
	r, err := http.NewRequest("GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &nothing{header: http.Header{}}
	return func() int {
		w.bytes = 0
		f.ServeHTTP(w, r.WithContext(t.Context()))
		return w.bytes
	}
}

// TestScrapeAllocs: routers read /metrics 20 times a second, so it must not make
// an object of every line, of which there are some 900.
func TestScrapeAllocs(t *testing.T) {
	f := newFixture(t, "abc\x00")
	f.post(t, "/v1/chat/completions", "{"+hello+"}")
	f.settled(t)
	read := f.reader(t)
	if n := read(); n < 50_000 {
		t.Fatalf("the page has only %d bytes", n)
	}
	n := alloctest.PerRun(20, func() { read() })
	t.Logf("%v allocations", n)
	if n > 300 {
		t.Errorf("a scrape makes %v objects", n)
	}
}

// BenchmarkScrape is one read of /metrics through the handler, in CPU time of the
// whole process.
func BenchmarkScrape(b *testing.B) {
	f := newFixture(b, "abc\x00")
	f.post(b, "/v1/chat/completions", "{"+hello+"}")
	f.settled(b)
	read := f.reader(b)
	b.ReportAllocs()
	before := cpu.Used()
	for b.Loop() {
		read()
	}
	b.ReportMetric(float64((cpu.Used()-before).Microseconds())/float64(b.N), "cpu-us/op")
}
