package sample

import (
	"fmt"
	"math"
	"slices"
)

// MaxTop is the largest Params.TopLogprobs.
const MaxTop = 20

// Params says how a sequence's tokens are chosen. The zero value is greedy: the
// likeliest token, and the one with the lowest id among equals.
//
// LogitBias and the four exclusions (Allowed, BadWords, MinTokens, and the mask
// of Input) change the logits first. Then the stages of Order run.
type Params struct {
	Temperature float32 // divides the logits; 0: the likeliest token that the other stages left
	TopK        int     // candidates to keep; 0: all
	TopP        float32 // keep the smallest set of candidates with this probability, in (0, 1]; 1: all
	MinP        float32 // keep candidates with this fraction of the likeliest one's probability; 0: all

	RepeatPenalty    float32 // divides positive logits of tokens of prompt and output, multiplies negative ones; 0 and 1: off
	PresencePenalty  float32 // subtracted once from tokens of the output
	FrequencyPenalty float32 // subtracted for each time a token is in the output
	RepeatLastN      int     // the penalties look at so many of the last tokens; 0: at none, -1: at the whole sequence

	TypicalP         float32 // keep candidates near the expected surprise, with this probability together; 0 and 1: off
	TopNSigma        float32 // keep candidates within so many standard deviations of the largest logit; 0 and less: off
	XTCProbability   float32 // how often XTC runs; 0: never
	XTCThreshold     float32 // probability from which XTC counts a candidate as a top choice; above 0.5: XTC is off
	DynatempRange    float32 // the temperature lies within this distance of Temperature, by the entropy; 0: off
	DynatempExponent float32 // shapes how the entropy becomes a temperature
	DRY              DRY
	MinKeep          int     // TypicalP, TopP, MinP and XTC leave at least so many candidates
	Order            []Stage // nil: DefaultOrder

	LogitBias []Bias    // added to the logits; at most one for a token, -Inf excludes it
	Allowed   []uint64  // bit t%64 of word t/64 allows token t; nil: all
	BadWords  [][]int32 // token sequences that the output never contains
	MinTokens int       // the output has at least so many tokens before one of Ends
	Ends      []int32   // tokens that MinTokens excludes
	Seed      uint64

	Logprobs    bool // report the chosen token's log-probability
	TopLogprobs int  // and those of the likeliest, at most MaxTop
	PostProbs   bool // of the probabilities that the token was drawn by, after all stages; else of the model's own
}

// Bias is added to one token's logit.
type Bias struct {
	Token int32
	Value float32
}

// ParamError says which parameter has a value that makes no sense.
type ParamError struct {
	Param string // in the spelling of the HTTP APIs
	Value any
	Want  string
}

func (e *ParamError) Error() string {
	return fmt.Sprintf("%s is %v, must be %s", e.Param, e.Value, e.Want)
}

// Validate returns a *ParamError for the first value that makes no sense.
func (p *Params) Validate(vocab int) error {
	if err := p.validateNumbers(); err != nil {
		return err
	}
	for _, b := range p.LogitBias {
		if b.Token < 0 || int(b.Token) >= vocab {
			return &ParamError{"logit_bias", b.Token, fmt.Sprintf("for a token below %d", vocab)}
		}
		if b.Value != b.Value || b.Value == posInf {
			return &ParamError{"logit_bias", b.Value, "a number"}
		}
	}
	for _, word := range p.BadWords {
		if err := validTokens("bad_words", word, vocab); err != nil {
			return err
		}
	}
	return validTokens("stop_token_ids", p.Ends, vocab)
}

func validTokens(param string, ids []int32, vocab int) error {
	for _, t := range ids {
		if t < 0 || int(t) >= vocab {
			return &ParamError{param, t, fmt.Sprintf("of tokens below %d", vocab)}
		}
	}
	return nil
}

