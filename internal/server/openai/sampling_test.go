package openai

import (
	"encoding/json"
	"math"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// built is the job of a request.
func built(t *testing.T, body string) *serving.Job {
	t.Helper()
	file, err := tinymodel.Open(tinymodel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(file)
	if err != nil {
		t.Fatal(err)
	}
	var r api.Sampling
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	var c serving.Check
	j := job(&c, &r, &serving.Call{R: httptest.NewRequest("POST", "/", nil), Client: serving.Principal{Name: "me", Priority: engine.Normal}}, &serving.Deployment{ID: "m", Tokenizer: tok})
	if c.Err() != nil {
		t.Fatalf("%s: %v", body, c.Err())
	}
	return j
}

func TestParametersArriveAsGiven(t *testing.T) {
	off := sample.Settings{}.Params()
	off.Seed = 0
	with := func(change func(p *sample.Params)) sample.Params {
		p := off
		change(&p)
		return p
	}
	for body, want := range map[string]sample.Params{
		`{}`:                                    off,
		`{"temperature":0}`:                     with(func(p *sample.Params) { p.Temperature = 0 }),
		`{"temperature":0.0,"top_k":3}`:         with(func(p *sample.Params) { p.Temperature, p.TopK = 0, 3 }),
		`{"top_k":-1}`:                          with(func(p *sample.Params) { p.TopK = 0 }),
		`{"top_k":0}`:                           with(func(p *sample.Params) { p.TopK = 0 }),
		`{"top_p":0.25,"min_p":0.05}`:           with(func(p *sample.Params) { p.TopP, p.MinP = 0.25, 0.05 }),
		`{"top_p":0}`:                           with(func(p *sample.Params) { p.TopP = sample.LeastTopP }),
		`{"presence_penalty":-1}`:               with(func(p *sample.Params) { p.PresencePenalty = -1 }),
		`{"frequency_penalty":2}`:               with(func(p *sample.Params) { p.FrequencyPenalty = 2 }),
		`{"repetition_penalty":1.3}`:            with(func(p *sample.Params) { p.RepeatPenalty = 1.3 }),
		`{"repeat_penalty":1.3}`:                with(func(p *sample.Params) { p.RepeatPenalty = 1.3 }),
		`{"repeat_last_n":-1}`:                  with(func(p *sample.Params) { p.RepeatLastN = -1 }),
		`{"typical_p":0.5,"min_keep":2}`:        with(func(p *sample.Params) { p.TypicalP, p.MinKeep = 0.5, 2 }),
		`{"top_n_sigma":1.5}`:                   with(func(p *sample.Params) { p.TopNSigma = 1.5 }),
		`{"xtc_probability":0.5}`:               with(func(p *sample.Params) { p.XTCProbability = 0.5 }),
		`{"xtc_threshold":0.2}`:                 with(func(p *sample.Params) { p.XTCThreshold = 0.2 }),
		`{"dynatemp_range":0.5}`:                with(func(p *sample.Params) { p.DynatempRange = 0.5 }),
		`{"dynatemp_exponent":2}`:               with(func(p *sample.Params) { p.DynatempExponent = 2 }),
		`{"samplers":["top_k"]}`:                with(func(p *sample.Params) { p.Order = []sample.Stage{sample.TopK} }),
		`{"samplers":"kt"}`:                     with(func(p *sample.Params) { p.Order = []sample.Stage{sample.TopK, sample.Temperature} }),
		`{"samplers":[]}`:                       with(func(p *sample.Params) { p.Order = []sample.Stage{} }),
		`{"logit_bias":{"7":-100,"3":1}}`:       with(func(p *sample.Params) { p.LogitBias = []sample.Bias{{Token: 3, Value: 1}, {Token: 7, Value: -100}} }),
		`{"logit_bias":[[7,false]]}`:            with(func(p *sample.Params) { p.LogitBias = []sample.Bias{{Token: 7, Value: float32(math.Inf(-1))}} }),
		`{"allowed_token_ids":[3,64]}`:          with(func(p *sample.Params) { p.Allowed = []uint64{1 << 3, 1, 0, 0, 0, 0, 0} }),
		`{"min_tokens":4,"stop_token_ids":[5]}`: with(func(p *sample.Params) { p.MinTokens, p.Ends = 4, []int32{0, 2, 5} }),
		`{"dry_multiplier":0,"dry_base":2,"dry_allowed_length":3,"dry_penalty_last_n":9}`: with(func(p *sample.Params) {
			p.DRY.Base, p.DRY.AllowedLength, p.DRY.LastN = 2, 3, 9
		}),
		`{"stop_token_ids":[5]}`: off,
	} {
		j := built(t, body)
		got := j.Params
		got.Seed = 0
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
		if j.Client != "me" {
			t.Errorf("client %q", j.Client)
		}
	}
}

func TestSeeds(t *testing.T) {
	if got := built(t, `{"seed":42}`).Params.Seed; got != 42 {
		t.Errorf("seed %d", got)
	}
	for _, random := range []string{`{"seed":-1}`, `{"seed":4294967295}`, `{"seed":null}`} {
		if a, b := built(t, random).Params.Seed, built(t, random).Params.Seed; a == b || max(a, b) > math.MaxUint32 {
			t.Errorf("%s: seeds %d and %d", random, a, b)
		}
	}
	if a, b := built(t, `{}`), built(t, `{}`); a.Params.Seed == b.Params.Seed {
		t.Error("two requests without a seed have the same one")
	}
	jobs := choices(built(t, `{"seed":42}`), 3)
	if jobs[0].Params.Seed != 42 || jobs[1].Params.Seed == 42 || jobs[2].Params.Seed == jobs[1].Params.Seed {
		t.Error("choices have the same seed")
	}
}

func TestPriorityCanOnlyBeLowered(t *testing.T) {
	for body, want := range map[string]int{`{}`: engine.Normal, `{"priority":0}`: engine.Normal, `{"priority":-5}`: engine.Normal, `{"priority":3}`: engine.Low} {
		if got := built(t, body).Priority; got != want {
			t.Errorf("%s: %d", body, got)
		}
	}
}

// Tokens that were guessed are in the timings where there are any, wrong ones too.
func TestTimingsOfGuesses(t *testing.T) {
	for want, times := range map[string]engine.Timings{
		`"draft_n":7,"draft_n_accepted":3`: {Drafted: 7, Accepted: 3},
		`"draft_n":7,"draft_n_accepted":0`: {Drafted: 7},
		"":                                 {Steps: 5},
	} {
		b, err := json.Marshal(timings(&serving.Result{Timings: times}))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b); !strings.Contains(got, want) || strings.Contains(got, "draft") != (want != "") {
			t.Errorf("%+v became %s", times, got)
		}
	}
}
