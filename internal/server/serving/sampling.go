package serving

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/api/sampling"
	"github.com/penstock-llm/penstock/internal/sample"
)

// Strictness says which values of a parameter a protocol takes.
type Strictness bool

const (
	Strict  Strictness = true  // a value that OpenAI's documentation excludes is an error
	Lenient Strictness = false // llama-server's: what lies beyond a limit counts as the limit
)

// stops are the strings that end an answer: the request's, else the model's.
func (d *Deployment) stops(asked []string) []string {
	if len(asked) > 0 {
		return asked
	}
	return d.Stop
}

// Job reads the fields that all requests for text have. The prompt and the
// largest number of tokens are the caller's to add.
func (c *Check) Job(call *Call, m *Deployment, f *sampling.Fields, strict Strictness) *Job {
	vocab := m.Tokenizer.Vocab()
	c.Tokens("stop_token_ids", f.StopTokenIDs, vocab)
	j := &Job{
		Params:     c.params(m, f, strict),
		Stop:       m.stops(c.Stops("stop", f.Stop)),
		StopTokens: f.StopTokenIDs,
		IgnoreEOS:  f.IgnoreEOS,
		Priority:   call.Client.Priority,
		Client:     call.Client.Name,
		NoPrefix:   f.CachePrompt != nil && !*f.CachePrompt,
		Salt:       c.salt(f.CacheSalt),
		BadWords:   f.BadWords,
		Breakers:   f.DrySequenceBreakers,
		record:     &call.Record,
		call:       call,
	}
	if ms := c.Int("t_max_predict_ms", f.TMaxPredictMS, -1, math.MinInt32, math.MaxInt32); ms > 0 {
		j.MaxPredict = time.Duration(ms) * time.Millisecond
	}
	p := &j.Params
	if p.MinTokens = c.Int("min_tokens", f.MinTokens, 0, 0, math.MaxInt32); p.MinTokens > 0 {
		p.Ends = slices.Concat(m.Tokenizer.EOG(), f.StopTokenIDs)
	}
	if j.Breakers == nil {
		j.Breakers = slices.Clone(usualBreakers)
	}
	if p.DRY.Multiplier > 0 {
		p.DRY.Breakers = m.breakers.of(m, c, j.Breakers)
	}
	p.LogitBias = c.bias(m, f.LogitBias, strict)
	p.BadWords = c.badWords(m, f.BadWords)
	p.Allowed = c.allowed(f.AllowedTokenIDs, vocab)
	c.useForm(j, c.formOf(f))
	return j
}

// salt reads cache_salt.
func (c *Check) salt(v *string) string {
	if v == nil {
		return ""
	}
	if *v == "" {
		c.Fail(Bad("cache_salt", "cache_salt must be a text that is not empty"))
	}
	return *v
}

// params reads the parameters that are one number each. What the request leaves
// open is the deployment's.
func (c *Check) params(m *Deployment, f *sampling.Fields, strict Strictness) sample.Params {
	settings := m.Defaults()
	settings.Seed = c.seed(f.Seed, settings.Seed)
	p := settings.Params()
	number := func(to *float32, param string, v *float64, low, high float64) {
		if v != nil && !strict {
			v = new(min(max(*v, low), high))
		}
		*to = c.Float(param, v, float64(*to), low, high)
	}
	hottest, strongest := 2.0, 2.0
	if !strict {
		hottest, strongest = 1000, 100
	}
	number(&p.Temperature, "temperature", f.Temperature, 0, hottest)
	number(&p.TopP, "top_p", f.TopP, 0, 1)
	p.TopP = max(p.TopP, sample.LeastTopP)
	number(&p.MinP, "min_p", f.MinP, 0, 1)
	number(&p.TypicalP, "typical_p", f.TypicalP, 0, 1)
	number(&p.TopNSigma, "top_n_sigma", f.TopNSigma, -math.MaxFloat32, math.MaxFloat32)
	number(&p.XTCProbability, "xtc_probability", f.XTCProbability, 0, 1)
	number(&p.XTCThreshold, "xtc_threshold", f.XTCThreshold, 0, 1)
	number(&p.DynatempRange, "dynatemp_range", f.DynatempRange, 0, 1000)
	number(&p.DynatempExponent, "dynatemp_exponent", f.DynatempExponent, 0, 100)
	number(&p.PresencePenalty, "presence_penalty", f.PresencePenalty, -strongest, strongest)
	number(&p.FrequencyPenalty, "frequency_penalty", f.FrequencyPenalty, -strongest, strongest)
	number(&p.DRY.Multiplier, "dry_multiplier", f.DryMultiplier, 0, 1000)
	number(&p.DRY.Base, "dry_base", f.DryBase, 0, 1000)
	c.repeatPenalty(&p, f)
	lowest := -1
	if !strict {
		lowest = math.MinInt32
	}
	p.TopK = max(c.Int("top_k", f.TopK, p.TopK, lowest, math.MaxInt32), 0)
	p.MinKeep = max(c.Int("min_keep", f.MinKeep, 0, 0, math.MaxInt32), 0)
	p.RepeatLastN = c.Int("repeat_last_n", f.RepeatLastN, p.RepeatLastN, -1, math.MaxInt32)
	p.DRY.AllowedLength = c.Int("dry_allowed_length", f.DryAllowedLength, p.DRY.AllowedLength, 0, math.MaxInt32)
	p.DRY.LastN = c.Int("dry_penalty_last_n", f.DryPenaltyLastN, p.DRY.LastN, -1, math.MaxInt32)
	p.Order = c.order(f.Samplers)
	return p
}