// validateNumbers checks the parameters that are one number each.
func (p *Params) validateNumbers() error {
	ratio := func(v float32) bool { return v >= 0 && v <= 1 }
	wants := [...]struct {
		ok    bool
		param string
		value any
		want  string
	}{
		{finite(p.Temperature) && p.Temperature >= 0, "temperature", p.Temperature, "at least 0"},
		{p.TopK >= 0, "top_k", p.TopK, "at least 0"},
		{p.Temperature == 0 || p.TopP > 0 && p.TopP <= 1, "top_p", p.TopP, "above 0 and at most 1"},
		{ratio(p.MinP), "min_p", p.MinP, "between 0 and 1"},
		{finite(p.RepeatPenalty) && p.RepeatPenalty >= 0, "repetition_penalty", p.RepeatPenalty, "above 0"},
		{finite(p.PresencePenalty), "presence_penalty", p.PresencePenalty, "a number"},
		{finite(p.FrequencyPenalty), "frequency_penalty", p.FrequencyPenalty, "a number"},
		{p.RepeatLastN >= -1, "repeat_last_n", p.RepeatLastN, "at least -1"},
		{ratio(p.TypicalP), "typical_p", p.TypicalP, "between 0 and 1"},
		{finite(p.TopNSigma), "top_n_sigma", p.TopNSigma, "a number"},
		{ratio(p.XTCProbability), "xtc_probability", p.XTCProbability, "between 0 and 1"},
		{ratio(p.XTCThreshold), "xtc_threshold", p.XTCThreshold, "between 0 and 1"},
		{finite(p.DynatempRange) && p.DynatempRange >= 0, "dynatemp_range", p.DynatempRange, "at least 0"},
		{finite(p.DynatempExponent) && p.DynatempExponent >= 0, "dynatemp_exponent", p.DynatempExponent, "at least 0"},
		{finite(p.DRY.Multiplier) && p.DRY.Multiplier >= 0, "dry_multiplier", p.DRY.Multiplier, "at least 0"},
		{finite(p.DRY.Base) && p.DRY.Base >= 0, "dry_base", p.DRY.Base, "at least 0"},
		{p.DRY.AllowedLength >= 0, "dry_allowed_length", p.DRY.AllowedLength, "at least 0"},
		{p.DRY.LastN >= -1, "dry_penalty_last_n", p.DRY.LastN, "at least -1"},
		{p.MinKeep >= 0, "min_keep", p.MinKeep, "at least 0"},
		{p.MinTokens >= 0, "min_tokens", p.MinTokens, "at least 0"},
		{p.TopLogprobs >= 0 && p.TopLogprobs <= MaxTop, "top_logprobs", p.TopLogprobs, fmt.Sprintf("between 0 and %d", MaxTop)},
	}
	for i := range wants {
		if w := &wants[i]; !w.ok {
			return &ParamError{w.param, w.value, w.want}
		}
	}
	return nil
}

// Clone copies what a caller might change later. Allowed, BadWords and the
// breakers of DRY are shared: whoever makes them does not change them.
func (p Params) Clone() Params {
	p.LogitBias = slices.Clone(p.LogitBias)
	p.Order = slices.Clone(p.Order)
	p.Ends = slices.Clone(p.Ends)
	return p
}

func (p *Params) repeats() bool { return p.RepeatPenalty != 0 && p.RepeatPenalty != 1 }

func (p *Params) penalises() bool {
	return p.RepeatLastN != 0 && (p.repeats() || p.PresencePenalty != 0 || p.FrequencyPenalty != 0)
}

// excludes tells whether the parameters forbid tokens, whatever their logits.
func (p *Params) excludes() bool {
	return p.Allowed != nil || len(p.BadWords) > 0 || p.MinTokens > 0
}

// changes tells whether logits are changed before a token is chosen.
func (p *Params) changes() bool {
	return p.penalises() || p.DRY.Multiplier > 0 || len(p.LogitBias) > 0 || p.excludes()
}

func (p *Params) typical() bool { return p.TypicalP > 0 && p.TypicalP < 1 }

func (p *Params) xtc() bool { return p.XTCProbability > 0 && p.XTCThreshold <= 0.5 }

// chained tells whether the stages have to run one after the other. Without
// these parameters all that the stages do is one cut and one draw, for which
// choose has shorter ways.
func (p *Params) chained() bool {
	if p.Logprobs && p.PostProbs {
		return true // the chain knows the probabilities of the draw
	}
	unusual := p.typical() || p.xtc() || p.DynatempRange > 0
	if p.Temperature < coldest && p.Order == nil {
		return unusual // nothing else can move the likeliest token
	}
	return unusual || p.TopNSigma > 0 || p.MinKeep > 1 || p.Order != nil
}

var negInf, posInf = float32(math.Inf(-1)), float32(math.Inf(1))

func finite(v float32) bool { return v-v == 0 }
