package model_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kvcache"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

var (
	benchModel   = flag.String("model", "", "GGUF file for BenchmarkForward instead of a tiny model")
	benchThreads = flag.Int("threads", 0, "workers for BenchmarkForward")
	benchContext = flag.Int("context", 128, "position of decoded tokens in BenchmarkForward")
	benchKV      = flag.Int("kv", 0, "cache type for BenchmarkForward: 0 16-bit integers, 1 halves, 2 bytes")
	benchProfile = flag.Bool("profile", false, "print where BenchmarkForward's time goes")
)

// BenchmarkForward times steps: go test -bench Forward -model FILE ./internal/model
func BenchmarkForward(b *testing.B) {
	m, closeAll := benchLoad(b)
	defer closeAll()
	for _, n := range []int{1, 4, 8, 16} {
		b.Run(fmt.Sprintf("decode/batch=%d", n), func(b *testing.B) {
			benchSteps(b, m, decodeBatch(n, *benchContext))
		})
	}
	for _, n := range []int{64, 128, 256, 512} {
		if n > m.Config().Context {
			continue
		}
		b.Run(fmt.Sprintf("prefill/rows=%d", n), func(b *testing.B) {
			benchSteps(b, m, prefillBatch(n))
		})
	}
}

func benchLoad(b *testing.B) (*Model, func()) {
	f, err := tinymodel.Open(tinymodel.Options{Dim: 256, FF: 512})
	if *benchModel != "" {
		f, err = gguf.Open(*benchModel)
	}
	if err != nil {
		b.Fatal(err)
	}
	m, err := Load(f, Options{Tier: cpu.Detect(), Threads: *benchThreads, KV: KVType(*benchKV)})
	if err != nil {
		b.Fatal(err)
	}
	return m, func() {
		if err := m.Close(); err != nil {
			b.Error(err)
		}
		f.Close()
	}
}

func benchSteps(b *testing.B, m *Model, batch *batch.Batch) {
	blocks := 0
	for _, t := range batch.Blocks {
		blocks += len(t)
	}
	c, err := m.NewStore(kvcache.Room{Blocks: blocks})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	fill(m, c, batch)
	m.SetProfile(*benchProfile)
	start, used, best := time.Now(), cpu.Used(), time.Hour
	for b.Loop() {
		began := time.Now()
		m.Forward(batch, c)
		best = min(best, time.Since(began))
	}
	rows, steps := float64(batch.Rows()), float64(b.N)
	b.ReportMetric(rows*steps/time.Since(start).Seconds(), "tok/s")
	b.ReportMetric(rows/best.Seconds(), "best-tok/s")
	b.ReportMetric((cpu.Used()-used).Seconds()*1e3/steps, "cpu-ms/op")
	if *benchProfile {
		printProfile(m.Profile())
	}
}

// fill computes what comes before the batch's rows, so that the cache holds
// plausible keys.
func fill(m *Model, c *kvcache.Store, to *batch.Batch) {
	for s := range to.Seqs() {
		pos := int(to.Positions[to.Start[s]])
		if pos == 0 {
			continue
		}
		b := prefillBatch(min(pos, m.MaxRows()))
		b.Blocks, b.Logits = [][]int32{to.Blocks[s]}, nil
		m.Forward(b, c)
	}
}

func printProfile(p nn.Profile) {
	w := tabwriter.NewWriter(os.Stderr, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nwork\tµs/step\tshare\twait\tGB/s\tGOPS\t")
	var total, wait time.Duration
	for _, k := range nn.Kinds() {
		total += p.Work[k].Time
		wait += p.Work[k].Wait
	}
	for _, k := range nn.Kinds() {
		u := p.Work[k]
		s := u.Time.Seconds()
		fmt.Fprintf(w, "%v\t%.0f\t%.1f%%\t%.0f\t%.1f\t%.0f\t\n", k, s*1e6/float64(p.Steps),
			100*s/total.Seconds(), u.Wait.Seconds()*1e6/float64(p.Steps), float64(u.Bytes)/s/1e9, float64(u.Ops)/s/1e9)
	}
	fmt.Fprintf(w, "all\t%.0f\t\t%.0f\t\t\t\n", total.Seconds()*1e6/float64(p.Steps), wait.Seconds()*1e6/float64(p.Steps))
	w.Flush()
}
