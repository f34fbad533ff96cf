package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
)

// Sweep is a run at each of several loads, lightest first.
type Sweep struct {
	Axis   string       `json:"axis"` // clients or requests/s
	Points []SweepPoint `json:"points"`
	Knee   float64      `json:"knee"` // the load beyond which latency grows faster than throughput
	// Saturated is the lightest offered rate of which the server completed less than 95 %; 0: none.
	Saturated float64 `json:"saturated,omitempty"`
}

// SweepPoint is the run at one load.
type SweepPoint struct {
	Load   float64 `json:"load"`
	Words  int     `json:"words,omitempty"` // of a prompt, where prompts of several lengths are sent
	Steady Steady  `json:"steady"`          // the throughput that the table shows and that the knee is computed from
	Summary
}

// shares are the parts of the server's capacity at which an open loop is measured.
var shares = []float64{0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1, 1.15, 1.4}

// Cost is the milliseconds that the server spends on an output token, its part of the prompt's work included.
func (p *SweepPoint) Cost() float64 {
	if p.Steady.TokensPerSecond == 0 {
		return 0
	}
	return 1000 / p.Steady.TokensPerSecond
}

// sweep measures at growing loads, with prompts of every length. A closed loop doubles its clients up to four times the given number. An open loop first
// finds the server's capacity with a closed loop, then sends at shares of it, up to and beyond saturation. The value of --rate does
// not matter then: that it is set selects the open loop.
func (l *Load) sweep(ctx context.Context, target load.Target, objectives []objective) (*Sweep, error) {
	levels, axis, err := l.levels(ctx, target)
	if err != nil {
		return nil, err
	}
	s := &Sweep{Axis: axis}
	lengths := l.Lengths
	if len(lengths) == 0 {
		lengths = []int{0}
	}
	for i, words := range lengths {
		at := *l
		if words > 0 {
			at.Words = words
		}
		for j := range levels {
			levels[j].Seed += uint64(i*len(levels) + j + 1) // other prompts at each level, so that no cache helps the later ones
		}
		if err := at.climb(ctx, target, levels, s, objectives); err != nil {
			return nil, err
		}
	}
	s.Knee = s.knee()
	return s, nil
}

// climb measures at each level, with prompts of one length.
func (l *Load) climb(ctx context.Context, target load.Target, levels []load.Traffic, s *Sweep, objectives []objective) error {
	words := 0 // where all have the same length, points do not tell
	if len(l.Lengths) > 0 {
		words = l.Words
	}
	for _, p := range levels {
		at := p.Rate
		if p.Rate == 0 {
			at = float64(p.Clients)
		}
		name := fmt.Sprintf("%.4g %s", at, s.Axis)
		if words > 0 {
			name += fmt.Sprintf(", %d words", words)
		}
		r, err := l.once(ctx, target, p, name)
		if err != nil {
			return fmt.Errorf("at %s: %w", name, err)
		}
		sum, err := Summarise(r, objectives)
		if err != nil {
			return fmt.Errorf("at %s: %w", name, err)
		}
		if err := sum.Failures(); err != nil && !errors.Is(err, results.ErrFailures) {
			return err
		}
		point := SweepPoint{Load: at, Words: words, Steady: steady(r, p.Rate > 0), Summary: *sum}
		s.Points = append(s.Points, point)
		if p.Rate > 0 && s.Saturated == 0 && point.Steady.RequestsPerSecond < 0.95*at {
			s.Saturated = at
		}
	}
	return nil
}

