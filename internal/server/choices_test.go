package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/chat"
)

// uneven is an executor that gives each letter after z a logit of its own, so that
// answers differ in their probability.
type uneven struct{ flat }

func (u *uneven) Forward(b *batch.Batch) []float32 {
	logits := u.flat.Forward(b)
	for i := range b.Logits {
		for c := byte('a'); c <= 'z'; c++ {
			logits[i*testVocab+byteToken+int(c)] = 30 - 0.3*float32(c-'a')
		}
	}
	return logits
}

// Of best_of answers the n likeliest are sent, the likeliest first, and all count
// in the usage.
func TestBestOf(t *testing.T) {
	f := serve(t, &uneven{})
	ask := func(fields string) (means []float64, texts []string, usage any) {
		t.Helper()
		m := f.post(t, "/v1/completions", `{"prompt":["x","y"],"max_tokens":6,"logprobs":0,"temperature":1.5,"top_k":0,"top_p":1,"min_p":0,"seed":7,`+fields+`}`).get(t)
		for i, c := range m["choices"].([]any) {
			if at(t, c, "index") != float64(i) {
				t.Errorf("choice %d has the index %v", i, at(t, c, "index"))
			}
			sum := 0.0
			list := at(t, c, "logprobs", "token_logprobs").([]any)
			for _, p := range list {
				sum += p.(float64)
			}
			means = append(means, sum/float64(len(list)))
			texts = append(texts, at(t, c, "text").(string))
		}
		return means, texts, at(t, m, "usage", "completion_tokens")
	}
	all, allTexts, _ := ask(`"n":8`)
	best, texts, usage := ask(`"n":2,"best_of":8`)
	if len(best) != 4 || usage != float64(2*8*6) {
		t.Fatalf("%d choices, %v tokens", len(best), usage)
	}
	for p := range 2 { // the same seeds make the same answers
		of := slices.Clone(all[8*p : 8*p+8])
		slices.Sort(of)
		if best[2*p] != of[7] || best[2*p+1] != of[6] {
			t.Errorf("prompt %d: sent %v of %v", p, best[2*p:2*p+2], of)
		}
		if !slices.Contains(allTexts[8*p:8*p+8], texts[2*p]) {
			t.Errorf("prompt %d: %q is none of %v", p, texts[2*p], allTexts)
		}
	}
	m := f.post(t, "/v1/completions", `{"prompt":"x","max_tokens":6,"best_of":3,"echo":true}`).get(t)
	if at(t, m, "choices", 0, "logprobs") != nil || at(t, m, "choices", 0, "text").(string)[0] != 'x' {
		t.Errorf("%v", m)
	}
	if a := f.post(t, "/v1/completions", fmt.Sprintf(`{"prompt":"x","max_tokens":2,"n":%d,"best_of":%d,"stream":true}`, 2, 2)); a.status != 200 {
		t.Errorf("best_of equal to n in a stream: %s", a.body)
	}
}

// A message whose role the chat template leaves out is refused on every chat route.
func TestRolesThatTheTemplateDrops(t *testing.T) {
	f := newFixture(t, "x\x00")
	tmpl, err := chat.New(`{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	f.model.Chat = tmpl
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}`,
		"/apply-template":      `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}`,
		"/v1/messages":         `{"max_tokens":2,"system":"s","messages":[{"role":"user","content":"u"}]}`,
		"/v1/responses":        `{"instructions":"s","input":"u"}`,
		"/api/chat":            `{"model":"tiny","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}`,
		"/api/generate":        `{"model":"tiny","system":"s","prompt":"u"}`,
	} {
		if a := f.post(t, path, body); a.status != 400 || !strings.Contains(a.body, "is system, and this model's chat template leaves such messages out") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
