package peers

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/results"
)

func TestPeersConclusion(t *testing.T) {
	r := PeersRow{Work: "http 8", Floor: 2, Medians: map[string]float64{},
		Samples: map[string][]float64{"penstock": {300, 310, 330}, "llama-server": {100, 110, 90}, "openvino": {150, 150, 160}}}
	if !r.conclude() || r.Best != "openvino" || !r.Reached || r.Ratio.Value != 330.0/160 {
		t.Errorf("%+v", r)
	}
	alone := PeersRow{Samples: map[string][]float64{"penstock": {1}}, Medians: map[string]float64{}}
	if alone.conclude() {
		t.Error("a row without peers has a ratio")
	}
	m := PeersModel{Model: "m", Rows: []PeersRow{r}, Absent: map[string]string{"llama.cpp": "no"}}
	var out bytes.Buffer
	if err := m.print(&out); err != nil || !strings.Contains(out.String(), "2.06 x") || !strings.Contains(out.String(), "reached") {
		t.Errorf("%v\n%s", err, out.String())
	}
	res := &PeersResult{Record: results.Record{Kind: "peers"}, Models: []PeersModel{m}}
	if res.Headline() != "1 models, 1 of 1 floors reached" {
		t.Error(res.Headline())
	}
}

// Three rounds are no ground for a claim: the table shows medians and says so, and floors are not held against them.
func TestFewRoundsClaimNothing(t *testing.T) {
	p := &Peers{Models: []string{"m.gguf"}, Llama: t.TempDir(), Floors: "f.json", Rounds: 4, Share: 1}
	if err := p.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "--rounds of at least 5") {
		t.Errorf("%v", err)
	}
	r := &CompareResult{Servers: []Compared{{Name: "a"}, {Name: "b", Kept: true}}}
	for i := range 4 {
		speed := float64(100 + i)
		r.Rounds = append(r.Rounds, CompareRound{Runs: []loadtest.Summary{{TokensPerSecond: 9 * speed}, {TokensPerSecond: speed}}, CPU: make([]float64, 2)})
	}
	r.Conclude()
	var out bytes.Buffer
	if err := r.print(&out); err != nil || !strings.Contains(out.String(), "no claim about a and b") || strings.Contains(out.String(), "[") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "b was not restarted") {
		t.Error(out.String())
	}
	r.Rounds = append(r.Rounds, r.Rounds[0])
	r.Conclude()
	out.Reset()
	if err := r.print(&out); err != nil || strings.Contains(out.String(), "no claim") || !strings.Contains(out.String(), "9.00 x  [9.00, 9.00]") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestFloorsFile(t *testing.T) {
	f, err := results.ReadFloors("../../../bench/floors.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range rows {
		known[r.name] = true
	}
	files := map[string]bool{}
	for _, e := range f.Works {
		for work, x := range e.Works {
			if !known[work] || x <= 0 {
				t.Errorf("%v: floor %v of unknown work %q", e.Files, x, work)
			}
		}
		for _, name := range e.Files {
			files[name] = true
			if len(f.ModelWorks(name, "avx512vnni")) == 0 {
				t.Errorf("%s has no floors", name)
			}
			if works := f.ModelWorks(name, "avx2"); len(works) != 1 || works["http 8"] != 2.5 {
				t.Errorf("%s on AVX2: %v", name, works)
			}
		}
	}
	if works := f.ModelWorks("unknown.gguf", "avx2"); works != nil {
		t.Errorf("a model without floors has %v", works)
	}
	if len(files) != 10 {
		t.Errorf("%d files", len(files))
	}
}

// A part of a row's requests is never less than one for every client, nor none of them.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		share float64
		want  []int
	}{{1, []int{40, 40, 48, 4, 3}}, {0.5, []int{20, 20, 24, 2, 2}}, {0.01, []int{8, 8, 16, 1, 1}}} {
		for i, r := range rows {
			if got := r.part(c.share).requests; got != c.want[i] {
				t.Errorf("%s, share %g: %d requests, want %d", r.name, c.share, got, c.want[i])
			}
		}
	}
	for _, share := range []float64{0, -1, 1.5} {
		p := &Peers{Models: []string{"m.gguf"}, Llama: t.TempDir(), Rounds: 5, Share: share}
		if err := p.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "--share") {
			t.Errorf("share %g: %v", share, err)
		}
	}
}

// What an unfinished round has measured of some programs does not count.
func TestInterruptedRound(t *testing.T) {
	m := &PeersModel{Bandwidth: []float64{1, 1, 1}, Rows: []PeersRow{
		{Floor: 2, Samples: map[string][]float64{self: {10, 12, 90}, "llama-server": {5, 6}}, Medians: map[string]float64{}},
	}}
	m.cut(2)
	r := &m.Rows[0]
	if !r.conclude() || r.Ratio.Value != 2 || r.Medians[self] != 11 || r.Floor != 0 || len(m.Bandwidth) != 2 {
		t.Errorf("%+v, bandwidth of %d rounds", *r, len(m.Bandwidth))
	}
}
