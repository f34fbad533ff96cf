package quant

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
)

// encoder returns the encoder of a grid's format. For each run of values with a common
// scale it tries scales, and for each of these the entries near to the values' levels.
func (g *Grid) encoder() func(b []byte, x, w []float32) {
	table := sync.OnceValue(g.nearestEntries)
	return func(b []byte, x, w []float32) {
		clear(b)
		q := gridFit{Grid: g, nearest: table(), w: orOnes(w, 256)}
		var scales [16]float32
		runs := 256 / g.span
		for s := range runs {
			scales[s] = q.fit(x, s*g.span)
		}
		d := putHalf(b, extreme(scales[:])/(15.5*g.Factor))
		var sumQX, sumQQ float32
		for s := range runs {
			scale := q.settle(x, s, scales[s], d)
			g.putScale(b, s, byte(scale))
			unit := g.Factor * (float32(scale) + 0.5)
			inv := inverse(d * unit)
			for at := s * g.span; at < (s+1)*g.span; at += 8 {
				c := q.choose(x, at, inv, candidates)
				g.put(b, at/8, c.index, c.signs)
				sumQX, sumQQ = sumQX+unit*c.sumQX, sumQQ+unit*unit*c.sumQQ
			}
		}
		if best := sumQX / sumQQ; best > 0 && best-best == 0 { // for the entries that were chosen
			putHalf(b, best)
		}
	}
}

// candidates is how many entries near to a combination of levels are tried; quick is how
// many while a scale is looked for.
const (
	candidates = 16
	quick      = 4
)

// gridFit encodes for a grid.
type gridFit struct {
	*Grid
	nearest []uint16  // the candidates nearest to each combination of levels, the nearest first
	w       []float32 // of the block's columns
}

// fit finds a scale for the run of values from at on that leaves a small error.
func (q *gridFit) fit(x []float32, at int) float32 {
	run := x[at:][:q.span]
	peak := max(extreme(run), -extreme(run))
	if !(peak > 0) || peak-peak != 0 {
		return 0
	}
	best, scale := float32(-1), float32(0)
	try := func(s float32) (better float32) {
		var err, sumQX, sumQQ float32
		for i := at; i < at+q.span; i += 8 {
			c := q.choose(x, i, 1/s, quick)
			err, sumQX, sumQQ = err+c.err, sumQX+c.sumQX, sumQQ+c.sumQQ
		}
		if err *= s * s; best < 0 || err < best {
			best, scale = err, s
		}
		return sumQX / sumQQ
	}
	top := float32(q.Levels[len(q.Levels)-1])
	for n := range 13 {
		try(peak / (top * (0.55 + 0.06*float32(n))))
	}
	for range 2 {
		s := try(scale)
		if !(s > 0) || s-s != 0 {
			break
		}
		try(s)
	}
	return scale
}

// settle chooses the small integer of a run's scale.
func (q *gridFit) settle(x []float32, run int, scale, d float32) int {
	if !(d > 0) {
		return 0
	}
	at := nearest(scale/(d*q.Factor)-0.5, 0, 15)
	best, chosen := float32(-1), at
	for n := max(at-1, 0); n <= min(at+1, 15); n++ {
		s := d * q.Factor * (float32(n) + 0.5)
		var err float32
		for i := run * q.span; i < (run+1)*q.span; i += 8 {
			err += q.choose(x, i, 1/s, candidates).err
		}
		if err *= s * s; best < 0 || err < best {
			best, chosen = err, n
		}
	}
	return chosen
}

// choice is what stands for eight values.
type choice struct {
	index        [2]int
	signs        byte
	err          float32 // squared, in units of the scale
	sumQX, sumQQ float32 // of the magnitudes with signs, in units of the levels: x and q
}

// choose returns the entries and signs for eight values from at on.
func (q *gridFit) choose(x []float32, at int, inv float32, tries int) (c choice) {
	w := q.w[at:][:8]
	var v [8]float32
	for i, x := range x[at:][:8] {
		if x < 0 {
			c.signs |= 1 << i
		}
		v[i] = max(x, -x) * inv
	}
	odd := q.evenSigns && bits.OnesCount8(c.signs)%2 == 1
	flip, cheapest := 0, float32(math.Inf(1))
	for e := range 8 / q.values {
		from := e * q.values
		index, at, cost := q.entry(v[from:][:q.values], w[from:][:q.values], tries, odd && q.values == 8)
		c.index[e] = index
		if odd && q.values == 4 { // the sign to turn may be in either half
			at, cost = q.turn(v[from:][:4], w[from:][:4], q.entries[index])
		}
		if cost < cheapest {
			flip, cheapest = from+at, cost
		}
	}
	if odd {
		c.signs ^= 1 << flip
	}
	for i := range v {
		level := float32(q.Levels[q.entries[c.index[i/q.values]]>>(8*(i%q.values))&7])
		if odd && i == flip {
			level = -level
		}
		d := v[i] - level
		c.err += w[i] * d * d
		c.sumQX += w[i] * v[i] / inv * level
		c.sumQQ += w[i] * level * level
	}
	return c
}

