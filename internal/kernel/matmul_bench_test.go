package kernel

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/quant"
)

// BenchmarkMul reports GOPS (2·rows·cols·columns per time) and GB/s of packed
// weights, on average and for the best sample: on a shared machine the best is
// what the kernel can do. Warm weights fit the caches; cold ones don't. Threads
// share the rows.
func BenchmarkMul(b *testing.B) {
	for _, typ := range allTypes() {
		b.Run(typ.String(), func(b *testing.B) {
			for _, cols := range []int{1, 2, 3, 4, 8, 64} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("warm/C=%d/T=%d", cols, threads), func(b *testing.B) { benchmarkMul(b, typ, 3072, cols, threads) })
					b.Run(fmt.Sprintf("cold/C=%d/T=%d", cols, threads), func(b *testing.B) { benchmarkMul(b, typ, 151936, cols, threads) })
				}
			}
		})
	}
}

// benchTier is PENSTOCK_CPU's tier, or the best.
func benchTier(b *testing.B) Set {
	tier := cpu.Detect()
	if name := os.Getenv("PENSTOCK_CPU"); name != "" {
		var err error
		if tier, err = cpu.ParseTier(name); err != nil {
			b.Fatal(err)
		}
	}
	return New(tier)
}

func benchmarkMul(b *testing.B, typ quant.Type, rows, cols, threads int) {
	const k = 1024
	if runtime.NumCPU() < threads {
		b.Skipf("%d processors", runtime.NumCPU())
	}
	s, r := benchTier(b), rand.New(rand.NewPCG(1, 2))
	pr := newProduct(b, r, s, typ, extent{min(rows, 3072), k, cols})
	m := pr.m
	if rows > m.Rows {
		var err error
		if m, err = NewMatrix(typ, rows, k); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = m.Free() })
		for at := 0; at < len(m.memory); at += len(pr.m.memory) {
			copy(m.memory[at:], pr.m.memory)
		}
	}
	ldy := m.Groups() * Lanes
	y := make([]float32, cols*ldy)
	spaces := make([][]byte, threads)
	for i := range spaces {
		spaces[i] = NewSpace()
	}
	sampled(b, threads, func(t int) {
		s.Mul(m, pr.p, m.Groups()*t/threads, m.Groups()*(t+1)/threads, Output{Y: y, LD: ldy, Space: spaces[t]})
	}, map[string]float64{"GOPS": 2 * float64(rows) * k * float64(cols), "GB/s": float64(len(m.memory))})
}

// BenchmarkRead is the bandwidth that cold products are held against.
func BenchmarkRead(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("T=%d", threads), func(b *testing.B) {
			s, n := benchTier(b), 160<<20
			mem, err := Alloc(n)
			if err != nil {
				b.Fatal(err)
			}
			defer Free(mem)
			for i := range mem {
				mem[i] = byte(i)
			}
			patterns := s.ReadPatterns()
			sampled(b, threads, func(t int) {
				s.Read(mem[n*t/threads:n*(t+1)/threads], patterns[len(patterns)-1])
			}, map[string]float64{"GB/s": float64(n)})
		})
	}
}

// sampled runs f on every thread, as often as fills 5 ms, b.N times, and reports
// each amount in billions per second.
func sampled(b *testing.B, threads int, f func(thread int), amounts map[string]float64) {
	pass := func(n int) time.Duration {
		var wg sync.WaitGroup
		start := time.Now()
		for t := range threads {
			wg.Go(func() {
				for range n {
					f(t)
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	n := max(1, int(5*time.Millisecond/max(1, pass(1))))
	best := time.Hour
	b.ResetTimer()
	for range b.N {
		best = min(best, pass(n))
	}
	for unit, amount := range amounts {
		total := amount * float64(n) / 1e9
		b.ReportMetric(total*float64(b.N)/b.Elapsed().Seconds(), unit)
		b.ReportMetric(total/best.Seconds(), unit+"-best")
	}
	b.ReportMetric(0, "ns/op")
}
