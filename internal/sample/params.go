package sample

import (
	"fmt"
	"math"
	"slices"
)

// MaxTop is the largest Params.TopLogprobs.
const MaxTop = 20

// Params says how a sequence's tokens are chosen. The zero value is greedy: the
// likeliest token, the lowest id among equals.
//
// The order is that of transformers and vLLM: bias, penalties, mask,
// temperature, top-k, top-p over what top-k left, min-p.
type Params struct {
	Temperature float32 // 0: greedy
	TopK        int     // candidates; 0: all
	TopP        float32 // the smallest set of candidates with this probability, in (0, 1]; 1: all
	MinP        float32 // at least this fraction of the likeliest one's probability; 0: all

	RepeatPenalty    float32 // divides positive logits of tokens of prompt and output, multiplies negative ones; 0 and 1: off
	PresencePenalty  float32 // subtracted once from tokens of the output
	FrequencyPenalty float32 // subtracted for each time a token is in the output
	RepeatLastN      int     // the penalties look back at so many tokens; 0: at all

	LogitBias []Bias // added to the logits; at most one for a token
	Seed      uint64

	Logprobs    bool // report the chosen token's log-probability
	TopLogprobs int  // and those of the likeliest, at most MaxTop
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
	return fmt.Sprintf("sample: %s is %v, must be %s", e.Param, e.Value, e.Want)
}

// Validate returns a *ParamError for the first value that makes no sense.
func (p *Params) Validate(vocab int) error {
	finite := func(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
	fail := func(param string, value any, want string) error { return &ParamError{param, value, want} }
	switch {
	case !finite(p.Temperature) || p.Temperature < 0:
		return fail("temperature", p.Temperature, "at least 0")
	case p.TopK < 0:
		return fail("top_k", p.TopK, "at least 0")
	case p.Temperature > 0 && !(p.TopP > 0 && p.TopP <= 1):
		return fail("top_p", p.TopP, "above 0 and at most 1")
	case !(p.MinP >= 0 && p.MinP <= 1):
		return fail("min_p", p.MinP, "between 0 and 1")
	case !finite(p.RepeatPenalty) || p.RepeatPenalty < 0:
		return fail("repetition_penalty", p.RepeatPenalty, "above 0")
	case !finite(p.PresencePenalty):
		return fail("presence_penalty", p.PresencePenalty, "a number")
	case !finite(p.FrequencyPenalty):
		return fail("frequency_penalty", p.FrequencyPenalty, "a number")
	case p.RepeatLastN < 0:
		return fail("repeat_last_n", p.RepeatLastN, "at least 0")
	case p.TopLogprobs < 0 || p.TopLogprobs > MaxTop:
		return fail("top_logprobs", p.TopLogprobs, fmt.Sprintf("between 0 and %d", MaxTop))
	}
	for _, b := range p.LogitBias {
		if b.Token < 0 || int(b.Token) >= vocab {
			return fail("logit_bias", b.Token, fmt.Sprintf("for a token below %d", vocab))
		}
		if !finite(b.Value) {
			return fail("logit_bias", b.Value, "a number")
		}
	}
	return nil
}

// Clone copies what a caller might change later.
func (p Params) Clone() Params {
	p.LogitBias = slices.Clone(p.LogitBias)
	return p
}

func (p *Params) repeats() bool { return p.RepeatPenalty != 0 && p.RepeatPenalty != 1 }

// changes says whether logits are changed before a token is chosen.
func (p *Params) changes() bool {
	return p.repeats() || p.PresencePenalty != 0 || p.FrequencyPenalty != 0 || len(p.LogitBias) > 0
}
