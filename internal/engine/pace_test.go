package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// machine is what steps cost somewhere.
type machine struct {
	step, row, attend float64 // seconds: a step, a row, a row for each position it attends to
	noise             float64
	rnd               *rand.Rand
}

func (m *machine) cost(streams, context, rows, from int) time.Duration {
	s := m.step + float64(streams+rows)*m.row
	s += m.attend * (float64(streams*context) + float64(rows)*(float64(from)+float64(rows)/2))
	return time.Duration(s * (1 + m.noise*m.rnd.ExpFloat64()) * 1e9)
}

// Prompts of any length beside streams never make a step take much longer than
// the ratio says, on machines large and small, and still get most of what is
// left.
func TestPaceBoundsTheStep(t *testing.T) {
	machines := map[string]machine{
		"small model":              {step: 4e-3, row: .5e-3, attend: .5e-6},
		"small model, noisy":       {step: 4e-3, row: .5e-3, attend: .5e-6, noise: .15},
		"attention is dear":        {step: 4e-3, row: .5e-3, attend: 2e-6},
		"large model":              {step: .2, row: 20e-3, attend: 10e-6},
		"bound by memory, rows ok": {step: .1, row: 1e-3, attend: 1e-6},
	}
	for name, m := range machines {
		m.rnd = rand.New(rand.NewPCG(1, 2))
		p := pace{ratio: 3, maxRows: 256}
		var took, without []float64
		const streams, context, length = 6, 200, 3000
		for range 1000 {
			without = append(without, m.cost(streams, context, 0, 0).Seconds())
		}
		for from := 0; len(took) < 3000; {
			n := min(p.budget().Beside, length-from)
			d := m.cost(streams, context, n, from)
			p.observe(streams, n, d)
			took = append(took, d.Seconds())
			if from += n; from == length {
				from = 0
			}
		}
		slices.Sort(took)
		slices.Sort(without)
		at := func(list []float64, percent int) float64 { return list[len(list)*percent/100] }
		if r := at(took, 99) / at(without, 99); r > 3.7 {
			t.Errorf("%s: p99 of a step is %.2f times that without prompts", name, r)
		}
		if r := at(took, 50) / at(without, 50); r < 2.2 {
			t.Errorf("%s: the median of a step is %.2f times that without prompts, who get too little", name, r)
		}
	}
}

// Without streams a step is as large as patience allows.
func TestPaceAlone(t *testing.T) {
	for _, c := range []struct {
		row  float64
		want int
	}{{.1e-3, 256}, {2e-3, 125}, {50e-3, leastAlone}} {
		p := pace{ratio: 3, maxRows: 256}
		if b := p.budget(); b.Alone != 256 || b.Beside != unmeasured {
			t.Errorf("at first %+v", b)
		}
		m := machine{row: c.row, rnd: rand.New(rand.NewPCG(1, 1))}
		for range 20 {
			n := p.budget().Alone
			p.observe(0, n, m.cost(0, 0, n, 0))
		}
		if b := p.budget(); b.Alone != c.want {
			t.Errorf("row of %v s: %+v, want %d", c.row, b, c.want)
		}
	}
}