// entry finds the entry nearest to the values, one of whose signs has to be turned if odd
// says so: which, and what that costs.
func (q *gridFit) entry(v, w []float32, tries int, odd bool) (index, flip int, cost float32) {
	key, power := 0, 1
	for _, v := range v {
		key += q.level(v) * power
		power *= len(q.Levels)
	}
	best := float32(-1)
	for _, n := range q.nearest[key*candidates:][:tries] {
		codes := q.entries[n]
		var err float32
		for i, v := range v {
			d := v - float32(q.Levels[codes>>(8*i)&7])
			err += w[i] * d * d
		}
		at, turned := 0, float32(0)
		if odd {
			at, turned = q.turn(v, w, codes)
		}
		if err += turned; best < 0 || err < best {
			best, index, flip, cost = err, int(n), at, turned
		}
	}
	return index, flip, cost
}

// turn finds the value whose sign is turned at the least cost.
func (q *gridFit) turn(v, w []float32, codes uint64) (at int, cost float32) {
	cost = float32(math.Inf(1))
	for i, v := range v {
		if c := 4 * w[i] * v * float32(q.Levels[codes>>(8*i)&7]); c < cost {
			at, cost = i, c
		}
	}
	return at, cost
}

// level is the code of the level nearest to v.
func (q *gridFit) level(v float32) int {
	for i := range q.Levels[:len(q.Levels)-1] {
		if 2*v < float32(int(q.Levels[i])+int(q.Levels[i+1])) {
			return i
		}
	}
	return len(q.Levels) - 1
}

// nearestEntries finds, for every combination of levels, the entries nearest to it.
func (g *Grid) nearestEntries() []uint16 {
	base, total := len(g.Levels), 1
	for range g.values {
		total *= base
	}
	table := make([]uint16, 0, total*candidates)
	wanted := make([]int, g.values)
	for key := range total {
		for i, rest := 0, key; i < g.values; i, rest = i+1, rest/base {
			wanted[i] = int(g.Levels[rest%base])
		}
		table = g.appendNearest(table, wanted)
	}
	return table
}

// appendNearest appends the candidates for a combination of levels.
func (g *Grid) appendNearest(table []uint16, wanted []int) []uint16 {
	var found [candidates]uint16
	var distances [candidates]int
	n := 0
	for entry, codes := range g.entries {
		distance := 0
		for i, w := range wanted {
			d := w - int(g.Levels[codes>>(8*i)&7])
			distance += d * d
		}
		at := n
		for ; at > 0 && distance < distances[at-1]; at-- {
			if at < candidates {
				found[at], distances[at] = found[at-1], distances[at-1]
			}
		}
		if at < candidates {
			found[at], distances[at] = uint16(entry), distance
			n = min(n+1, candidates)
		}
	}
	return append(table, found[:]...)
}

// The writers are the inverses of the readers in grid.go. The block was cleared.

func putIQ2_XXS(b []byte, i int, index [2]int, signs byte) {
	b[2+i/4*8+i%4] = byte(index[0])
	putSeven(b[6+i/4*8:], i, signs)
}

// putSeven adds seven of eight signs to a word that has those of 32 values.
func putSeven(b []byte, i int, signs byte) {
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)|uint32(signs&127)<<(7*(i%4)))
}

func putScaleIQ2_XXS(b []byte, s int, scale byte) { b[9+8*s] |= scale << 4 }

func putIQ2_XS(b []byte, i int, index [2]int, signs byte) {
	binary.LittleEndian.PutUint16(b[2+2*i:], uint16(index[0])|uint16(signs&127)<<9)
}

func putScaleIQ2_XS(b []byte, s int, scale byte) { b[len(b)-8+s/2] |= scale << (s % 2 * 4) }

func putIQ2_S(b []byte, i int, index [2]int, signs byte) {
	b[2+i], b[34+i] = byte(index[0]), signs
	b[66+i/4] |= byte(index[0]>>8) << (i % 4 * 2)
}

func putIQ3_XXS(b []byte, i int, index [2]int, signs byte) {
	b[2+2*i], b[3+2*i] = byte(index[0]), byte(index[1])
	putSeven(b[66+i/4*4:], i, signs)
}

func putScaleIQ3_XXS(b []byte, s int, scale byte) { b[69+4*s] |= scale << 4 }

func putIQ3_S(b []byte, i int, index [2]int, signs byte) {
	b[2+2*i], b[3+2*i], b[74+i] = byte(index[0]), byte(index[1]), signs
	b[66+i/4] |= byte(index[0]>>8|index[1]>>8<<1) << (i % 4 * 2)
}

func putScaleIQ3_S(b []byte, s int, scale byte) { b[106+s/2] |= scale << (s % 2 * 4) }
