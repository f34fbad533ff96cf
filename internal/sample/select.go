package sample

import (
	"math"
	"slices"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// A token's weight is exp((logit-max)*scale). Which tokens are candidates is a
// question for the edge of a set: the logit down to which the weights reach a
// target. The row is read as few times as possible and never sorted; whatever
// the logits are, the edge is exact, up to the rounding of sums.

// measure says what a logit weighs: exp((logit-max)*scale).
type measure struct{ max, scale float32 }

// band is the range (lo, hi] of logits, weighed by m.
func (m measure) band(lo, hi float32) kernel.Band {
	return kernel.Band{Max: m.max, Scale: m.scale, Lo: lo, Hi: hi}
}

// cut is a set of the best tokens: those with a logit above at, and the first
// ties of those that have this one.
type cut struct {
	at   float32
	ties int
}

// everything is the set of all tokens that have a probability.
var everything = cut{-math.MaxFloat32, math.MaxInt32}

// raise leaves the tokens above a floor.
func (c cut) raise(floor float32) cut {
	if floor >= c.at {
		return cut{at: floor}
	}
	return c
}

// span is what is known about an edge: it is in (lo, hi], and the weights above
// hi do not reach the target.
type span struct {
	lo, hi float32
	before float64 // weight above hi
	inside float64 // weight in (lo, hi]
	left   float64 // weight above hi that is not in the list any more
}

// nothing is the result of no pass: no logit is within its limits.
var nothing = scanned{lo: posInf, hi: negInf}

// scanned is the result of a pass over the row.
type scanned struct {
	m                       measure
	lo, hi                  float32
	total, aboveLo, aboveHi float64
	gathered                int // tokens in (lo, hi]
	end                     int // length of their list, with what fills it up
}

func (s *Sampler) chunkOf(x []float32, c int) []float32 {
	return x[c*s.chunk : min(len(x), (c+1)*s.chunk)]
}

// total is the sum of all weights. Those of the chunks stay in s.mass.
func (s *Sampler) total(x []float32, m measure) float64 {
	sum := 0.0
	for c := range s.mass {
		s.mass[c], s.ties[c] = float64(s.set.Mass(s.chunkOf(x, c), m.max, m.scale)), 0
		sum += s.mass[c]
	}
	return sum
}

// scan weighs the row and lists the logits in (lo, hi], chunk by chunk.
func (s *Sampler) scan(x []float32, m measure, lo, hi float32) scanned {
	sc := scanned{m: m, lo: lo, hi: hi}
	for c := range s.mass {
		sums, n := s.set.Band(s.list[sc.end:], s.chunkOf(x, c), m.band(lo, hi))
		s.above[c], s.start[c] = float64(sums.AboveHi), sc.end
		sc.total += float64(sums.Total)
		sc.aboveLo += float64(sums.AboveLo)
		sc.aboveHi += s.above[c]
		sc.gathered += n
		sc.end += kernel.BandRoom(n)
	}
	s.start[len(s.mass)] = sc.end
	s.last = sc
	return sc
}

// narrow is scan for a list, from which it makes a shorter one.
func (s *Sampler) narrow(out, list []float32, m measure, lo, hi float32) scanned {
	sc := scanned{lo: lo, hi: hi}
	for part := range slices.Chunk(list, s.chunk) {
		sums, n := s.set.Band(out[sc.end:], part, m.band(lo, hi))
		sc.aboveLo += float64(sums.AboveLo)
		sc.aboveHi += float64(sums.AboveHi)
		sc.gathered += n
		sc.end += kernel.BandRoom(n)
	}
	return sc
}

// edgeOfRow finds the edge of a set in the row after a scan between limits that
// were guessed. If the edge is not between them, it scans again where it must be.
func (s *Sampler) edgeOfRow(x []float32, m measure, e span, sc scanned, target float64) cut {
	switch {
	case sc.aboveHi >= target:
		e.lo, e.inside = sc.hi, sc.aboveHi-e.before
	case sc.aboveLo < target:
		e.hi, e.before, e.inside = sc.lo, sc.aboveLo, sc.total-sc.aboveLo
	default:
		e.lo, e.hi, e.before = sc.lo, sc.hi, sc.aboveHi
	}
	if below(e.hi) <= e.lo {
		return s.among(e, m, target)
	}
	if e.lo != sc.lo || e.hi != sc.hi {
		sc = s.scan(x, m, e.lo, e.hi)
	}
	e.before, e.inside, e.left = sc.aboveHi, sc.aboveLo-sc.aboveHi, sc.aboveHi
	return s.edge(s.list[:sc.end], m, e, target)
}

// edge finds the logit in a list at which the weights reach the target. Every
// round makes the span smaller, most of them the list as well.
func (s *Sampler) edge(list []float32, m measure, e span, target float64) cut {
	out, spare := s.spare[0], s.spare[1]
	for len(list) > s.small {
		if below(e.hi) <= e.lo {
			return s.among(e, m, target)
		}
		lo, hi := s.guess(list, m, e, goal{(target - e.before) / e.inside, 0})
		if hi <= e.lo || lo >= e.hi || lo <= e.lo && hi >= e.hi {
			lo = middle(e.lo, e.hi)
			hi = lo
		}
		sc := s.narrow(out, list, m, lo, hi)
		aboveLo, aboveHi := e.left+sc.aboveLo, e.left+sc.aboveHi
		switch {
		case aboveHi >= target:
			e.lo, e.inside = hi, aboveHi-e.before
		case aboveLo < target:
			e.hi, e.before, e.inside = lo, aboveLo, e.inside-(aboveLo-e.before)
		default:
			e = span{lo: lo, hi: hi, before: aboveHi, inside: aboveLo - aboveHi, left: aboveHi}
			list = out[:sc.end]
			out, spare = spare, out
		}
	}
	return s.edgeOfFew(list, m, e, target)
}

// among is the edge when all tokens that may be at it have the same logit: how
// many of them belong to the set is all that is open.
func (s *Sampler) among(e span, m measure, target float64) cut {
	w := s.weight(e.hi, m)
	if w == 0 {
		return cut{e.hi, math.MaxInt32}
	}
	n := math.Ceil((target - e.before) / w)
	return cut{e.hi, max(1, int(min(n, math.MaxInt32)))}
}

// weight of one logit, the same as in a chunk.
func (s *Sampler) weight(v float32, m measure) float64 {
	x := s.part[:min(len(s.part), 16)]
	for i := range x {
		x[i] = v
	}
	s.set.ExpSum(x, m.max, m.scale)
	return float64(x[0])
}

// edgeOfFew sorts a short list.
func (s *Sampler) edgeOfFew(list []float32, m measure, e span, target float64) cut {
	v := s.sorted[:copy(s.sorted, list)]
	slices.Sort(v)
	w := s.part[:copy(s.part, v)]
	s.set.ExpSum(w, m.max, m.scale)
	sum := e.left
	c := cut{at: e.hi}
	for i := len(v) - 1; i >= 0 && v[i] > e.lo; i-- {
		if v[i] != c.at {
			c = cut{at: v[i]}
		}
		c.ties++
		if sum += float64(w[i]); sum >= target {
			break
		}
	}
	return c
}

// settle weighs the tokens of a set, chunk by chunk, and returns their weight.
// It uses what the last scan found if that knows the set's edge, and its weights
// are of the same measure, or it weighed nothing apart from the list.
func (s *Sampler) settle(x []float32, m measure, c cut) float64 {
	same := s.last.m == m || s.last.hi == posInf
	inside := s.last.lo < c.at && c.at <= s.last.hi
	whole := c.ties == 0 && c.at == s.last.hi
	if !same || !inside && !whole {
		s.scan(x, m, below(c.at), c.at)
	}
	w, left, sum := 0.0, c.ties, 0.0
	if left > 0 {
		w = s.weight(c.at, m)
	}
	for i := range s.mass {
		s.mass[i], s.ties[i] = s.above[i], 0
		if c.ties > 0 || c.at != s.last.hi {
			segment := s.list[s.start[i]:s.start[i+1]]
			sums, n := s.set.Band(s.spare[0], segment, m.band(below(c.at), c.at))
			s.ties[i] = min(left, n)
			left -= s.ties[i]
			s.mass[i] += float64(sums.AboveHi) + w*float64(s.ties[i])
		}
		sum += s.mass[i]
	}
	return sum
}

// drawFrom draws from a set whose chunks are weighed: first the chunk, then a
// part of it, then the token.
func (s *Sampler) drawFrom(x []float32, m measure, c cut, u float64) int32 {
	sum := 0.0
	for _, v := range s.mass {
		sum += v
	}
	u *= sum
	at := 0
	for i, v := range s.mass {
		if v == 0 {
			continue
		}
		at = i
		if u < v {
			break
		}
		u -= v
	}
	row, ties := s.chunkOf(x, at), s.ties[at]
	for first := at * s.chunk; ; first += s.small {
		part := row[:min(s.small, len(row))]
		sums, n := s.set.Band(s.spare[0], part, m.band(below(c.at), c.at))
		n = min(n, ties)
		mass := float64(sums.AboveHi)
		if n > 0 {
			mass += float64(n) * s.weight(c.at, m)
		}
		if row = row[len(part):]; u < mass || len(row) == 0 {
			return int32(first + s.drawPart(part, m, c.at, ties, u))
		}
		u -= mass
		ties -= n
	}
}

// drawPart draws from a few tokens.
func (s *Sampler) drawPart(x []float32, m measure, at float32, ties int, u float64) int {
	w := s.part[:copy(s.part, x)]
	s.set.ExpSum(w, m.max, m.scale)
	last := 0
	for i, v := range x {
		if v == at && ties > 0 {
			ties--
		} else if !(v > at) {
			continue
		}
		if w[i] == 0 {
			continue
		}
		last = i
		if u -= float64(w[i]); u < 0 {
			break
		}
	}
	return last // rounding may leave a little of u at the end
}

// below is the next smaller number.
func below(v float32) float32 { return math.Nextafter32(v, negInf) }

// middle is a number between lo and hi with as many float32 below it as above,
// so that halving ends soon whatever the numbers are. They are not neighbours.
func middle(lo, hi float32) float32 {
	return fromOrder((order(lo) + order(hi)) / 2)
}

// order numbers all float32 in ascending order.
func order(v float32) int64 {
	b := int64(math.Float32bits(v))
	if b>>31 == 1 {
		return 1<<31 - b
	}
	return b
}

func fromOrder(n int64) float32 {
	if n >= 0 {
		return math.Float32frombits(uint32(n))
	}
	return math.Float32frombits(uint32(-n) | 1<<31)
}
