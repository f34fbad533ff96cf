package kernel

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/quant"
)

// BenchmarkMul reports GOPS (2·rows·cols·columns per time) and GB/s of packed
// weights. Warm weights fit the caches; cold ones are cycled through more
// memory than any cache holds. Threads share the rows.
func BenchmarkMul(b *testing.B) {
	for _, typ := range allTypes() {
		b.Run(typ.String(), func(b *testing.B) {
			for _, cols := range []int{1, 2, 4, 8, 64} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("warm/C=%d/T=%d", cols, threads), func(b *testing.B) { benchmarkMul(b, typ, cols, threads, 8<<20) })
					b.Run(fmt.Sprintf("cold/C=%d/T=%d", cols, threads), func(b *testing.B) { benchmarkMul(b, typ, cols, threads, 400<<20) })
				}
			}
		})
	}
}

func benchmarkMul(b *testing.B, typ quant.Type, cols, threads, total int) {
	const rows, k = 3072, 1024
	s := New(255)
	if runtime.NumCPU() < threads {
		b.Skipf("%d processors", runtime.NumCPU())
	}
	r := rand.New(rand.NewPCG(1, 2))
	first := newProduct(b, r, s, typ, rows, k, cols)
	bytes := first.m.Groups() * first.m.GroupBytes()
	ms := []*Matrix{first.m}
	for (len(ms)+1)*bytes <= total {
		m, err := NewMatrix(typ, rows, k)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = m.Free() })
		copy(m.memory, first.m.memory)
		ms = append(ms, m)
	}
	ldy := first.m.Groups() * Lanes
	y := make([]float32, cols*ldy)
	pass := func(n int) time.Duration {
		var wg sync.WaitGroup
		start := time.Now()
		for t := range threads {
			wg.Go(func() {
				g0, g1 := first.m.Groups()*t/threads, first.m.Groups()*(t+1)/threads
				for i := range n {
					s.Mul(ms[i%len(ms)], y, ldy, first.p, g0, g1, false)
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	// Samples of about 5 ms; the best is what the machine does undisturbed.
	n := max(1, int(5*time.Millisecond/max(1, pass(1))))
	n = max(n, len(ms)/4*(total>>28))
	best := time.Hour
	b.ResetTimer()
	for range b.N {
		best = min(best, pass(n))
	}
	report := func(d time.Duration, suffix string) {
		perOp := d.Seconds() / float64(n)
		b.ReportMetric(2*rows*k*float64(cols)/perOp/1e9, "GOPS"+suffix)
		b.ReportMetric(float64(bytes)/perOp/1e9, "GB/s"+suffix)
	}
	report(b.Elapsed()/time.Duration(b.N), "")
	report(best, "-best")
	b.ReportMetric(0, "ns/op")
}
