package quant

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// encoder returns the encoder of a grid's format. It rounds each value to a level
// by itself and takes the entry nearest to those levels; llama.cpp's search, which
// weighs values by their importance, comes closer.
func (g *Grid) encoder() func(b []byte, x []float32) {
	table := sync.OnceValue(g.nearestEntries)
	return func(b []byte, x []float32) {
		clear(b)
		q := gridFit{Grid: g, nearest: table()}
		var scales [16]float32
		for s := range 256 / g.span {
			scales[s] = q.fit(x[s*g.span:][:g.span])
		}
		d := putHalf(b, extreme(scales[:])/(15.5*g.Factor))
		for s := range 256 / g.span {
			scale := 0
			if d > 0 {
				scale = nearest(scales[s]/(d*g.Factor)-0.5, 0, 15)
			}
			g.putScale(b, s, byte(scale))
			inv := inverse(d * g.Factor * (float32(scale) + 0.5))
			for i := s * g.span / 8; i < (s+1)*g.span/8; i++ {
				index, signs, _ := q.choose(x[8*i:][:8], inv)
				g.put(b, i, index, signs)
			}
		}
	}
}

// gridFit encodes for a grid.
type gridFit struct {
	*Grid
	nearest []uint16 // the entry nearest to each combination of levels
}

// fit finds a scale for x that leaves a small squared error.
func (q *gridFit) fit(x []float32) float32 {
	peak := max(extreme(x), -extreme(x))
	if !(peak > 0) || peak-peak != 0 {
		return 0
	}
	best, scale := float32(-1), float32(0)
	for try := range 9 {
		s := peak / (float32(q.Levels[len(q.Levels)-1]) * (0.6 + 0.075*float32(try)))
		var err float32
		for i := 0; i < len(x); i += 8 {
			_, _, e := q.choose(x[i:][:8], 1/s)
			err += e
		}
		if err *= s * s; best < 0 || err < best {
			best, scale = err, s
		}
	}
	return scale
}

// choose returns the entries and signs for eight values, and the squared error in
// units of the scale.
func (q *gridFit) choose(x []float32, inv float32) (index [2]int, signs byte, err float32) {
	var magnitude [8]float32
	least := 0
	for i, v := range x {
		if v < 0 {
			signs |= 1 << i
		}
		if magnitude[i] = max(v, -v) * inv; magnitude[i] < magnitude[least] {
			least = i
		}
	}
	flipped := q.evenSigns && bits.OnesCount8(signs)%2 == 1
	if flipped {
		signs ^= 1 << least
	}
	for e := range 8 / q.values {
		part := magnitude[e*q.values:][:q.values]
		key, power := 0, 1
		for _, v := range part {
			key += q.level(v) * power
			power *= len(q.Levels)
		}
		index[e] = int(q.nearest[key])
		for i, v := range part {
			if flipped && e*q.values+i == least {
				v = -v
			}
			d := v - float32(q.Levels[q.entries[index[e]]>>(8*i)&7])
			err += d * d
		}
	}
	return index, signs, err
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

// nearestEntries finds, for every combination of levels, the entry nearest to it.
func (g *Grid) nearestEntries() []uint16 {
	base, total := len(g.Levels), 1
	for range g.values {
		total *= base
	}
	table := make([]uint16, total)
	wanted := make([]int, g.values)
	for key := range table {
		for i, rest := 0, key; i < g.values; i, rest = i+1, rest/base {
			wanted[i] = int(g.Levels[rest%base])
		}
		best := -1
		for n, entry := range g.entries {
			distance := 0
			for i, w := range wanted {
				d := w - int(g.Levels[entry>>(8*i)&7])
				distance += d * d
			}
			if best < 0 || distance < best {
				best, table[key] = distance, uint16(n)
			}
		}
	}
	return table
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
