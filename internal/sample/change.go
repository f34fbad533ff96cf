package sample

import (
	"math"
	"math/bits"
	"slices"
)

// This file changes logits before a token is chosen: bias, penalties, and
// tokens that are excluded. An excluded token's logit is -Inf.

func (s *Sampler) bias(x []float32, p *Params) {
	for _, b := range p.LogitBias {
		x[b.Token] += b.Value
	}
}

// penalise makes tokens that the sequence contains less likely. The repeat
// penalty is that of CTRL (Keskar et al., arXiv:1909.05858); presence and
// frequency penalty are OpenAI's.
func (s *Sampler) penalise(x []float32, in *Input) {
	p := in.Params
	from := 0
	if p.RepeatLastN >= 0 {
		from = max(0, len(in.History)-p.RepeatLastN)
	}
	if p.repeats() {
		s.nextStamp()
		for _, t := range in.History[from:] {
			if s.first(t) {
				if x[t] > 0 {
					x[t] /= p.RepeatPenalty
				} else {
					x[t] *= p.RepeatPenalty
				}
			}
		}
	}
	if p.PresencePenalty == 0 && p.FrequencyPenalty == 0 {
		return
	}
	s.nextStamp()
	for _, t := range in.History[min(max(from, in.Prompt), len(in.History)):] {
		if s.first(t) {
			x[t] -= p.PresencePenalty
		}
		x[t] -= p.FrequencyPenalty
	}
}

// first tells whether token t is asked about for the first time since the last
// call of nextStamp.
func (s *Sampler) first(t int32) bool {
	if s.seen[t] == s.stamp {
		return false
	}
	s.seen[t] = s.stamp
	return true
}

// nextStamp forgets what first was asked about, without clearing the array.
func (s *Sampler) nextStamp() {
	if s.stamp++; s.stamp == 0 {
		clear(s.seen)
		s.stamp = 1
	}
}

// exclude applies everything that forbids tokens.
func (s *Sampler) exclude(x []float32, in *Input) {
	p := in.Params
	s.keep(x, in.Allowed)
	s.keep(x, p.Allowed)
	output := in.History[min(in.Prompt, len(in.History)):]
	if len(output) < p.MinTokens {
		for _, t := range p.Ends {
			x[t] = negInf
		}
	}
	for _, word := range p.BadWords {
		if n := len(word) - 1; n >= 0 && n <= len(output) && slices.Equal(output[len(output)-n:], word[:n]) {
			x[word[n]] = negInf // it would complete the sequence
		}
	}
}

// keep excludes the tokens whose bit is not set; nil allows all.
func (s *Sampler) keep(x []float32, allowed []uint64) {
	if allowed == nil {
		return
	}
	for w := 0; w*64 < len(x); w++ {
		var keep uint64
		if w < len(allowed) {
			keep = allowed[w]
		}
		part := x[w*64 : min(len(x), w*64+64)]
		switch {
		case keep == math.MaxUint64:
		case bits.OnesCount64(keep) > 32 || len(part) < 64:
			for drop := ^keep; drop != 0; drop &= drop - 1 {
				if i := bits.TrailingZeros64(drop); i < len(part) {
					part[i] = negInf
				}
			}
		default:
			s.keepFew(part, keep)
		}
	}
}

// keepFew excludes all but a few of 64 tokens: it sets the whole part to -Inf
// and puts the few back, which is faster than excluding the others singly.
func (s *Sampler) keepFew(x []float32, keep uint64) {
	var kept [32]float32
	n := 0
	for k := keep; k != 0; k &= k - 1 {
		kept[n] = x[bits.TrailingZeros64(k)]
		n++
	}
	copy(x, s.never[:])
	n = 0
	for k := keep; k != 0; k &= k - 1 {
		x[bits.TrailingZeros64(k)] = kept[n]
		n++
	}
}
