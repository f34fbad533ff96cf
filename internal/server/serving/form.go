package serving

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/penstock-llm/penstock/api/sampling"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/gbnf"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
)

// form is what an answer must be: a text of a grammar that is written in one of
// the notations that requests may use.
type form struct {
	param    string // the field of the request
	notation notation
	text     []byte
}

type notation byte

const (
	asSchema  notation = iota // a JSON Schema
	asGrammar                 // llama.cpp's GBNF
	asPattern                 // a regular expression
	asChoice                  // a JSON array of texts
)

// anyObject is the schema of JSON mode.
var anyObject = []byte(`{"type":"object"}`)

// forms are the grammars that a deployment has compiled last.
type forms struct {
	mu     sync.Mutex
	recent []compiled // the latest last
	once   sync.Once
	vocab  *grammar.Vocabulary
}

type compiled struct {
	key     [sha256.Size]byte
	grammar *grammar.Grammar
}

// maxForms is how many grammars are kept, each with the masks that it has needed.
const maxForms = 16

// grammarOf compiles a form, or finds it compiled.
func (d *Deployment) grammarOf(ctx context.Context, f *form) (g *grammar.Grammar, failed *Error) {
	key := sha256.Sum256(append([]byte{byte(f.notation)}, f.text...))
	if g := d.forms.find(key); g != nil {
		return g, nil
	}
	failed = d.Prepare(ctx, short+1, func() *Error {
		var err error
		if g, err = f.compile(); err != nil {
			return Bad(f.param, "%s: %s", f.param, err.Error())
		}
		d.forms.keep(compiled{key, g})
		return nil
	})
	return g, failed
}

func (f *form) compile() (*grammar.Grammar, error) {
	switch f.notation {
	case asSchema:
		return schema.Compile(f.text, schema.Limits{Order: grammar.InOrder}) // as OpenAI documents it; most names are then forced
	case asGrammar:
		return gbnf.Compile(string(f.text), grammar.Limits{})
	case asPattern:
		return grammar.Regex(string(f.text), grammar.Limits{})
	}
	var texts []string
	if json.Unmarshal(f.text, &texts) != nil || len(texts) == 0 {
		return nil, errors.New("must be an array of texts")
	}
	return grammar.Choice(texts, grammar.Limits{})
}

func (c *forms) find(key [sha256.Size]byte) *grammar.Grammar {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.recent, func(x compiled) bool { return x.key == key })
	if i < 0 {
		return nil
	}
	x := c.recent[i]
	c.recent = append(slices.Delete(c.recent, i, i+1), x)
	return x.grammar
}

func (c *forms) keep(x compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.recent) == maxForms {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.recent = append(c.recent, x)
}

// vocabulary is the model's tokens, arranged for grammars.
func (d *Deployment) vocabulary() *grammar.Vocabulary {
	d.forms.once.Do(func() {
		pieces := make([][]byte, d.Tokenizer.Vocab())
		for id := range pieces {
			if !d.Tokenizer.IsSpecial(int32(id)) {
				pieces[id] = d.Tokenizer.Piece(int32(id))
			}
		}
		d.forms.vocab = grammar.NewVocabulary(pieces, d.Tokenizer.EOG())
	})
	return d.forms.vocab
}

// formOf finds the form that a request asks for, nil if it asks for none. Requests
// have several fields for it, of which one may be used.
func (c *Check) formOf(f *sampling.Fields) *form {
	var found *form
	add := func(param string, n notation, raw json.RawMessage) {
		if len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
			return
		}
		if found != nil {
			c.Fail(Bad(param, "%s and %s both say what the answer must be: use one of them", found.param, param))
			return
		}
		found = &form{param, n, raw}
		var text string
		if n != asChoice && json.Unmarshal(raw, &text) == nil { // schemas may come as texts, the others do
			found.text = []byte(text)
		} else if n == asGrammar || n == asPattern {
			c.Fail(Bad(param, "%s must be a text", param))
		}
	}
	c.responseFormat("response_format", f.ResponseFormat, add)
	if s := f.StructuredOutputs; s != nil {
		add("structured_outputs.json", asSchema, s.JSON)
		add("structured_outputs.regex", asPattern, s.Regex)
		add("structured_outputs.choice", asChoice, s.Choice)
		add("structured_outputs.grammar", asGrammar, s.Grammar)
		if s.JSONObject {
			add("structured_outputs.json_object", asSchema, anyObject)
		}
	}
	add("guided_json", asSchema, f.GuidedJSON)
	add("guided_regex", asPattern, f.GuidedRegex)
	add("guided_choice", asChoice, f.GuidedChoice)
	add("guided_grammar", asGrammar, f.GuidedGrammar)
	add("grammar", asGrammar, f.Grammar)
	if !bytes.Equal(f.JSONSchema, []byte("{}")) { // llama-server's clients mean none
		add("json_schema", asSchema, f.JSONSchema)
	}
	return found
}

