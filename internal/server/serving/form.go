package serving

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/penstock-llm/penstock/api/sampling"
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

// compile makes the grammar of the form's texts.
func (f *form) compile() (*grammar.Grammar, error) {
	switch f.notation {
	case asSchema:
		return schema.Compile(f.text, schema.Limits{Order: grammar.InOrder}) // as OpenAI documents it; most names are then forced
	case asGrammar:
		return gbnf.Compile(string(f.text), grammar.Limits{})
	case asPattern:
		return grammar.Regex(string(f.text), grammar.Limits{})
	}
	texts, err := f.choices()
	if err != nil {
		return nil, err
	}
	return grammar.Choice(texts, grammar.Limits{})
}

func (f *form) choices() (texts []string, err error) {
	if json.Unmarshal(f.text, &texts) != nil || len(texts) == 0 {
		return nil, errors.New("must be an array of texts")
	}
	return texts, nil
}

// add adds the texts of the form to the grammar that b builds.
func (f *form) add(b *grammar.Builder) (grammar.Node, error) {
	switch f.notation {
	case asSchema:
		return schema.Add(b, f.text, schema.Limits{})
	case asGrammar:
		r, err := gbnf.Add(b, string(f.text))
		return b.Call(r), err
	case asPattern:
		r, err := b.Regex().Whole(string(f.text))
		return b.Lexeme(r), err
	}
	texts, err := f.choices()
	return b.Lexeme(b.Regex().Literals(texts)), err
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
	if raw[0] != '{' {
		c.Fail(Bad(param, "%s must be an object with a type", param))
		return
	}
	if err := Read(param, raw, &r); err != nil {
		c.Fail(FromChat(err))
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
func (c *Check) Form(j *Job, param string, raw json.RawMessage) {
	var found *form
	c.responseFormat(param, raw, func(param string, n notation, text json.RawMessage) { found = &form{param, n, text} })
	c.useForm(j, found)
}

// Schema gives a job the form of a JSON Schema.
func (c *Check) Schema(j *Job, param string, raw json.RawMessage) {
	c.useForm(j, &form{param, asSchema, raw})
}

func (c *Check) useForm(j *Job, f *form) {
	if f != nil {
		j.form = f
	}
}
