package serving

import (
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"

	"github.com/penstock-llm/penstock/internal/sample"
)

// Check reads optional parameters and keeps the first error.
type Check struct{ err *Error }

// Err is the first error, or nil.
func (c *Check) Err() *Error { return c.err }

// Fail notes an error unless there is one already.
func (c *Check) Fail(e *Error) {
	if c.err == nil {
		c.err = e
	}
}

// Float is *v, or def, which need not be in range.
func (c *Check) Float(param string, v *float64, def, low, high float64) float32 {
	if v == nil {
		return float32(def)
	}
	if math.IsNaN(*v) || *v < low || *v > high {
		c.Fail(Bad(param, "%s must be between %v and %v", param, low, high))
		return float32(def)
	}
	return float32(*v)
}

// Int is *v, or def, which need not be in range.
func (c *Check) Int(param string, v *int, def, low, high int) int {
	if v == nil {
		return def
	}
	if *v < low || *v > high {
		if high == math.MaxInt32 {
			c.Fail(Bad(param, "%s must be at least %d", param, low))
		} else {
			c.Fail(Bad(param, "%s must be between %d and %d", param, low, high))
		}
		return def
	}
	return *v
}

// Seed is *v, or a random one.
func (c *Check) Seed(v *int64) uint64 {
	if v == nil {
		return rand.Uint64()
	}
	return uint64(*v)
}

// Limits of stop strings: each costs time at every token.
const (
	maxStops    = 16
	maxStopText = 1024
)

// Stops checks stop strings.
func (c *Check) Stops(param string, stops []string) []string {
	if len(stops) > maxStops {
		c.Fail(Bad(param, "%s must have at most %d strings", param, maxStops))
		return nil
	}
	for _, s := range stops {
		if s == "" || len(s) > maxStopText {
			c.Fail(Bad(param, "each string of %s must have between 1 and %d bytes", param, maxStopText))
			return nil
		}
	}
	return stops
}

const maxBias = 4096

// Bias reads a map of token ids to biases.
func (c *Check) Bias(param string, m map[string]float64, vocab int) []sample.Bias {
	if len(m) == 0 {
		return nil
	}
	if len(m) > maxBias {
		c.Fail(Bad(param, "%s must have at most %d entries", param, maxBias))
		return nil
	}
	list := make([]sample.Bias, 0, len(m))
	for key, v := range m {
		id, err := strconv.Atoi(strings.TrimSpace(key))
		if err != nil || id < 0 || id >= vocab {
			c.Fail(Bad(param, "%s must have token ids below %d as keys, not %q", param, vocab, key))
			return nil
		}
		if math.IsNaN(v) || v < -100 || v > 100 {
			c.Fail(Bad(param, "the values of %s must be between -100 and 100", param))
			return nil
		}
		list = append(list, sample.Bias{Token: int32(id), Value: float32(v)})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Token < list[j].Token })
	for i := 1; i < len(list); i++ {
		if list[i].Token == list[i-1].Token {
			c.Fail(Bad(param, "%s names the token %d twice", param, list[i].Token))
		}
	}
	return list
}

// Tokens checks token ids.
func (c *Check) Tokens(param string, ids []int32, vocab int) {
	for _, id := range ids {
		if id < 0 || int(id) >= vocab {
			c.Fail(Bad(param, "%s must have token ids below %d, not %d", param, vocab, id))
			return
		}
	}
}

// Inert refuses a parameter unless its value is one of those that change
// nothing: null, or one of the given JSON texts.
func (c *Check) Inert(param string, value []byte, inert ...string) {
	text := strings.TrimSpace(string(value))
	if text == "" || text == "null" {
		return
	}
	for _, ok := range inert {
		if strings.Join(strings.Fields(text), "") == ok {
			return
		}
	}
	c.Fail(Unsupported(param))
}
