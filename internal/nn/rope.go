package nn

import (
	"fmt"
	"math"
)

// RopeStyle says which elements of a head rotate together.
type RopeStyle uint8

const (
	Adjacent RopeStyle = iota // x[2i] with x[2i+1], as GGUF stores llama
	Halves                    // x[i] with x[i+n/2] of the n that rotate, as in qwen and gemma
)

// RopeConfig is how far each pair of a head turns per position.
type RopeConfig struct {
	Style   RopeStyle
	Dim     int // elements that rotate: all of a head, or its first ones
	Base    float64
	Factors []float32 // [Dim/2] divides each pair's frequency (llama 3); nil: none

	Scale    float64 // positions are multiplied by it: 1/factor of linear scaling and of YaRN; 0 means 1
	YaRN     bool    // keep high frequencies, scale low ones
	Original int     // YaRN: context the model was trained with
	Attn     float64 // multiplies cosine and sine; 0 means 1
	BetaFast float64 // YaRN: turns within the original context; 0 means 32
	BetaSlow float64 // 0 means 1
}

// Rope gives the cosines and sines of any position below a limit. A position's
// angles are the sum of a coarse and a fine entry, so the tables stay small for
// long contexts and filling a row needs no trigonometry. The tables are float64:
// the sum is as good as a direct computation rounded to float32.
type Rope struct {
	Style  RopeStyle
	Pairs  int // Dim/2
	limit  int
	step   int       // positions between two entries of coarse
	fine   []float64 // [step][Pairs][cos, sin], magnitude 1
	coarse []float64 // [limit/step][Pairs][cos, sin], magnitude Attn
}

// NewRope builds the tables for positions below limit.
func NewRope(c RopeConfig, limit int) (*Rope, error) {
	if c.Dim <= 0 || c.Dim%2 != 0 || limit <= 0 {
		return nil, fmt.Errorf("rope over %d elements and %d positions", c.Dim, limit)
	}
	freqs, attn, err := c.frequencies()
	if err != nil {
		return nil, err
	}
	r := &Rope{Style: c.Style, Pairs: c.Dim / 2, limit: limit, step: 64}
	for r.step*r.step < limit { // the tables are smallest when they are equal
		r.step *= 2
	}
	r.fine = rotations(freqs, r.step, 1, 1)
	r.coarse = rotations(freqs, (limit+r.step-1)/r.step, r.step, attn)
	return r, nil
}

// rotations tabulates magnitude*(cos, sin) of n positions, step apart.
func rotations(freqs []float64, n, step int, magnitude float64) []float64 {
	t := make([]float64, 0, n*len(freqs)*2)
	for p := range n {
		for _, f := range freqs {
			sin, cos := math.Sincos(float64(p*step) * f)
			t = append(t, magnitude*cos, magnitude*sin)
		}
	}
	return t
}

// frequencies returns each pair's angle per position, and the magnitude.
func (c RopeConfig) frequencies() (freqs []float64, attn float64, err error) {
	if !(c.Base > 0) || math.IsInf(c.Base, 0) {
		return nil, 0, fmt.Errorf("a rope base of %v", c.Base)
	}
	pairs := c.Dim / 2
	if c.Factors != nil && len(c.Factors) != pairs {
		return nil, 0, fmt.Errorf("%d rope factors for %d pairs", len(c.Factors), pairs)
	}
	scale, attn := c.Scale, c.Attn
	if scale == 0 {
		scale = 1
	}
	if attn == 0 {
		attn = 1
	}
	var low, high float64
	if c.YaRN {
		low, high = c.ramp()
		if scale < 1 {
			attn *= 1 + 0.1*math.Log(1/scale)
		}
	}
	freqs = make([]float64, pairs)
	for i := range freqs {
		f := math.Pow(c.Base, -float64(2*i)/float64(c.Dim))
		if c.Factors != nil {
			if f /= float64(c.Factors[i]); math.IsInf(f, 0) || math.IsNaN(f) {
				return nil, 0, fmt.Errorf("rope factor %d is %v", i, c.Factors[i])
			}
		}
		kept := 0.0 // share of the unscaled frequency
		if c.YaRN {
			kept = 1 - min(1, max(0, (float64(i)-low)/max(0.001, high-low)))
		}
		freqs[i] = f*scale*(1-kept) + f*kept
	}
	return freqs, attn, nil
}

// ramp returns the pairs between which YaRN goes from kept to scaled.
func (c RopeConfig) ramp() (low, high float64) {
	fast, slow := c.BetaFast, c.BetaSlow
	if fast == 0 {
		fast = 32
	}
	if slow == 0 {
		slow = 1
	}
	at := func(turns float64) float64 {
		return float64(c.Dim) * math.Log(float64(c.Original)/(turns*2*math.Pi)) / (2 * math.Log(c.Base))
	}
	return max(0, math.Floor(at(fast))), min(float64(c.Dim-1), math.Ceil(at(slow)))
}

// Fill writes the cosines and sines of position pos. cos, sin: [Pairs]
func (r *Rope) Fill(cos, sin []float32, pos int32) {
	if uint(pos) >= uint(r.limit) {
		panic(fmt.Sprintf("nn: position %d in a context of %d", pos, r.limit))
	}
	n := 2 * r.Pairs
	a := r.coarse[int(pos)/r.step*n:][:n]
	b := r.fine[int(pos)%r.step*n:][:n]
	cos, sin = cos[:r.Pairs], sin[:r.Pairs]
	for i := range cos {
		ac, as, bc, bs := a[2*i], a[2*i+1], b[2*i], b[2*i+1]
		cos[i] = float32(ac*bc - as*bs)
		sin[i] = float32(as*bc + ac*bs)
	}
}

// RopeBytes is the size of the tables.
func RopeBytes(ropes []*Rope) uint64 {
	n := 0
	for _, r := range ropes {
		n += 8 * (len(r.fine) + len(r.coarse))
	}
	return uint64(n)
}
