package serving

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
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

// Float is *v, which must lie between low and high. Where the request has no
// value it is def, whatever the limits are.
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

// Int is *v, which must lie between low and high. Where the request has no value
// it is def, whatever the limits are.
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

// Limits of stop strings: each costs time at every token.
const (
	maxStops    = 128
	maxStopText = 1024
)

// Stops checks stop strings.
func (c *Check) Stops(param string, stops []string) []string {
	if !c.texts(param, stops, maxStops, maxStopText) {
		return nil
	}
	return stops
}

// texts checks how many strings a list has, and how many bytes each.
func (c *Check) texts(param string, list []string, most, longest int) bool {
	if len(list) > most {
		c.Fail(Bad(param, "%s must have at most %d strings", param, most))
		return false
	}
	for _, s := range list {
		if s == "" || len(s) > longest {
			c.Fail(Bad(param, "each string of %s must have between 1 and %d bytes", param, longest))
			return false
		}
	}
	return true
}

// maxBias is the largest number of entries of logit_bias.
const maxBias = 4096

// bias reads logit_bias: {"id": value}, or [[id or text, value]…], where false
// means never. The object's keys may be texts, too, unless strict is true: in
// OpenAI's API they are ids.
func (c *Check) bias(m *Deployment, data json.RawMessage, strict Strictness) []sample.Bias {
	if absent(data) {
		return nil
	}
	const forms = "logit_bias must be an object of token ids and values, or an array of pairs of a token id or a text and a value"
	var list []sample.Bias
	var object map[string]json.RawMessage
	var pairs [][]json.RawMessage
	ofText := func(text string, value float32) {
		ids := m.Tokenizer.Encode(text, false, false)
		slices.Sort(ids)
		for _, t := range slices.Compact(ids) { // a token that the text has twice counts once
			list = append(list, sample.Bias{Token: t, Value: value})
		}
	}
	switch {
	case json.Unmarshal(data, &object) == nil:
		for key, value := range object {
			id, err := strconv.ParseInt(strings.TrimSpace(key), 10, 32)
			switch {
			case err == nil:
				list = append(list, sample.Bias{Token: int32(id), Value: c.biasValue(value)})
			case bool(strict):
				c.Fail(Bad("logit_bias", "logit_bias must have token ids as keys, not %q", clip(key)))
				return nil
			default:
				ofText(key, c.biasValue(value))
			}
		}
	case json.Unmarshal(data, &pairs) == nil:
		for _, p := range pairs {
			if len(p) != 2 {
				c.Fail(Bad("logit_bias", forms))
				return nil
			}
			value := c.biasValue(p[1])
			var id int32
			var text string
			switch {
			case string(p[0]) != "null" && json.Unmarshal(p[0], &id) == nil:
				list = append(list, sample.Bias{Token: id, Value: value})
			case string(p[0]) != "null" && json.Unmarshal(p[0], &text) == nil:
				ofText(text, value)
			default:
				c.Fail(Bad("logit_bias", forms))
				return nil
			}
		}
	default:
		c.Fail(Bad("logit_bias", forms))
	}
	return c.biases(list, m.Tokenizer.Vocab())
}

func (c *Check) biasValue(data json.RawMessage) float32 {
	if string(data) == "false" {
		return float32(math.Inf(-1))
	}
	v := math.NaN()
	if json.Unmarshal(data, &v) != nil || !(v >= -100 && v <= 100) {
		c.Fail(Bad("logit_bias", "the values of logit_bias must be numbers between -100 and 100"))
		return 0
	}
	return float32(v)
}

// biases checks the tokens; each may come once.
func (c *Check) biases(list []sample.Bias, vocab int) []sample.Bias {
	if len(list) > maxBias {
		c.Fail(Bad("logit_bias", "logit_bias must have at most %d entries", maxBias))
		return nil
	}
	slices.SortFunc(list, func(a, b sample.Bias) int { return cmp.Compare(a.Token, b.Token) })
	for i, b := range list {
		if b.Token < 0 || int(b.Token) >= vocab {
			c.Fail(Bad("logit_bias", "logit_bias must have token ids below %d, not %d", vocab, b.Token))
			return nil
		}
		if i > 0 && list[i-1].Token == b.Token {
			c.Fail(Bad("logit_bias", "logit_bias names the token %d twice", b.Token))
			return nil
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
