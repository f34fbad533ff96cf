package serving

import (
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// Timing is how long a generation took, as llama-server reports it.
type Timing struct {
	Cached, Prompt, Predicted                          int // tokens; Prompt without the cached ones
	PromptMS, PromptPerToken, PromptPerSecond          float64
	PredictedMS, PredictedPerToken, PredictedPerSecond float64
	Drafted, Accepted                                  int // tokens that were guessed ahead, and those that were right
}

// Drafts are the counts of guessed tokens as llama-server has them: absent where none
// was guessed.
func (t *Timing) Drafts() (drafted, accepted *int) {
	if t.Drafted == 0 {
		return nil, nil
	}
	return &t.Drafted, &t.Accepted
}

// Milliseconds computes a result's timing. Rates are 0 where nothing was done.
func Milliseconds(r *Result) Timing {
	t := Rates(r.Timings.Prefill(), r.Timings.Decode(), r.Prompt-r.Cached, r.Completion)
	t.Cached, t.Drafted, t.Accepted = r.Cached, r.Timings.Drafted, r.Timings.Accepted
	return t
}

// Rates computes the timing of so many tokens in the given times.
func Rates(prefill, decode time.Duration, prompt, predicted int) Timing {
	t := Timing{Prompt: prompt, Predicted: predicted}
	t.PromptMS, t.PromptPerToken, t.PromptPerSecond = rates(prefill, prompt)
	t.PredictedMS, t.PredictedPerToken, t.PredictedPerSecond = rates(decode, predicted)
	return t
}

func rates(d time.Duration, n int) (ms, perToken, perSecond float64) {
	ms = float64(d) / 1e6
	if n > 0 {
		perToken = ms / float64(n)
	}
	if ms > 0 {
		perSecond = float64(n) * 1000 / ms
	}
	return ms, perToken, perSecond
}

// NewID makes a random identifier with a prefix.
func NewID(prefix string) string {
	var raw [12]byte
	a, b := rand.Uint64(), rand.Uint32()
	for i := range 8 {
		raw[i] = byte(a >> (8 * i))
	}
	for i := range 4 {
		raw[8+i] = byte(b >> (8 * i))
	}
	var text [24]byte
	hex.Encode(text[:], raw[:])
	return prefix + string(text[:])
}