// levels lists the loads of a sweep, and what they are counted in.
func (l *Load) levels(ctx context.Context, target load.Target) ([]load.Traffic, string, error) {
	base := l.traffic(0)
	base.RampTo = 0
	var levels []load.Traffic
	if l.Rate == 0 {
		for _, n := range l.clients() {
			p := base
			p.Clients = n
			if p.Requests > 0 {
				p.Requests = max(p.Requests, 4*n)
			}
			levels = append(levels, p)
		}
		return levels, "clients", nil
	}
	closed := base
	closed.Rate, closed.Clients = 0, max(8, l.Concurrency)
	if closed.Requests > 0 {
		closed.Requests = max(closed.Requests, 4*closed.Clients)
	}
	r, err := l.once(ctx, target, closed, "capacity")
	if err != nil {
		return nil, "", fmt.Errorf("capacity: %w", err)
	}
	if _, err := Summarise(r, nil); err != nil { // fails when the run can't be measured
		return nil, "", fmt.Errorf("capacity: %w", err)
	}
	capacity := steady(r, false).RequestsPerSecond
	for _, share := range shares {
		p := base
		p.Rate, p.Clients = share*capacity, 0
		levels = append(levels, p)
	}
	return levels, "requests/s", nil
}

// clients are the numbers of clients of a closed loop.
func (l *Load) clients() (list []int) {
	if len(l.Levels) > 0 {
		return l.Levels
	}
	for n := 1; n <= 4*l.Concurrency; n *= 2 {
		list = append(list, n)
	}
	return list
}

// knee is the load at which throughput, as a share of the highest, exceeds latency, as a share of the highest, by most. Below it, more load
// adds more throughput than latency; above it, the reverse. Prompts of several lengths have no common one: it is 0.
func (s *Sweep) knee() float64 {
	if len(s.Points) > 0 && s.Points[0].Words != s.Points[len(s.Points)-1].Words {
		return 0
	}
	var maxRate, maxLatency float64
	for _, p := range s.Points {
		maxRate, maxLatency = max(maxRate, p.Steady.TokensPerSecond), max(maxLatency, p.E2E.P50)
	}
	if maxRate == 0 || maxLatency == 0 {
		return 0
	}
	best, at := 0.0, 0.0
	for i, p := range s.Points {
		if d := p.Steady.TokensPerSecond/maxRate - p.E2E.P50/maxLatency; i == 0 || d > best {
			best, at = d, p.Load
		}
	}
	return at
}

func (s *Sweep) print(out io.Writer) error {
	rows := [][]string{{s.Axis, "words", "ms/token", "tokens/s", "requests/s", "ok", "TTFT p50", "TTFT p99", "ITL p50", "ITL p99", "E2E p50", "E2E p99", "goodput"}}
	for _, p := range s.Points {
		row := []string{fmt.Sprintf("%.4g", p.Load), words(p.Words), fmt.Sprintf("%.3f", p.Cost()), fmt.Sprintf("%.1f", p.Steady.TokensPerSecond), fmt.Sprintf("%.2f", p.Steady.RequestsPerSecond),
			fmt.Sprintf("%d/%d", p.OK, p.Requests), "-", "-", "-", "-", fmt.Sprintf("%.1f", p.E2E.P50), fmt.Sprintf("%.1f", p.E2E.P99), "-"}
		if p.TTFT != nil {
			row[6], row[7] = fmt.Sprintf("%.1f", p.TTFT.P50), fmt.Sprintf("%.1f", p.TTFT.P99)
		}
		if p.ITL != nil {
			row[8], row[9] = fmt.Sprintf("%.1f", p.ITL.P50), fmt.Sprintf("%.1f", p.ITL.P99)
		}
		if p.Goodput != nil {
			row[12] = fmt.Sprintf("%.2f", p.Goodput.RequestsPerSecond)
		}
		rows = append(rows, row)
	}
	if err := results.Table(out, rows); err != nil {
		return err
	}
	if s.Knee > 0 {
		fmt.Fprintf(out, "knee: %.4g %s\n", s.Knee, s.Axis)
	}
	fmt.Fprintln(out, "throughput is that while the whole load was on the server, from the first complete answer to the last request sent; a token's milliseconds have its part of the prompt in them")
	if s.Saturated > 0 {
		fmt.Fprintf(out, "saturated from %.4g requests/s\n", s.Saturated)
	}
	return nil
}

func words(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
