package peers

import (
	"bytes"
	"strings"
	"testing"

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
			if len(f.ModelWorks(name)) == 0 {
				t.Errorf("%s has no floors", name)
			}
		}
	}
	if len(files) != 6 {
		t.Errorf("%d files", len(files))
	}
}
