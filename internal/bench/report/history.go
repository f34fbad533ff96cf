package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/kernels"
	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/peers"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/bench/steps"
)

// kinds has a constructor of an empty result for each kind.
var kinds = map[string]func() results.Result{
	"load":    func() results.Result { return new(loadtest.Result) },
	"compare": func() results.Result { return new(peers.CompareResult) },
	"kernels": func() results.Result { return new(kernels.Result) },
	"mock":    func() results.Result { return new(layers.MockResult) },
	"steps":   func() results.Result { return new(steps.Result) },
	"layers":  func() results.Result { return new(layers.Result) },
	"peers":   func() results.Result { return new(peers.PeersResult) },
}

// Read reads one result.
func Read(path string) (results.Result, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r results.Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s is no result: %w", path, err)
	}
	empty, ok := kinds[r.Kind]
	if !ok {
		return nil, fmt.Errorf("%s is no result: kind %q is not known", path, r.Kind)
	}
	s := empty()
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// History reads every result of a folder, oldest first.
func History(dir string) ([]results.Result, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var out []results.Result
	for _, path := range paths {
		s, err := Read(path)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b results.Result) int { return a.Meta().Time.Compare(b.Meta().Time) })
	return out, nil
}

// fileName is where a result is kept: one file a run.
func fileName(r *results.Record) string {
	name := r.Time.Format("20060102-150405") + "-" + r.Kind
	if r.Commit != "" {
		name += "-" + strings.ReplaceAll(r.Commit, "+", "-")
	}
	return name + ".json"
}

// Difference is one quantity in two runs.
type Difference struct {
	Name  string         `json:"name"`
	Unit  string         `json:"unit"`
	Old   float64        `json:"old"`
	New   float64        `json:"new"`
	Ratio stats.Estimate `json:"ratio"` // new over old
	// P is the chance of such a difference, or a larger one, if there were none: Welch's t test on the repeats, adjusted by Holm's
	// method for all the quantities of the table.
	P     float64 `json:"p"`
	Lower bool    `json:"lower_is_better,omitempty"`
	// Drift is how much the machine's own speed differed between the runs, if by so much that this quantity says nothing about the
	// programs. Ratios of things that were measured in the same rounds have none.
	Drift float64 `json:"machine_drift,omitempty"`
}

// level is the most that the chance of calling two runs of the same thing different may be.
const level = 0.05

// mostDrift is the change of the machine's speed, by its probes, beyond which speeds of two runs are not compared.
const mostDrift = 0.1

// claims reports whether the two runs allow a verdict on the quantity.
func (d Difference) claims() bool { return d.Ratio.Claims() && d.Drift == 0 }

func (d Difference) significant() bool { return d.claims() && d.P < level }

func (d Difference) verdict() string {
	switch {
	case !d.Ratio.Claims():
		return fmt.Sprintf("no claim: %d repeats, at least %d are needed", d.Ratio.N, stats.MinRepeats)
	case d.Drift != 0:
		return fmt.Sprintf("no claim: the machine's own speed differed by %.0f %%", 100*d.Drift)
	case !d.significant():
		return "no difference beyond the noise"
	case (d.Ratio.Value > 1) == d.Lower:
		return "worse"
	default:
		return "better"
	}
}

// differences compares two results. It fails for results of different kinds, with different settings, or from different machines.
func differences(a, b results.Result) ([]Difference, error) {
	if a.Meta().Kind != b.Meta().Kind {
		return nil, fmt.Errorf("a %s result can't be compared with a %s result", a.Meta().Kind, b.Meta().Kind)
	}
	if unlike := unlikeSettings(a.Conditions(), b.Conditions()); len(unlike) > 0 {
		return nil, fmt.Errorf("the runs differ in %s", strings.Join(unlike, ", "))
	}
	if x, y := a.Meta().Machine, b.Meta().Machine; x.CPU != y.CPU || x.Threads != y.Threads || x.Tier != y.Tier {
		return nil, fmt.Errorf("the runs are of different machines: %s (%s, %d threads) and %s (%s, %d threads)",
			x.CPU, x.Tier, x.Threads, y.CPU, y.Tier, y.Threads)
	}
	old := map[string]results.Series{}
	for _, s := range a.Series() {
		old[s.Name] = s
	}
	moved := drift(old, b.Series())
	var out []Difference
	for _, s := range b.Series() {
		o, ok := old[s.Name]
		if !ok || s.Probe || len(o.Values) == 0 || len(s.Values) == 0 {
			continue
		}
		d := Difference{Name: s.Name, Unit: s.Unit, Lower: s.Lower, Old: stats.EstimateSpeed(o.Values).Value, New: stats.EstimateSpeed(s.Values).Value}
		if d.Ratio, d.P = stats.CompareSpeeds(s.Values, o.Values); !stats.Finite(d.Ratio.Value) {
			return nil, fmt.Errorf("%s: a median of zero can't be compared", s.Name)
		}
		if !s.Ratio {
			d.Drift = moved
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, errors.New("the two results share no quantity")
	}
	adjust(out)
	return out, nil
}

// drift is the largest change of the machine's own speed between two runs, by the medians of the probes that both have; 0 when it
// is no more than mostDrift.
func drift(old map[string]results.Series, list []results.Series) float64 {
	var most float64
	for _, s := range list {
		if o := old[s.Name]; s.Probe && o.Probe {
			change := math.Abs(math.Log(stats.Median(s.Values) / stats.Median(o.Values)))
			if stats.Finite(change) { // a probe of 0 is none
				most = max(most, math.Expm1(change))
			}
		}
	}
	if most <= mostDrift {
		return 0
	}
	return most
}

// adjust corrects the p-values for the number of quantities that are looked at. Those with too few repeats for a claim do not count.
func adjust(list []Difference) {
	var claims []int
	var ps []float64
	for i, d := range list {
		if d.claims() {
			claims, ps = append(claims, i), append(ps, d.P)
		}
	}
	for k, p := range stats.Holm(ps) {
		list[claims[k]].P = p
	}
}

// unlikeSettings names the settings in which two runs differ.
func unlikeSettings(a, b map[string]any) []string {
	var out []string
	for k, x := range a {
		if y, ok := b[k]; ok && !reflect.DeepEqual(normal(x), normal(y)) {
			out = append(out, fmt.Sprintf("%s (%v and %v)", k, x, y))
		}
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}

// normal sends a setting through JSON, so that one that was read from a file compares equal to one that was not.
func normal(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(data, &out) != nil {
		return v
	}
	return out
}
