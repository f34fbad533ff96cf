package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Outcome is what became of one file.
type Outcome struct {
	File            string    `json:"file"`
	Set             string    `json:"set"`
	Compiled        bool      `json:"compiled"`
	Refused         string    `json:"refused,omitempty"` // why it was not compiled
	Keyword         string    `json:"keyword,omitempty"` // the keyword that was refused
	Right           bool      `json:"right"`             // compiled, and right about every instance
	Tests           int       `json:"tests"`
	ValidRejected   int       `json:"valid_rejected"`
	InvalidAccepted int       `json:"invalid_accepted"`
	Problem         string    `json:"problem,omitempty"` // the first wrong instance: where and why
	CompileTime     float64   `json:"compile_us"`
	FirstMask       float64   `json:"first_mask_us"` // from the schema to its first mask
	Masks           []float64 `json:"-"`             // the others: from a token to the mask behind it
	MaskMean        float64   `json:"mask_mean_us,omitempty"`
	MaskMax         float64   `json:"mask_max_us,omitempty"`
	Bytes           int       `json:"bytes"`
}

// vocabulary is a model's tokens for the grammar, and the tokenizer that cuts the instances.
type vocabulary struct {
	tok    *tokenizer.Tokenizer
	pieces [][]byte
	ends   []int32
	v      *grammar.Vocabulary
	spelt  []string // the tokens as the model's file has them
	merges []string
	clock  func() time.Duration
}

// clock returns the clock that times are taken with.
func clock(processor bool) (func() time.Duration, error) {
	if !processor {
		start := time.Now()
		return func() time.Duration { return time.Since(start) }, nil
	}
	if _, known := cpu.ThreadUsed(); !known {
		return nil, errors.New("this system does not tell the processor time of a thread: leave out --cpu-time")
	}
	return func() time.Duration {
		used, _ := cpu.ThreadUsed()
		return used
	}, nil
}

func newVocabulary(tok *tokenizer.Tokenizer) *vocabulary {
	pieces := make([][]byte, tok.Vocab())
	for t := range pieces {
		if !tok.IsSpecial(int32(t)) {
			pieces[t] = tok.Piece(int32(t))
		}
	}
	return &vocabulary{tok: tok, pieces: pieces, ends: tok.EOG(), v: grammar.NewVocabulary(pieces, tok.EOG())}
}

// measure compiles a file's schema and walks its instances.
func (v *vocabulary) measure(f file) (*Outcome, error) {
	var c content
	if err := json.Unmarshal(f.text, &c); err != nil {
		return nil, fmt.Errorf("%s: not a schema with tests: %w", f.name, err)
	}
	o := &Outcome{File: f.name, Set: f.set(), Tests: len(c.Tests)}
	start := v.clock()
	g, err := schema.Compile(c.Schema, schema.Limits{})
	o.CompileTime = us(v.clock() - start)
	if err != nil {
		o.Refused = err.Error()
		var refusal *schema.Error
		if errors.As(err, &refusal) {
			o.Keyword = refusal.Keyword
		}
		return o, nil
	}
	o.Compiled = true
	m := g.Matcher(v.v)
	if _, err := m.Allowed(-1); err != nil {
		o.Compiled, o.Refused = false, err.Error()
		return o, nil
	}
	o.FirstMask = us(v.clock() - start)
	for i, t := range c.Tests {
		text, err := written(t.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: instance %d: %w", f.name, i, err)
		}
		problem := v.walk(g, text, o)
		switch accepted := problem == ""; {
		case t.Valid && !accepted:
			o.ValidRejected++
		case !t.Valid && accepted:
			o.InvalidAccepted++
			problem = "accepted"
		default:
			continue
		}
		if o.Problem == "" {
			o.Problem = fmt.Sprintf("instance %d (valid: %v): %s", i, t.Valid, problem)
		}
	}
	o.Right = o.ValidRejected+o.InvalidAccepted == 0
	o.Bytes = g.Bytes()
	return o, nil
}

// walk checks a text token by token against the masks, and that it may end behind the last one. It says what was not allowed.
func (v *vocabulary) walk(g *grammar.Grammar, text []byte, o *Outcome) string {
	m := g.Matcher(v.v)
	mask, err := m.Allowed(-1)
	at := 0
	for _, t := range v.tok.Encode(string(text), false, false) {
		if err != nil {
			return err.Error()
		}
		if mask[t>>6]>>(t&63)&1 == 0 {
			return fmt.Sprintf("the token %q is not allowed behind %.60q", v.tok.Piece(t), text[max(0, at-60):at])
		}
		start := v.clock()
		if err := m.Accept(t); err != nil {
			return err.Error()
		}
		mask, err = m.Allowed(-1)
		o.Masks = append(o.Masks, us(v.clock()-start))
		at = min(len(text), at+len(v.tok.Piece(t)))
	}
	if err != nil {
		return err.Error()
	}
	for _, t := range v.ends {
		if mask[t>>6]>>(t&63)&1 != 0 {
			return ""
		}
	}
	return "the text may not end here"
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
