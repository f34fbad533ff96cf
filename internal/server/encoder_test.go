package server

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// withEncoder serves a mock that makes embeddings only.
func withEncoder(t testing.TB) *fixture {
	t.Helper()
	f := withStates(t, func(_ *Config, c *engine.Config) { c.Encoder = true })
	f.model.Config.Encoder, f.model.Config.Pooling = true, model.MeanPooling
	return f
}

// TestEncoderRoutes: the routes of embeddings serve an encoder, and each route that
// generates says what to use instead.
func TestEncoderRoutes(t *testing.T) {
	f := withEncoder(t)
	want := unit(f.stateOf(t, f.ids("one"), model.MeanPooling))
	if got := floats(t, at(t, f.post(t, "/v1/embeddings", `{"input":"one"}`).get(t), "data", 0, "embedding")); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for path, body := range map[string]string{
		"/v1/completions":      `{"prompt":"a"}`,
		"/v1/chat/completions": `{"messages":[{"role":"user","content":"a"}]}`,
		"/v1/responses":        `{"input":"a"}`,
		"/v1/messages":         `{"max_tokens":5,"messages":[{"role":"user","content":"a"}]}`,
		"/api/generate":        `{"model":"` + f.model.ID + `","prompt":"a"}`,
		"/api/chat":            `{"model":"` + f.model.ID + `","messages":[{"role":"user","content":"a"}]}`,
		"/completion":          `{"prompt":"a"}`,
		"/generate":            `{"prompt":"a"}`,
	} {
		if a := f.post(t, path, body); a.status != 400 || !strings.Contains(a.body, "use /v1/embeddings") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// TestReranker: a model that scores pairs orders documents by its own scores, and
// makes no embeddings.
func TestReranker(t *testing.T) {
	file, err := tinymodel.Open(tinymodel.Options{Arch: "bert", Labels: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(file, model.Options{Threads: 1, MaxRows: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.NewStore(kvcache.Room{Blocks: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := serve(t, engine.ForModel(m, c), func(_ *Config, c *engine.Config) { c.Encoder, c.StepBudget = true, 256 })
	f.model.Config = m.Config()
	if f.model.Tokenizer, err = tokenizer.New(file); err != nil {
		t.Fatal(err)
	}
	documents := []string{"water flows", "the gate is closed", "penstock"}
	var want []float64
	for _, d := range documents {
		ids, err := f.model.Tokenizer.EncodePair("open water", d, 0)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, float64(f.stateOf(t, ids, model.FirstPooling)[0]))
	}
	body := `{"query":"open water","texts":["water flows","the gate is closed","penstock"],"raw_scores":true}`
	last := math.Inf(1)
	for _, r := range f.post(t, "/rerank", body).list(t) {
		score, at := r["score"].(float64), int(r["index"].(float64))
		if score > last || math.Abs(score-want[at]) > 1e-6 {
			t.Errorf("document %d: score %g after %g, want %g", at, score, last, want[at])
		}
		last = score
	}
	a := f.post(t, "/score", `{"text_1":"open water","text_2":"penstock"}`).get(t)
	if score := at(t, a, "data", 0, "score").(float64); math.Abs(score-1/(1+math.Exp(-want[2]))) > 1e-6 || a["method"] != "rank" {
		t.Errorf("%v, want the logistic function of %g", a, want[2])
	}
	f.model.PairTemplate = "q: {query} d: {document}"
	a = f.post(t, "/score", `{"text_1":"open water","text_2":"penstock"}`).get(t)
	ids := f.model.Tokenizer.Encode("q: open water d: penstock", false, true)
	ids = append([]int32{f.model.Tokenizer.BOS()}, ids...)
	templated := float64(f.stateOf(t, ids, model.FirstPooling)[0])
	if score := at(t, a, "data", 0, "score").(float64); math.Abs(score-1/(1+math.Exp(-templated))) > 1e-6 {
		t.Errorf("with a template: %g, want the logistic function of %g", score, templated)
	}
	if a := f.post(t, "/v1/embeddings", `{"input":"a"}`); a.status != 400 || !strings.Contains(a.body, "use /rerank") {
		t.Errorf("embeddings: %d %s", a.status, a.body)
	}
	long := strings.Repeat("water ", 300)
	if a := f.post(t, "/rerank", `{"query":"a","documents":["`+long+`"]}`); a.status != 400 {
		t.Errorf("a document that is too long: %d %s", a.status, a.body)
	}
	f.model.PairTemplate = ""
	if a := f.post(t, "/rerank", `{"query":"a","documents":["`+long+`"],"truncate":true}`); a.status != 200 {
		t.Errorf("a document that is cut: %d %s", a.status, a.body)
	}
}

// list decodes an answer that is an array.
func (a answer) list(t testing.TB) (list []map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("status %d, no array: %q", a.status, a.body)
	}
	return list
}
