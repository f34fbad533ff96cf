package engine

import (
	"time"

	"github.com/penstock-llm/penstock/internal/sched"
)

const (
	// unmeasured is the number of prompt rows beside streams until it is known
	// what a step costs.
	unmeasured = 32
	// leastAlone is the least that a step without streams computes: fewer rows
	// would waste what the weights cost to read.
	leastAlone = 64
	// patience bounds a step without streams, which newcomers and aborts wait for.
	patience = 250 * time.Millisecond
	// remeasure is the number of steps with prompts after which one goes without,
	// to see what the streams alone cost by now.
	remeasure = 64
)

// pace decides how many prompt rows a step may have, so that it takes at most a
// fixed multiple of what it would take without them. What a row costs depends
// on the model, the machine, and how much of the context it attends to, so it is
// measured, always.
type pace struct {
	ratio   float64 // of a step with prompts to one without
	fixed   int     // rows beside streams, if not 0
	maxRows int

	streams float64 // seconds of a step without prompts; 0: not known
	row     float64 // seconds that a prompt row adds; 0: not known
	mixed   int     // steps with prompts since the last one without
}

// budget is the next step's.
func (p *pace) budget() sched.Budget {
	b := sched.Budget{Alone: p.maxRows, Beside: p.fixed}
	if p.row > 0 {
		b.Alone = max(leastAlone, int(min(patience.Seconds()/p.row, float64(p.maxRows))))
	}
	switch {
	case p.fixed != 0:
	case p.mixed >= remeasure || p.streams == 0 && p.mixed > 0:
		b.Beside = 0
	case p.row == 0 || p.streams == 0:
		b.Beside = unmeasured
	default:
		b.Beside = int(p.beside())
	}
	return b
}

// beside is the number of prompt rows of a step with streams, as far as it is known.
func (p *pace) beside() float64 {
	switch {
	case p.fixed != 0:
		return float64(p.fixed)
	case p.row == 0 || p.streams == 0:
		return unmeasured
	}
	return max(1, min((p.ratio-1)*p.streams/p.row, float64(p.maxRows)))
}

// observe learns from a step of so many streams and prompt rows.
func (p *pace) observe(streams, prompts int, d time.Duration) {
	sec := d.Seconds()
	switch {
	case prompts == 0:
		p.mixed = 0
		learn(&p.streams, sec, 0.1)
	case streams == 0:
		learn(&p.row, sec/float64(prompts), 0.5)
	default:
		p.mixed++
		if p.streams > 0 {
			learn(&p.row, max(sec-p.streams, 0)/float64(prompts), 0.5)
		}
	}
}

// learn moves an average towards a value; the first value is the average.
func learn(average *float64, value, weight float64) {
	if *average == 0 {
		*average = value
	} else {
		*average += weight * (value - *average)
	}
}
