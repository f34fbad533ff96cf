package draw

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/peers"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

func record(kind string) results.Record {
	return results.Record{Kind: kind, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "abc"}
}

func layersResult() *layers.Result {
	r := &layers.Result{Record: record("layers"), Settings: map[string]any{"conditions": "model m"}, Axes: []layers.LayerResult{{Name: "tls", TokensPerSecond: 98}},
		Spans: &layers.SpanTable{Spans: []layers.SpanRow{{Name: "queue wait", Mean: 1, Share: 1}}, Latency: 1, Attributed: 1, Share: 1, Trusted: true},
		Peers: []layers.PeerLayers{{Name: "llama-server", Layers: []layers.LayerResult{{Name: "core", TokensPerSecond: 50}, {Name: "http", TokensPerSecond: 49, Loss: 0.02}}}}}
	for i, name := range []string{"core", "handler", "http"} {
		speed := 100 - float64(i)
		r.Layers = append(r.Layers, layers.LayerResult{Name: name, TokensPerSecond: speed, Samples: []float64{speed - 1, speed, speed + 1}})
	}
	r.Layers[1].OfCore, r.Layers[2].OfCore = &stats.Estimate{Value: 0.99}, &stats.Estimate{Value: 0.98}
	return r
}

func loadResult() *loadtest.Result {
	ms := time.Millisecond
	return &loadtest.Result{Record: record("load"), Samples: []load.Sample{
		{Start: 0, First: ms, End: 3 * ms, Events: []time.Duration{ms, 2 * ms, 3 * ms}, Completion: 3},
		{Start: ms, End: 5 * ms, Completion: 4}}, Summary: &loadtest.Summary{TokensPerSecond: 7}}
}

func costResult() *loadtest.Result {
	r := sweepResult()
	for i, p := range r.Sweep.Points {
		r.Sweep.Points[i].Words = 30
		p.Words = 500
		r.Sweep.Points = append(r.Sweep.Points, p)
	}
	return r
}

func sweepResult() *loadtest.Result {
	s := &loadtest.Sweep{Axis: "clients"}
	for _, n := range []float64{1, 2, 4} {
		s.Points = append(s.Points, loadtest.SweepPoint{Load: n, Steady: loadtest.Steady{TokensPerSecond: 10 * n}, Summary: loadtest.Summary{E2E: stats.Distribution{P50: n, P99: 2 * n}}})
	}
	return &loadtest.Result{Record: record("load"), Sweep: s}
}

func compareResult(speed float64) *peers.CompareResult {
	r := &peers.CompareResult{Record: record("compare"), Servers: []peers.Compared{{Name: "a"}, {Name: "b"}}}
	for range 5 {
		r.Rounds = append(r.Rounds, peers.CompareRound{Runs: []loadtest.Summary{{TokensPerSecond: speed}, {TokensPerSecond: speed / 2}}, CPU: make([]float64, 2)})
	}
	r.Conclude()
	return r
}

func peersResult() *peers.PeersResult {
	return &peers.PeersResult{Record: record("peers"), Models: []peers.PeersModel{{Model: "m", Rows: []peers.PeersRow{
		{Work: "http 8", Samples: map[string][]float64{"penstock": {2, 2}}, Ratio: stats.Estimate{Value: 2, CI95: [2]float64{1.9, 2.1}}}}}}}
}

// Every kind of result becomes the figures that the documents show.
func TestFigures(t *testing.T) {
	for name, c := range map[string]struct {
		result results.Result
		want   []string
	}{
		"load":    {loadResult(), []string{"arrivals", "timeline"}},
		"cost":    {costResult(), []string{"serving-cost"}},
		"sweep":   {sweepResult(), []string{"latency", "throughput"}},
		"compare": {compareResult(100), []string{"compare"}},
		"peers":   {peersResult(), []string{"peers"}},
		"layers":  {layersResult(), []string{"layers", "waterfalls", "axes"}},
	} {
		figures, err := figuresOf(c.result)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, f := range figures {
			got = append(got, f.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The waterfalls of all servers end up in one figure.
func TestWaterfallsOfPeers(t *testing.T) {
	list := falls(layersResult())
	if len(list) != 3 || list[1].Name != "llama-server" || list[2].Steps[2].Value != 54.3 {
		t.Errorf("%+v", list)
	}
}

func store(t *testing.T, dir, name string, r results.Result) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := results.SaveJSON(path, r); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPageOfLayers(t *testing.T) {
	dir := t.TempDir()
	d := &Draw{Files: []string{store(t, dir, "l.json", layersResult())}, HTML: filepath.Join(dir, "l.html"), Figures: dir}
	if err := d.Run(); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(d.HTML)
	if err != nil || !bytes.Contains(html, []byte("<svg")) || !bytes.Contains(html, []byte("queue wait")) {
		t.Errorf("the page: %v", err)
	}
	for _, name := range []string{"layers.svg", "layers.png", "axes.svg"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestPageOfHistory(t *testing.T) {
	dir := t.TempDir()
	store(t, dir, "1.json", compareResult(102))
	later := compareResult(122)
	later.Time = later.Time.Add(time.Hour)
	store(t, dir, "2.json", later)
	d := &Draw{Results: dir, HTML: filepath.Join(dir, "r.html")}
	if err := d.Run(); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(d.HTML)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "a 122.0 tokens/s", "compare over time", "2026-01-02 03:04"} {
		if !bytes.Contains(html, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if bytes.Contains(html, []byte("src=")) || bytes.Contains(html, []byte("<script")) {
		t.Error("the page is not self-contained")
	}
}

func TestDrawRefuses(t *testing.T) {
	for want, d := range map[string]*Draw{
		"nothing to do":    {Results: t.TempDir()},
		"holds no results": {Results: t.TempDir(), HTML: "x.html"},
		"no such file":     {Files: []string{"/does/not/exist"}, HTML: "x.html"},
	} {
		if err := d.Run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
