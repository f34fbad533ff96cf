package structured

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dlclark/regexp2/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/ulikunitz/xz"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// `make grammar-generate` has a real model write an answer for every schema of a set.
var (
	setFile   = flag.String("set", "", "a .tar.xz of schemas with instances; instead of the few that the test has")
	modelFile = flag.String("model", "", "the model that writes; instead of a tiny one of random weights")
	every     = flag.Int("every", 1, "take each N-th schema of the set only")
	atMost    = flag.Int("tokens", 96, "tokens of an answer, unless the schema needs more")
)

// someSchemas are written for by the tiny model in every test run.
var someSchemas = map[string]string{
	"simple": simpleSchema,
	"hard":   hardSchema,
	"scalars": `{"type":"object","properties":{"n":{"type":"integer","minimum":-5,"maximum":300,"multipleOf":7},"d":{"type":"string","format":"date"},
		"s":{"type":"string","pattern":"^(ab|c)+$","minLength":3}},"required":["n","d","s"],"additionalProperties":false}`,
	"choices":   `{"enum":["é",{"a":[1,null,true]},3.5]}`,
	"lists":     `{"type":"array","prefixItems":[{"type":"string","maxLength":3},{"type":"number"}],"items":{"type":["boolean","null"]},"minItems":4,"maxItems":6}`,
	"open":      `{"type":"object"}`,
	"anything":  `true`,
	"recursive": `{"$defs":{"n":{"type":"object","properties":{"l":{"$ref":"#/$defs/n"},"v":{"type":"number"}},"required":["v"],"additionalProperties":false}},"$ref":"#/$defs/n"}`,
}

// TestGenerated has a model write an answer for each schema, at a temperature of 1.5, and holds the answers against a validator. Each has to be
// complete within its number of tokens, and to end by itself.
func TestGenerated(t *testing.T) {
	schemas := someSchemas
	if *setFile != "" {
		schemas = readSet(t, *setFile)
	}
	model := *modelFile
	if model == "" {
		model = filepath.Join(t.TempDir(), "tiny.gguf")
		if err := tinymodel.Write(model, tinymodel.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	in, err := instance.Open(model, instance.Options{Tier: cpu.Detect(), MaxBatch: 8, NoPrefix: true})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	w := &writer{t: t, in: in, vocab: vocabularyOf(in.Tokenizer), counts: map[string]int{}}
	var wait sync.WaitGroup
	next := make(chan string)
	for range 8 {
		wait.Go(func() {
			for name := range next {
				w.write(name, schemas[name])
			}
		})
	}
	for name := range schemas {
		next <- name
	}
	close(next)
	wait.Wait()
	t.Logf("%d schemas: %v", len(schemas), w.counts)
	if w.counts["valid"] == 0 {
		t.Error("nothing was written")
	}
}

type writer struct {
	t     *testing.T
	in    *instance.Instance
	vocab *grammar.Vocabulary

	mu     sync.Mutex
	counts map[string]int
}

func (w *writer) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// write has an answer written for a schema and judges it.
func (w *writer) write(name, text string) {
	g, err := schema.Compile([]byte(text), schema.Limits{Order: grammar.InOrder}) // as forms are served
	if err != nil {
		w.count("refused")
		if *setFile == "" {
			w.t.Errorf("%s: %v", name, err)
		}
		return
	}
	validator, err := validator(text)
	if err != nil {
		w.count("not read by the validator")
		return
	}
	answer, f, err := w.answer(g, name)
	if err != nil {
		w.count("failed")
		w.t.Errorf("%s: %v", name, err)
		return
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(answer))
	if err == nil {
		err = validator.Validate(v)
	}
	switch {
	case err != nil:
		w.count("wrong")
		w.t.Errorf("%s: %q: %v", name, answer, err)
	case f.Reason != engine.Stop:
		w.count("cut")
		w.t.Errorf("%s: %q ended by %v after %d tokens", name, answer, f.Reason, f.Usage.Completion)
	default:
		w.count("valid")
	}
}

func (w *writer) answer(g *grammar.Grammar, name string) (string, *engine.Finish, error) {
	ctx, tok := context.Background(), w.in.Tokenizer
	most := max(*atMost, g.Matcher(w.vocab).Least()+2)
	seed := uint64(1)
	for _, b := range []byte(name) {
		seed = seed*31 + uint64(b)
	}
	s, err := w.in.Engine.Submit(ctx, engine.Request{Prompt: tok.Encode(prompt, true, true), MaxTokens: most,
		Params:     sample.Params{Temperature: 1.5, TopP: 1, Seed: seed},
		Constraint: func() engine.Constraint { return follow(g, w.vocab, tok, true) }})
	if err != nil {
		if errors.Is(err, engine.ErrTooLong) {
			err = fmt.Errorf("%d tokens: %w", most, err)
		}
		return "", nil, err
	}
	defer s.Close()
	var text []byte
	for {
		t, more, err := s.Next(ctx)
		if err != nil {
			return "", nil, err
		}
		if !more {
			return string(text), s.Finish(), nil
		}
		text = append(text, tok.Piece(t.ID)...)
	}
}

// validator compiles a schema for the oracle, with formats asserted and ECMA's regular expressions.
func validator(text string) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) {
		r, err := regexp2.Compile(pattern, regexp2.ECMAScript|regexp2.Unicode)
		return (*ecma)(r), err
	})
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("schema.json")
}

type ecma regexp2.Regexp

func (e *ecma) MatchString(s string) bool {
	ok, err := (*regexp2.Regexp)(e).MatchString(s)
	return ok && err == nil
}

func (e *ecma) String() string { return (*regexp2.Regexp)(e).String() }

// readSet reads each N-th schema of an archive.
func readSet(t *testing.T, path string) map[string]string {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := xz.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	archive := tar.NewReader(z)
	for n := 0; ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(h.Name) != ".json" {
			continue
		}
		if n++; n%*every != 0 {
			continue
		}
		var c struct{ Schema json.RawMessage }
		if err := json.NewDecoder(archive).Decode(&c); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		out[filepath.Base(h.Name)] = string(c.Schema)
	}
}
