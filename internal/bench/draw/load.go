package draw

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

func p50(d *stats.Distribution) (float64, bool) {
	if d == nil {
		return 0, false
	}
	return d.P50, true
}

// timelineFigures plots when tokens arrived, one row for each request, and how many a second over the run.
func timelineFigures(samples []load.Sample) ([]Named, error) {
	rows := make([][]float64, len(samples))
	var end float64
	for i := range samples {
		s := &samples[i]
		end = max(end, (s.Start + s.End).Seconds())
		for _, at := range s.Events {
			rows[i] = append(rows[i], (s.Start + at).Seconds())
		}
		if len(s.Events) == 0 && s.OK() { // not streamed: all tokens come with the last byte
			rows[i] = []float64{(s.Start + s.End).Seconds()}
		}
	}
	arrivals, err := figure.Raster("Arrival of tokens", rows)
	if err != nil {
		return nil, err
	}
	line, err := figure.Lines("Timeline", "seconds", "tokens/s", []figure.Series{timeline(samples, rows, end)}, false)
	if err != nil {
		return nil, err
	}
	return []Named{{Name: "arrivals", Figure: arrivals}, {Name: "timeline", Figure: line}}, nil
}

// timeline divides the run into 60 slots and counts the tokens in each. A request's tokens are spread evenly over the arrivals of its
// events.
func timeline(samples []load.Sample, rows [][]float64, end float64) figure.Series {
	const slots = 60
	c := figure.Series{Name: "output tokens/s", X: make([]float64, slots), Y: make([]float64, slots)}
	width := end / slots
	if width == 0 {
		return c
	}
	for i, row := range rows {
		if len(row) == 0 {
			continue
		}
		each := float64(samples[i].Completion) / float64(len(row)) / width
		for _, at := range row {
			c.Y[min(int(at/width), slots-1)] += each
		}
	}
	for i := range c.X {
		c.X[i] = (float64(i) + 0.5) * width
	}
	return c
}

// costFigures draws what an output token costs with each number of clients, a bar for each length of prompts.
func costFigures(s *loadtest.Sweep) ([]Named, error) {
	var lengths []figure.Group
	for i := range s.Points {
		p := &s.Points[i]
		if i == 0 || p.Words != s.Points[i-1].Words {
			lengths = append(lengths, figure.Group{Name: fmt.Sprintf("prompts of %d words", p.Words)})
		}
		g, cost := &lengths[len(lengths)-1], p.Cost()
		g.Bars = append(g.Bars, figure.Bar{Label: fmt.Sprintf("%.4g", p.Load), Value: cost, Lo: cost, Hi: cost})
	}
	f, err := figure.Bars("Cost of an output token, by "+s.Axis, "ms, with its part of the prompt", lengths)
	if err != nil {
		return nil, err
	}
	return []Named{{Name: "serving-cost", Figure: f}}, nil
}

// sweepFigures plots latency and throughput against load.
func sweepFigures(s *loadtest.Sweep) ([]Named, error) {
	if len(s.Points) > 0 && s.Points[0].Words > 0 {
		return costFigures(s)
	}
	curve := func(name string, y func(loadtest.SweepPoint) (float64, bool)) (figure.Series, bool) {
		c := figure.Series{Name: name}
		for _, p := range s.Points {
			if v, ok := y(p); ok {
				c.X, c.Y = append(c.X, p.Load), append(c.Y, v)
			}
		}
		return c, len(c.X) > 0
	}
	var latency []figure.Series
	for _, c := range []struct {
		name string
		y    func(loadtest.SweepPoint) (float64, bool)
	}{
		{"E2E p50", func(p loadtest.SweepPoint) (float64, bool) { return p.E2E.P50, true }},
		{"E2E p99", func(p loadtest.SweepPoint) (float64, bool) { return p.E2E.P99, true }},
		{"TTFT p50", func(p loadtest.SweepPoint) (float64, bool) { return p50(p.TTFT) }},
		{"ITL p50", func(p loadtest.SweepPoint) (float64, bool) { return p50(p.ITL) }},
	} {
		if series, ok := curve(c.name, c.y); ok {
			latency = append(latency, series)
		}
	}
	f, err := figure.Lines("Latency against load", s.Axis, "ms", latency, true)
	if err != nil {
		return nil, err
	}
	rate, _ := curve("output tokens/s", func(p loadtest.SweepPoint) (float64, bool) { return p.Steady.TokensPerSecond, true })
	g, err := figure.Lines("Throughput against load", s.Axis, "tokens/s", []figure.Series{rate}, false)
	if err != nil {
		return nil, err
	}
	return []Named{{Name: "latency", Figure: f}, {Name: "throughput", Figure: g}}, nil
}
