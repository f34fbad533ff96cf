package layers

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// What the layers have to say to a terminal and to a report.

func (r *Result) Conditions() map[string]any {
	return results.Without(r.Settings, "repeats", "rounds", "settle", "conditions")
}

// rounds is the number of samples of a repeat. A result that was read from a file has it as a JSON number.
func (r *Result) rounds() int {
	switch n := r.Settings["rounds"].(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	return 1
}

// Speed is the layer's speed as an estimate.
func (x *LayerResult) Speed() stats.Estimate {
	return stats.Estimate{Value: x.TokensPerSecond, CI95: x.CI95, N: x.Repeats}
}

// Series gives every layer's and axis's samples.
func (r *Result) Series() []results.Series {
	var out []results.Series
	for _, list := range [][]LayerResult{r.Layers, r.Axes} {
		for _, x := range list {
			out = append(out, results.Series{Name: x.Name, Unit: "tokens/s", Values: stats.Repeats(x.Samples, r.rounds())})
		}
	}
	at := slices.IndexFunc(r.Layers, func(x LayerResult) bool { return x.Name == "core" })
	if at < 0 {
		return out
	}
	core := &r.Layers[at]
	for _, x := range r.all() {
		if x.Name != "core" && len(x.Samples) == len(core.Samples) {
			out = append(out, results.Series{Name: x.Name + " / core", Unit: "x", Ratio: true,
				Values: stats.Repeats(stats.Ratios(x.relative(r.Slope), core.relative(r.Slope)), r.rounds())})
		}
	}
	return append(out, results.Series{Name: "probes of the machine", Unit: "tokens/s", Values: core.Machine, Probe: true})
}

func (r *Result) Headline() string {
	var parts []string
	for _, x := range r.Layers {
		parts = append(parts, fmt.Sprintf("%s %.1f", x.Name, x.TokensPerSecond))
	}
	return strings.Join(parts, ", ") + " tokens/s"
}

// Rows is the table of layers or axes; first is the heading of its first column.
func Rows(list []LayerResult, first string) [][]string {
	rows := [][]string{{first, "tokens/s", "95 % CI", "ms/token", "loss", "95 % CI", "of core", "95 % CI", "CPU-µs/token", "client's", "allocs/token", "batch", "waiting", "ok"}}
	for i, x := range list {
		row := []string{x.Name, fmt.Sprintf("%.1f", x.TokensPerSecond), results.Interval(x.Speed(), "%.1f"), fmt.Sprintf("%.3f", x.MsPerToken),
			"-", "-", "-", "-", fmt.Sprintf("%.0f", x.CPU), "-", fmt.Sprintf("%.2f", x.Allocs), "-", "-", fmt.Sprintf("%d/%d", x.OK, x.Requests)}
		if first == "axis" || i > 0 {
			row[4] = fmt.Sprintf("%.2f %%", 100*x.Loss)
			row[5] = results.Interval(stats.Estimate{CI95: [2]float64{100 * x.LossCI95[0], 100 * x.LossCI95[1]}, N: x.Repeats}, "%.2f")
		}
		if x.OfCore != nil {
			row[6], row[7] = fmt.Sprintf("%.3f", x.OfCore.Value), results.Interval(*x.OfCore, "%.3f")
		}
		if x.ClientCPU > 0 {
			row[9] = fmt.Sprintf("%.1f", x.ClientCPU)
		}
		if x.Occupancy > 0 {
			row[11] = fmt.Sprintf("%.2f", x.Occupancy)
		}
		if x.BusyOccupancy > 0 {
			row[12] = fmt.Sprintf("%.2f", x.BusyOccupancy)
		}
		rows = append(rows, row)
	}
	return rows
}

// Rows is the table of the spans.
func (t *SpanTable) Rows() [][]string {
	rows := [][]string{{"span", "ms", "share"}}
	for _, s := range t.Spans {
		rows = append(rows, []string{s.Name, fmt.Sprintf("%.3f", s.Mean), fmt.Sprintf("%.2f %%", 100*s.Share)})
	}
	return append(rows, []string{"sum", fmt.Sprintf("%.3f", t.Attributed), fmt.Sprintf("%.2f %%", 100*t.Share)},
		[]string{"client's latency", fmt.Sprintf("%.3f", t.Latency), "100 %"})
}

// Verdict says whether the spans add up to the latency.
func (t *SpanTable) Verdict() string {
	if t.Trusted {
		return "The spans add up to the client's latency within 3 %."
	}
	return fmt.Sprintf("The spans add up to %.1f %% of the client's latency: more than 3 %% off, so the attribution is not to be trusted.", 100*t.Share)
}

func (r *Result) print(out io.Writer) error {
	if err := results.Table(out, Rows(r.Layers, "layer")); err != nil {
		return err
	}
	if len(r.Axes) > 0 {
		fmt.Fprintln(out, "\naxes of the http layer, one at a time; the loss is from the http layer")
		if err := results.Table(out, Rows(r.Axes, "axis")); err != nil {
			return err
		}
	}
	for _, p := range r.Peers {
		fmt.Fprintf(out, "\n%s in the same rounds\n", p.Name)
		if err := results.Table(out, Rows(p.Layers, "layer")); err != nil {
			return err
		}
	}
	if r.Spans != nil {
		fmt.Fprintln(out, "\na request of the http layer")
		if err := results.Table(out, r.Spans.Rows()); err != nil {
			return err
		}
		fmt.Fprintln(out, r.Spans.Verdict())
	}
	if len(r.Floors) > 0 {
		fmt.Fprintln(out)
		if err := results.Table(out, r.FloorRows()); err != nil {
			return err
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintln(out, "left out,", s)
	}
	for _, s := range r.Notes {
		fmt.Fprintln(out, s)
	}
	if len(r.Noise) > 0 {
		fmt.Fprintf(out, "the noise is larger than the difference between %s\n", strings.Join(r.Noise, "; "))
	}
	return nil
}