// responseFormat reads OpenAI's object: {"type": "json_schema", …} with the schema
// in it, or one level below it.
func (c *Check) responseFormat(param string, raw json.RawMessage, add func(string, notation, json.RawMessage)) {
	if len(raw) == 0 || string(raw) == "null" {
		return
	}
	var r struct {
		Type       string          `json:"type"`
		Schema     json.RawMessage `json:"schema"`
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	if json.Unmarshal(raw, &r) != nil {
		c.Fail(Bad(param, "%s must be an object with a type", param))
		return
	}
	switch {
	case r.Type == "text":
	case r.Type == "json_object" && len(r.Schema) == 0:
		add(param, asSchema, anyObject)
	case r.Type == "json_object":
		add(param+".schema", asSchema, r.Schema)
	case r.Type == "json_schema" && len(r.JSONSchema.Schema) > 0:
		add(param+".json_schema.schema", asSchema, r.JSONSchema.Schema)
	case r.Type == "json_schema" && len(r.Schema) > 0:
		add(param+".schema", asSchema, r.Schema)
	case r.Type == "json_schema":
		c.Fail(Bad(param, "%s has no schema", param))
	default:
		c.Fail(Bad(param, "%s.type must be text, json_object or json_schema", param))
	}
}

// Form gives a job the form that a field of OpenAI's kind asks for.
func (c *Check) Form(call *Call, m *Deployment, j *Job, param string, raw json.RawMessage) {
	var found *form
	c.responseFormat(param, raw, func(param string, n notation, text json.RawMessage) { found = &form{param, n, text} })
	c.useForm(call, m, j, found)
}

// Schema gives a job the form of a JSON Schema.
func (c *Check) Schema(call *Call, m *Deployment, j *Job, param string, raw json.RawMessage) {
	c.useForm(call, m, j, &form{param, asSchema, raw})
}

func (c *Check) useForm(call *Call, m *Deployment, j *Job, f *form) {
	if f == nil || c.Err() != nil {
		return
	}
	g, err := m.grammarOf(call.R.Context(), f)
	if err != nil {
		c.Fail(err)
		return
	}
	j.form, j.formParam = g, f.param
}

// constraint makes what restricts the tokens of a job's generations, or nil.
func (d *Deployment) constraint(j *Job) func() engine.Constraint {
	r := j.Reading
	var thinks func(most int) *thinkingBudget
	if r != nil && r.options.Reasoning != nil {
		thinks = func(most int) *thinkingBudget {
			return newThinkingBudget(most, d.Tokenizer, r.options.Reasoning, r.options.InReasoning)
		}
	}
	switch {
	case j.form == nil && (j.thinking == 0 || thinks == nil):
		return nil
	case j.form == nil:
		return func() engine.Constraint { return thinks(j.thinking) }
	}
	return func() engine.Constraint {
		c := &formConstraint{matcher: j.form.Matcher(d.vocabulary()), encode: d.encodeForced}
		if thinks != nil && r.options.InReasoning {
			c.before = thinks(or(j.thinking, math.MaxInt))
		}
		return c
	}
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// encodeForced tokenises text that continues an answer.
func (d *Deployment) encodeForced(text []byte) []int32 {
	return d.Tokenizer.Encode(string(text), false, false)
}

// formConstraint has the engine obey a grammar, once the model has thought.
type formConstraint struct {
	before  *thinkingBudget // nil: the answer begins with the form
	matcher *grammar.Matcher
	encode  func(text []byte) []int32
	mask    []uint64
}

func (c *formConstraint) thinking() bool { return c.before != nil && !c.before.over }

// Prepare finds the tokens that may come next.
func (c *formConstraint) Prepare(left int) (err error) {
	if c.thinking() {
		c.mask = nil
		return c.before.Prepare(left)
	}
	c.mask, err = c.matcher.Allowed(left)
	return err
}

// Allowed returns what Prepare found.
func (c *formConstraint) Allowed() []uint64 {
	if c.thinking() {
		return c.before.Allowed()
	}
	return c.mask
}

// Accept takes a token, and returns those that must follow it.
func (c *formConstraint) Accept(token int32) (forced []int32, err error) {
	if c.thinking() {
		return c.before.Accept(token)
	}
	if err := c.matcher.Accept(token); err != nil {
		return nil, err
	}
	forced, err = c.matcher.ForcedTokens(c.encode)
	if err != nil {
		return nil, err
	}
	for i, t := range forced {
		if c.matcher.Accept(t) != nil {
			return forced[:i], nil
		}
	}
	return forced, nil
}
