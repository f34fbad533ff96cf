package sample

import (
	"cmp"
	"math"
	"slices"
)

// DRY ("don't repeat yourself") lowers the logit of a token that would continue
// a repetition: if the last n tokens occurred before, the token that followed
// them there loses Multiplier * Base^(n-AllowedLength). It was proposed in
// https://github.com/oobabooga/text-generation-webui/pull/5677; where that text
// leaves a choice, this follows llama.cpp
// (https://github.com/ggml-org/llama.cpp/pull/9702).
type DRY struct {
	Multiplier    float32 // 0: off
	Base          float32
	AllowedLength int // repetitions shorter than this cost nothing
	LastN         int // look at so many of the last tokens; 0: at none, -1: at the whole sequence
	Breakers      *Breakers
}

// Breakers are token sequences across which nothing counts as a repetition,
// such as a line feed or the colon after a speaker's name.
type Breakers struct {
	single []uint64  // bit t%64 of word t/64: token t alone is a breaker
	longer [][]int32 // of two tokens or more, ordered by the first
}

// NewBreakers prepares token sequences; empty ones are ignored.
func NewBreakers(vocab int, sequences [][]int32) *Breakers {
	b := &Breakers{single: make([]uint64, (vocab+63)/64)}
	for _, s := range sequences {
		switch {
		case len(s) == 1:
			b.single[s[0]/64] |= 1 << (s[0] % 64)
		case len(s) > 1:
			b.longer = append(b.longer, s)
		}
	}
	slices.SortFunc(b.longer, slices.Compare)
	b.longer = slices.CompactFunc(b.longer, slices.Equal)
	return b
}

func (b *Breakers) alone(t int32) bool { return b != nil && b.single[t/64]>>(t%64)&1 == 1 }

// endOf returns how many tokens of the text, from its beginning, the longest
// breaker takes that begins there; 0: none begins there.
func (b *Breakers) endOf(text []int32) int {
	if b == nil {
		return 0
	}
	longest := 0
	if b.alone(text[0]) {
		longest = 1
	}
	at, _ := slices.BinarySearchFunc(b.longer, text[0], func(s []int32, t int32) int { return cmp.Compare(s[0], t) })
	for _, s := range b.longer[at:] {
		if s[0] != text[0] {
			break
		}
		if len(s) > longest && len(s) <= len(text) && slices.Equal(s, text[:len(s)]) {
			longest = len(s)
		}
	}
	return longest
}

// sinceBreaker is the number of tokens after the last breaker.
func (b *Breakers) sinceBreaker(text []int32) int {
	for i := len(text) - 1; i >= 0; i-- {
		if n := b.endOf(text[i:]); n > 0 {
			return len(text) - i - n
		}
	}
	return len(text)
}

// dontRepeat applies DRY. Sampler.spare[1] holds, for each token that would
// continue a repetition, the length of the longest one.
func (s *Sampler) dontRepeat(x []float32, in *Input) {
	d := &in.Params.DRY
	text := in.History
	if d.LastN >= 0 {
		text = text[max(0, len(text)-d.LastN):]
	}
	if len(text) > len(s.repeats) { // longer than any context: not from the engine
		text = text[len(text)-len(s.repeats):]
	}
	if d.Multiplier == 0 || len(text) <= d.AllowedLength {
		return
	}
	limit := d.Breakers.sinceBreaker(text)
	if limit < d.AllowedLength {
		return
	}
	s.nextStamp()
	longest := s.spare[1]
	repeats := s.repeats[:len(text)]
	endRepeats(repeats, text)
	for i, n := range repeats[:len(text)-1] {
		n = min(n, int32(limit))
		next := text[i+1]
		if int(n) < d.AllowedLength || d.Breakers.alone(next) {
			continue
		}
		if s.first(next) || float32(n) > longest[next] {
			longest[next] = float32(n)
		}
	}
	s.subtract(x, text, d)
}

// subtract lowers the logits of the tokens that dontRepeat found.
func (s *Sampler) subtract(x []float32, text []int32, d *DRY) {
	const done = -1
	longest := s.spare[1]
	for _, t := range text {
		if s.seen[t] != s.stamp || longest[t] == done {
			continue
		}
		over := float64(longest[t]) - float64(d.AllowedLength)
		longest[t] = done
		x[t] -= float32(min(float64(d.Multiplier)*math.Pow(float64(d.Base), over), math.MaxFloat32/2))
	}
}

// endRepeats sets n[i] to the number of tokens that end at text[i] and are equal
// to as many at the end of the text. It is the Z-algorithm, run from the end, so
// that the time does not depend on how much the text repeats itself.
func endRepeats(n []int32, text []int32) {
	last := len(text) - 1
	n[last] = int32(len(text))
	// text[low+1:high+1] is equal to the end of the text: the match, among those
	// that were found, that reaches furthest to the left.
	high, low := last, last
	for i := last - 1; i >= 0; i-- {
		k := 0
		if i > low {
			k = min(int(n[last-(high-i)]), i-low)
		}
		for k <= i && text[i-k] == text[last-k] {
			k++
		}
		n[i] = int32(k)
		if i-k < low {
			high, low = i, i-k
		}
	}
}