// repeatPenalty reads the parameter with two names.
func (c *Check) repeatPenalty(p *sample.Params, f *sampling.Fields) {
	def := float64(p.RepeatPenalty)
	a := c.Float("repeat_penalty", f.RepeatPenalty, def, 0.01, 10)
	b := c.Float("repetition_penalty", f.RepetitionPenalty, def, 0.01, 10)
	switch {
	case f.RepetitionPenalty == nil:
		p.RepeatPenalty = a
	case f.RepeatPenalty != nil && a != b:
		c.Fail(Bad("repetition_penalty", "repetition_penalty and repeat_penalty are names of the same parameter, but have different values"))
	default:
		p.RepeatPenalty = b
	}
}

// seed is the seed that a request asks for: that of its 32 bits, as llama-server
// takes it; negative ones below -1 and such beyond them are folded into them.
func (c *Check) seed(asked, def *int64) *int64 {
	if asked == nil {
		return def
	}
	return new(int64(uint32(*asked)))
}

// order reads samplers: names, or a text of letters.
func (c *Check) order(data json.RawMessage) []sample.Stage {
	if absent(data) {
		return nil
	}
	var (
		order   []sample.Stage
		err     error
		names   []string
		letters string
	)
	switch {
	case json.Unmarshal(data, &letters) == nil:
		order, err = sample.ParseLetters(letters)
	case json.Unmarshal(data, &names) == nil:
		order, err = sample.ParseOrder(names)
	default:
		err = fmt.Errorf("it must be an array of names, or a string of letters")
	}
	if err != nil {
		c.Fail(Bad("samplers", "samplers: %v", err))
		return nil
	}
	if slices.Equal(order, sample.DefaultOrder) {
		return nil
	}
	return order
}

func absent(data json.RawMessage) bool { return len(data) == 0 || string(data) == "null" }

// Limits of lists of texts, each of which costs time at every token.
const (
	maxWords    = 1024
	maxWordText = 256
)

// words checks a list of short texts.
func (c *Check) words(param string, words []string) bool {
	return c.texts(param, words, maxWords, maxWordText)
}

// badWords are the token sequences of words, at the beginning of a text and
// after a space.
func (c *Check) badWords(m *Deployment, words []string) [][]int32 {
	if len(words) == 0 || !c.words("bad_words", words) {
		return nil
	}
	var list [][]int32
	for _, w := range words {
		for _, text := range []string{w, " " + strings.TrimLeft(w, " ")} {
			if ids := m.Tokenizer.Encode(text, false, false); len(ids) > 0 {
				list = append(list, ids)
			}
		}
	}
	slices.SortFunc(list, slices.Compare)
	return slices.CompactFunc(list, slices.Equal)
}

// allowed is the set of token ids as bits.
func (c *Check) allowed(ids []int32, vocab int) []uint64 {
	if ids == nil {
		return nil
	}
	if len(ids) == 0 {
		c.Fail(Bad("allowed_token_ids", "allowed_token_ids must not be empty: leave it out to allow all tokens"))
		return nil
	}
	set := make([]uint64, (vocab+63)/64)
	c.Tokens("allowed_token_ids", ids, vocab)
	for _, id := range ids {
		if id >= 0 && int(id) < vocab {
			set[id/64] |= 1 << (id % 64)
		}
	}
	return set
}
