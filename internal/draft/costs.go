package draft

// Costs is what steps take by their number of rows. While weights stream from memory a
// few rows more are nearly free; beyond that each costs its arithmetic. How much
// depends on the machine, the model and the context, so it is learned from the steps.
type Costs struct {
	seconds [len(edges)]float64 // 0: not known
	age     [len(edges)]int     // steps since it was seen
}

// edges are the most rows of the classes of steps: the kernels compute rows in panels
// of eight.
var edges = [...]int{1, 2, 4, 8, 16, 24, 32}

// usual is what such steps take, until it is known, compared with each other.
var usual = [len(edges)]float64{1, 1.03, 1.08, 1.2, 2.1, 3, 3.9}

// MostRows is the largest number of rows that a step with guesses has.
const MostRows = 32

// Panel is the number of streams that leave no room for guesses. From several on they
// only get what is left of one panel: others are waiting for the end of the step, too.
const Panel, several = 8, 4

const (
	// stale is the number of steps after which a measurement is forgotten: the context
	// has grown, or something that disturbed it is over.
	stale = 256
	// latest is the weight of the latest step, and outlier the most that it may be off.
	latest, outlier = 0.15, 2.0
)

func classOf(rows int) int {
	for i, edge := range edges {
		if rows <= edge {
			return i
		}
	}
	return len(edges) - 1
}

// Observe learns from a step of streams alone.
func (c *Costs) Observe(rows int, seconds float64) {
	if rows < 1 || rows > MostRows || seconds <= 0 {
		return
	}
	at := classOf(rows)
	for i := range c.age {
		if c.age[i]++; c.age[i] > stale {
			c.seconds[i] = 0
		}
	}
	c.age[at] = 0
	if old := c.seconds[at]; old == 0 {
		c.seconds[at] = seconds
	} else {
		c.seconds[at] += latest * (min(seconds, old*outlier) - old)
	}
}

// Of is what a step of so many rows takes, in a unit of its own unless Known.
func (c *Costs) Of(rows int) float64 {
	at := classOf(rows)
	if c.seconds[at] > 0 {
		return c.seconds[at]
	}
	below, above := at-1, at+1 // the nearest that are known
	for below >= 0 && c.seconds[below] == 0 {
		below--
	}
	for above < len(edges) && c.seconds[above] == 0 {
		above++
	}
	switch {
	case below >= 0 && above < len(edges):
		part := float64(edges[at]-edges[below]) / float64(edges[above]-edges[below])
		return c.seconds[below] + part*(c.seconds[above]-c.seconds[below])
	case below >= 0:
		return max(c.seconds[below]*usual[at]/usual[below], c.beyond(at, below))
	case above < len(edges):
		return c.seconds[above] * usual[at] / usual[above]
	}
	return usual[at]
}

// beyond continues the line through the two largest classes below that are known: where
// few rows cost much, many are not worth trying.
func (c *Costs) beyond(at, below int) float64 {
	for i := below - 1; i >= 0; i-- {
		if c.seconds[i] > 0 {
			slope := (c.seconds[below] - c.seconds[i]) / float64(edges[below]-edges[i])
			return c.seconds[below] + slope*float64(edges[at]-edges[below])
		}
	}
	return 0
}

// reach is the most rows that a step is tried with: those of the class behind the
// largest that is known.
func (c *Costs) reach() int {
	for i := len(edges) - 1; i >= 0; i-- {
		if c.seconds[i] > 0 {
			return edges[min(i+1, len(edges)-1)]
		}
	}
	return edges[1]
}

// Known reports whether anything was observed lately. Of is in seconds then.
func (c *Costs) Known() bool {
	for _, s := range c.seconds {
		if s > 0 {
			return true
		}
	}
	return false
}

// Ask is what one stream's guess is worth.
type Ask struct {
	Right float64 // the chance that its next token is right, if those before it are
	Most  int     // tokens of the guess
	Price float64 // what a token of it takes to guess, beside its row, in the unit of Costs
	Rows  int     // set by Share: tokens of it that get rows

	chance float64 // that all its tokens with rows, and the next one, are right
}

// Share gives the guesses rows of a step, beside the own rows of its streams, so that
// the step yields the most tokens for its time. Where guesses are not worth the time
// that their rows add, none gets any.
func (c *Costs) Share(asks []Ask, streams, own int) {
	for i := range asks {
		a := &asks[i]
		a.Rows, a.chance = 0, a.Right
	}
	if streams >= Panel {
		return
	}
	most := c.reach()
	if streams >= several {
		most = min(most, Panel)
	}
	const worth = 1.05 // what is expected must be better by this much: it may be wrong
	best := float64(streams) / c.Of(own) * worth
	give, tokens, price := 0, float64(streams), 0.0
	for rows := own + 1; rows <= most; rows++ {
		a := likeliest(asks)
		if a == nil {
			break
		}
		tokens += a.chance
		price += a.Price
		a.Rows++
		a.chance *= a.Right
		if rate := tokens / (c.Of(rows) + price); rate > best {
			best, give = rate, rows-own
		}
	}
	c.replay(asks, give)
}

// replay gives n rows, the likeliest tokens first.
func (c *Costs) replay(asks []Ask, n int) {
	for i := range asks {
		a := &asks[i]
		a.Rows, a.chance = 0, a.Right
	}
	for range n {
		a := likeliest(asks)
		a.Rows++
		a.chance *= a.Right
	}
}

// likeliest is the guess whose next token has the best chance.
func likeliest(asks []Ask) (best *Ask) {
	for i := range asks {
		if a := &asks[i]; a.Rows < a.Most && (best == nil || a.chance > best.chance) {
			best = a
		}
	}
	return best
}
