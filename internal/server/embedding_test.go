package server

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
)

// mockDim is the length of a mock's embeddings.
const mockDim = 8

// withStates serves a mock, whose embeddings depend on all tokens of a text.
func withStates(t testing.TB, options ...option) *fixture {
	t.Helper()
	f := serve(t, engine.NewMock(engine.MockConfig{Vocab: testVocab, Blocks: 256, MaxRows: 256}), options...)
	f.model.Config.Dim = mockDim
	return f
}

// stateOf is the model's vector of a text, straight from the engine.
func (f *fixture) stateOf(t testing.TB, ids []int32, p model.Pooling) []float32 {
	t.Helper()
	s, err := f.engine.Submit(t.Context(), engine.Request{Prompt: ids, Pooling: p})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.Finish().Embedding
}

func (f *fixture) ids(text string) []int32 { return f.model.Tokenizer.Encode(text, true, true) }

func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	u := make([]float32, len(v))
	for i, x := range v {
		u[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return u
}

// floats reads an array of a decoded answer.
func floats(t testing.TB, v any) (list []float32) {
	t.Helper()
	values, ok := v.([]any)
	if !ok {
		t.Fatalf("no array: %v", v)
	}
	for _, x := range values {
		list = append(list, float32(x.(float64)))
	}
	return list
}

// All forms of an input give the model's vectors, of length 1 and in order.
func TestEmbeddings(t *testing.T) {
	f := withStates(t)
	one, two := unit(f.stateOf(t, f.ids("one"), model.LastPooling)), unit(f.stateOf(t, f.ids("twotwo"), model.LastPooling))
	ids := func(text string) string { return strings.ReplaceAll(fmt.Sprint(f.ids(text)), " ", ",") }
	both := len(f.ids("one")) + len(f.ids("twotwo"))
	for input, c := range map[string]struct {
		want   [][]float32
		tokens int
	}{
		`"one"`:                {[][]float32{one}, len(f.ids("one"))},
		`["one"]`:              {[][]float32{one}, len(f.ids("one"))},
		`["twotwo","one"]`:     {[][]float32{two, one}, both},
		ids("twotwo"):          {[][]float32{two}, len(f.ids("twotwo"))},
		`[` + ids("one") + `]`: {[][]float32{one}, len(f.ids("one"))},
		`[` + ids("one") + `,` + ids("twotwo") + `]`: {[][]float32{one, two}, both},
	} {
		for _, format := range []string{``, `,"encoding_format":"float"`, `,"encoding_format":"base64"`, `,"dimensions":8,"user":"me"`} {
			a := f.post(t, "/v1/embeddings", `{"model":"tiny","input":`+input+format+`}`)
			m := a.get(t)
			if a.status != 200 || m["object"] != "list" || m["model"] != "tiny" || at(t, m, "usage", "prompt_tokens") != float64(c.tokens) || at(t, m, "usage", "total_tokens") != float64(c.tokens) {
				t.Fatalf("%s%s: %d %s", input, format, a.status, a.body)
			}
			if len(m["data"].([]any)) != len(c.want) {
				t.Fatalf("%s: %s", input, a.body)
			}
			for i, want := range c.want {
				v := at(t, m, "data", i, "embedding")
				var got []float32
				if strings.Contains(format, "base64") {
					got = fromBase64(t, v.(string))
				} else {
					got = floats(t, v)
				}
				if !slices.Equal(got, want) || at(t, m, "data", i, "index") != float64(i) || at(t, m, "data", i, "object") != "embedding" {
					t.Errorf("%s%s: %v, want %v", input, format, got, want)
				}
			}
		}
	}
	f.model.Config.Pooling = model.MeanPooling
	mean := f.post(t, "/v1/embeddings", `{"input":"twotwo"}`).get(t)
	if got := floats(t, at(t, mean, "data", 0, "embedding")); !slices.Equal(got, unit(f.stateOf(t, f.ids("twotwo"), model.MeanPooling))) || slices.Equal(got, two) {
		t.Errorf("the file's pooling: %v", got)
	}
}

func fromBase64(t testing.TB, text string) (v []float32) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(raw) >= 4; raw = raw[4:] {
		v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return v
}

func TestLlamaServerEmbedding(t *testing.T) {
	f := withStates(t)
	raw := f.stateOf(t, f.ids("one"), model.LastPooling)
	scaled := func(by float64) (v []float32) {
		for _, x := range raw {
			v = append(v, float32(float64(x)/by))
		}
		return v
	}
	var most, taxicab, cubes float64
	for _, x := range raw {
		most, taxicab, cubes = max(most, math.Abs(float64(x))), taxicab+math.Abs(float64(x)), cubes+math.Pow(math.Abs(float64(x)), 3)
	}
	for fields, want := range map[string][]float32{
		`"content":"one"`:                        unit(raw),
		`"input":"one"`:                          unit(raw),
		`"content":"one","embd_normalize":-1`:    raw,
		`"content":"one","embd_normalize":2`:     unit(raw),
		`"content":"one","embd_normalize":0`:     scaled(most / 32760),
		`"content":["one"],"embd_normalize":1`:   scaled(taxicab),
		`"content":[["one"]],"embd_normalize":3`: scaled(math.Cbrt(cubes)),
	} {
		for _, path := range []string{"/embedding", "/embeddings"} {
			a := f.post(t, path, `{`+fields+`}`)
			var list []map[string]any
			if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 1 {
				t.Fatalf("%s: %d %s", fields, a.status, a.body)
			}
			got := floats(t, at(t, list[0], "embedding", 0))
			for i := range got {
				if math.Abs(float64(got[i]-want[i])) > 1e-6*math.Abs(float64(want[i])) {
					t.Errorf("%s: %v, want %v", fields, got, want)
					break
				}
			}
		}
	}
	a := f.post(t, "/embedding", `{"content":["one",[5,"x"],[7,8]]}`)
	var list []map[string]any
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 3 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for i, want := range [][]float32{unit(raw), unit(f.stateOf(t, append([]int32{5}, f.model.Tokenizer.Encode("x", false, true)...), model.LastPooling)), unit(f.stateOf(t, []int32{7, 8}, model.LastPooling))} {
		if got := floats(t, at(t, list[i], "embedding", 0)); list[i]["index"] != float64(i) || !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", i, got, want)
		}
	}
}

func TestOllamaEmbeddings(t *testing.T) {
	f := withStates(t)
	one, two := f.stateOf(t, f.ids("one"), model.LastPooling), f.stateOf(t, f.ids("two"), model.LastPooling)
	m := f.post(t, "/api/embed", `{"model":"tiny:latest","input":["one","two"],"keep_alive":"5m","options":{"temperature":1}}`).get(t)
	if got := floats(t, at(t, m, "embeddings", 1)); !slices.Equal(got, unit(two)) || m["model"] != "tiny:latest" || m["prompt_eval_count"] != float64(len(f.ids("one"))+len(f.ids("two"))) {
		t.Errorf("%v", m)
	}
	if d, ok := m["total_duration"].(float64); !ok || d <= 0 || m["load_duration"] != 0.0 {
		t.Errorf("%v", m)
	}
	m = f.post(t, "/api/embed", `{"model":"tiny","input":"one"}`).get(t)
	if got := floats(t, at(t, m, "embeddings", 0)); !slices.Equal(got, unit(one)) {
		t.Errorf("%v", m)
	}
	m = f.post(t, "/api/embeddings", `{"model":"tiny","prompt":"one"}`).get(t)
	if got := floats(t, m["embedding"]); !slices.Equal(got, one) {
		t.Errorf("%v, want %v", got, one)
	}
	for path, body := range map[string]string{"/api/embed": `{"model":"tiny","input":""}`, "/api/embeddings": `{"model":"tiny","prompt":""}`} {
		if a := f.post(t, path, body); a.status != 200 || !strings.Contains(a.body, ":[]") {
			t.Errorf("%s without a text: %d %s", path, a.status, a.body)
		}
	}
	// Only who asks for it has texts cut.
	long := strings.Repeat("x", 2000)
	ids := f.ids(long)
	for fields, limit := range map[string]int{`,"truncate":true`: 512, `,"truncate":true,"options":{"num_ctx":100}`: 100} {
		m = f.post(t, "/api/embed", `{"model":"tiny","input":"`+long+`"`+fields+`}`).get(t)
		if got := floats(t, at(t, m, "embeddings", 0)); !slices.Equal(got, unit(f.stateOf(t, ids[:limit], model.LastPooling))) || m["prompt_eval_count"] != float64(limit) {
			t.Errorf("%s: %v", fields, m)
		}
	}
	has := func(capability string) bool {
		return slices.Contains(f.post(t, "/api/show", `{"model":"tiny"}`).get(t)["capabilities"].([]any), any(capability))
	}
	if has("embedding") || !has("completion") {
		t.Error("a model that was not made for embeddings is called one")
	}
	f.model.Config.Pooling = model.MeanPooling
	if !has("embedding") || has("completion") {
		t.Error("a model that was made for embeddings is not called one")
	}
}

// Documents come in the order of their cosines with the query.
func TestRerank(t *testing.T) {
	f := withStates(t)
	documents := []string{"alpha", "beta", "gamma", "delta", "alpha"}
	query := unit(f.stateOf(t, f.ids("query"), model.LastPooling))
	cosines := make([]float64, len(documents))
	tokens := len(f.ids("query"))
	for i, d := range documents {
		for k, x := range unit(f.stateOf(t, f.ids(d), model.LastPooling)) {
			cosines[i] += float64(x) * float64(query[k])
		}
		tokens += len(f.ids(d))
	}
	order := []int{0, 1, 2, 3, 4}
	slices.SortStableFunc(order, func(a, b int) int {
		if d := cosines[b] - cosines[a]; math.Abs(d) > 1e-9 {
			return int(math.Copysign(1, d))
		}
		return 0
	})
	list, _ := json.Marshal(documents)
	objects := `[{"text":"alpha"},"beta",{"text":"gamma","id":5},"delta","alpha"]`
	check := func(path, fields string, n int, with bool) {
		t.Helper()
		a := f.post(t, path, `{"model":"tiny","query":"query",`+fields+`}`)
		m := a.get(t)
		if a.status != 200 || m["method"] != "cosine" || m["model"] != "tiny" || at(t, m, "usage", "total_tokens") != float64(tokens) || len(m["results"].([]any)) != n {
			t.Fatalf("%s %s: %d %s", path, fields, a.status, a.body)
		}
		for i := range n {
			r := at(t, m, "results", i).(map[string]any)
			if r["index"] != float64(order[i]) || math.Abs(r["relevance_score"].(float64)-cosines[order[i]]) > 1e-6 {
				t.Errorf("%s %s: place %d is %v, want %d with %v", path, fields, i, r, order[i], cosines[order[i]])
			}
			if d, ok := r["document"]; ok != with || with && at(t, d, "text") != documents[order[i]] {
				t.Errorf("%s %s: document %v", path, fields, d)
			}
		}
	}
	check("/v1/rerank", `"documents":`+string(list), 5, true)
	check("/rerank", `"documents":`+objects+`,"top_n":2`, 2, true)
	check("/rerank", `"documents":`+objects+`,"top_n":9,"return_documents":false`, 5, false)
	check("/v2/rerank", `"documents":`+string(list)+`,"top_n":3`, 3, false)
	check("/v2/rerank", `"documents":`+string(list)+`,"return_documents":true,"top_n":0`, 5, true)

	var ranks []map[string]any
	a := f.post(t, "/rerank", `{"query":"query","texts":`+string(list)+`,"return_text":true,"raw_scores":true}`)
	if err := json.Unmarshal([]byte(a.body), &ranks); err != nil || len(ranks) != 5 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for i, r := range ranks {
		if r["index"] != float64(order[i]) || math.Abs(r["score"].(float64)-cosines[order[i]]) > 1e-6 || r["text"] != documents[order[i]] {
			t.Errorf("place %d is %v", i, r)
		}
	}

	for _, fields := range []string{`"text_1":"query","text_2":` + string(list), `"queries":["query"],"documents":` + string(list), `"text_1":["query","query","query","query","query"],"text_2":` + string(list)} {
		for _, path := range []string{"/score", "/v1/score"} {
			a := f.post(t, path, `{"model":"tiny",`+fields+`}`)
			m := a.get(t)
			if a.status != 200 || m["method"] != "cosine" || m["object"] != "list" || len(m["data"].([]any)) != 5 {
				t.Fatalf("%s: %d %s", fields, a.status, a.body)
			}
			for i, want := range cosines {
				if got := at(t, m, "data", i, "score").(float64); math.Abs(got-want) > 1e-6 || at(t, m, "data", i, "index") != float64(i) {
					t.Errorf("%s: score %d is %v, want %v", fields, i, got, want)
				}
			}
		}
	}
	m := f.post(t, "/score", `{"text_1":"alpha","text_2":"alpha"}`).get(t)
	if got := at(t, m, "data", 0, "score").(float64); math.Abs(got-1) > 1e-6 {
		t.Errorf("a text scores %v with itself", got)
	}
}

// What is wrong with a request is said with the right status and the field's name.
func TestEmbeddingsRefused(t *testing.T) {
	f := withStates(t)
	long := strings.Repeat("x", 600)
	n := len(f.ids(long))
	tooLong := fmt.Sprintf("(%d tokens) exceeds the available context size (512 tokens)", n)
	many := `["a"` + strings.Repeat(`,"a"`, 2048) + `]`
	ids := strings.TrimSuffix(strings.Repeat("5,", 513), ",")
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/v1/embeddings", `{}`, 400, "input must not be empty"},
		{"/v1/embeddings", `{"input":null}`, 400, "input must not be empty"},
		{"/v1/embeddings", `{"input":""}`, 400, "input must not be empty"},
		{"/v1/embeddings", `{"input":[]}`, 400, "input must not be empty"},
		{"/v1/embeddings", `{"input":["a",""]}`, 400, "input[1] must not be empty"},
		{"/v1/embeddings", `{"input":[[5],[]]}`, 400, "input[1] must not be empty"},
		{"/v1/embeddings", `{"input":["a",5]}`, 400, "input must be a string, an array of strings"},
		{"/v1/embeddings", `{"input":["a",null]}`, 400, "input must be a string, an array of strings"},
		{"/v1/embeddings", `{"input":{"a":1}}`, 400, "input must be a string, an array of strings"},
		{"/v1/embeddings", `{"input":[400]}`, 400, "input must have token ids below 400, not 400"},
		{"/v1/embeddings", `{"input":[[5],[-1]]}`, 400, "input[1] must have token ids below 400, not -1"},
		{"/v1/embeddings", `{"input":` + many + `}`, 400, "input has 2049 elements, more than 2048"},
		{"/v1/embeddings", `{"input":["a","` + long + `"]}`, 400, tooLong},
		{"/v1/embeddings", `{"input":[` + ids + `]}`, 400, "(513 tokens) exceeds the available context size (512 tokens)"},
		{"/v1/embeddings", `{"input":"` + strings.Repeat("x", 30000) + `"}`, 400, "exceeds the available context size (512 tokens)"},
		{"/v1/embeddings", `{"input":"a","encoding_format":"int8"}`, 400, "encoding_format must be float or base64"},
		{"/v1/embeddings", `{"input":"a","dimensions":4}`, 400, "dimensions must be 8"},
		{"/v1/embeddings", `{"input":"a","dimensions":0}`, 400, "dimensions must be 8"},
		{"/v1/embeddings", `{"input":"a","truncate_prompt_tokens":5}`, 400, "truncate_prompt_tokens is not supported"},
		{"/v1/embeddings", `{"input":"a","pooling":"none"}`, 400, "pooling is not supported"},
		{"/v1/embeddings", `{"messages":[]}`, 400, "messages is not supported"},
		{"/v1/embeddings", `{"input":"a","model":"other"}`, 404, "does not exist"},
		{"/embedding", `{}`, 400, "content must be"},
		{"/embedding", `{"content":""}`, 400, "content must have no empty text"},
		{"/embedding", `{"content":[]}`, 400, "content must not be empty"},
		{"/embedding", `{"content":"a","input":"a"}`, 400, "content is another name of input"},
		{"/embedding", `{"content":"a","pooling":"none"}`, 400, "pooling is not supported"},
		{"/embedding", `{"content":"a","embd_normalize":-2}`, 400, "embd_normalize must be between -1 and 64"},
		{"/embedding", `{"content":"a","encoding_format":"base64"}`, 400, "encoding_format is not supported"},
		{"/embedding", `{"input":"` + long + `"}`, 400, tooLong},
		{"/embeddings", `{"input":` + many + `}`, 400, "input must have at most 2048 elements"},
		{"/api/embed", `{"input":"a"}`, 400, "model is required"},
		{"/api/embed", `{"model":"tiny","input":"` + long + `"}`, 400, tooLong},
		{"/api/embed", `{"model":"tiny","input":"` + long + `","truncate":false}`, 400, tooLong},
		{"/api/embed", `{"model":"tiny","input":["a",""]}`, 400, "input[1] must not be empty"},
		{"/api/embed", `{"model":"tiny","input":[1,2]}`, 400, "input"},
		{"/api/embed", `{"model":"tiny","input":"abcdefgh","options":{"num_ctx":4}}`, 400, "exceeds the available context size (4 tokens)"},
		{"/api/embed", `{"model":"tiny","input":"a","options":{"num_ctx":4096}}`, 400, "num_ctx is 4096"},
		{"/api/embed", `{"model":"tiny","input":"a","options":{"num_ctx":0}}`, 400, "num_ctx must be at least 1"},
		{"/api/embed", `{"model":"tiny","input":"a","dimensions":4}`, 400, "dimensions must be 8"},
		{"/api/embed", `{"model":"other","input":"a"}`, 404, "does not exist"},
		{"/api/embeddings", `{"model":"tiny","prompt":"` + long + `"}`, 400, tooLong},
		{"/rerank", `{"documents":["a"]}`, 400, "query must not be empty"},
		{"/rerank", `{"query":"a"}`, 400, "documents must not be empty"},
		{"/rerank", `{"query":"a","documents":["b",""]}`, 400, "documents[1] must not be empty"},
		{"/rerank", `{"query":"a","documents":["b",{"title":"c"}]}`, 400, "documents[1] must be a string, or an object with a text"},
		{"/rerank", `{"query":"a","documents":["b",5]}`, 400, "documents[1] must be a string, or an object with a text"},
		{"/rerank", `{"query":"a","documents":["b"],"top_n":-1}`, 400, "top_n must be between 0 and 2048"},
		{"/rerank", `{"query":"a","documents":["b"],"texts":["c"]}`, 400, "texts is another name of documents"},
		{"/rerank", `{"query":"` + long + `","documents":["b"]}`, 400, tooLong},
		{"/v2/rerank", `{"query":"a","documents":["b"],"max_tokens_per_doc":5}`, 400, "max_tokens_per_doc is not supported"},
		{"/v1/rerank", `{"query":"a","documents":` + many + `}`, 400, "documents has 2049 elements"},
		{"/score", `{"text_1":"a"}`, 400, "text_2 must not be empty"},
		{"/score", `{"text_1":["a","b"],"text_2":["a","b","c"]}`, 400, "text_1 has 2 elements and text_2 3"},
		{"/score", `{"text_1":"a","text_2":"b","queries":"c"}`, 400, "other names of text_1 and text_2"},
		{"/score", `{"text_1":"a","text_2":["b",null]}`, 400, "text_2 must be a string or an array of strings"},
		{"/pooling", `{"input":"a"}`, 501, "/pooling is not served"},
	} {
		a := f.post(t, c.path, c.body)
		if a.status != c.status || !strings.Contains(a.body, strings.ReplaceAll(c.says, `"`, `\"`)) {
			t.Errorf("%s %.80s: %d %.300s, want %d %s", c.path, c.body, a.status, a.body, c.status, c.says)
		}
	}
	m := f.post(t, "/v1/embeddings", `{"input":["a","`+long+`"]}`).get(t)
	if at(t, m, "error", "param") != "input[1]" || at(t, m, "error", "n_prompt_tokens") != float64(n) || at(t, m, "error", "code") != "context_length_exceeded" {
		t.Errorf("%v", m)
	}
	without := serve(t, &flat{})
	if a := without.post(t, "/v1/embeddings", `{"input":"a"}`); a.status != 501 || !strings.Contains(a.body, "gives no embeddings") {
		t.Errorf("a model without hidden states: %d %s", a.status, a.body)
	}
}

// A request with as many texts as are allowed gets them all, in order, through a
// queue that is much shorter, and others get their turn meanwhile.
func TestManyEmbeddings(t *testing.T) {
	noLeaks(t)
	f := withStates(t, func(_ *Config, e *engineConfig) { e.MaxBatch, e.MaxQueue = 2, 2 })
	var texts []string
	for i := range 2048 {
		texts = append(texts, fmt.Sprintf("text %d", i))
	}
	list, _ := json.Marshal(texts)
	done := make(chan answer)
	go func() { done <- f.post(t, "/v1/embeddings", `{"input":`+string(list)+`}`) }()
	others := 0
	for a := (answer{}); ; {
		select {
		case a = <-done:
		default:
			if s := f.engine.Stats(); s.Running+s.Waiting > 4 {
				t.Fatalf("%d run and %d wait", s.Running, s.Waiting)
			}
			if f.post(t, "/v1/completions", `{"prompt":"x","max_tokens":1}`).status == 200 {
				others++
			}
			continue
		}
		m := a.get(t)
		if a.status != 200 || len(m["data"].([]any)) != 2048 {
			t.Fatalf("%d %.200s", a.status, a.body)
		}
		for i := 0; i < 2048; i += 97 {
			if got := floats(t, at(t, m, "data", i, "embedding")); !slices.Equal(got, unit(f.stateOf(t, f.ids(texts[i]), model.LastPooling))) {
				t.Errorf("text %d: %v", i, got)
			}
		}
		break
	}
	if others == 0 {
		t.Error("nobody else got a turn")
	}
}

// slowStates serves a mock that takes its time.
func slowStates(t testing.TB, step time.Duration, options ...option) *fixture {
	t.Helper()
	f := serve(t, engine.NewMock(engine.MockConfig{Vocab: testVocab, Blocks: 256, MaxRows: 256, StepTime: step}), options...)
	f.model.Config.Dim = mockDim
	return f
}

// A request for many embeddings is not refused because the last of its texts would wait
// too long for the first.
func TestManyEmbeddingsWaitForEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := slowStates(t, time.Second, func(_ *Config, e *engineConfig) { e.MaxBatch, e.MaxWait = 2, 100*time.Millisecond })
		defer f.engine.Close()
		for _, texts := range []string{`"a"`, `["a","b","c","d","e","f","g"]`} { // the first is to measure by
			if a := f.post(t, "/v1/embeddings", `{"input":`+texts+`}`); a.status != 200 {
				t.Errorf("%s: %d %s", texts, a.status, a.body)
			}
		}
		if n := f.model.Refused(); n != 0 {
			t.Errorf("%d requests count as refused", n)
		}
	})
}

// A client that goes away, a time-out, a full queue and a server that shuts down
// end a request for many embeddings at once.
func TestEmbeddingsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		many := `{"input":["a"` + strings.Repeat(`,"b"`, 2000) + `]}`
		small := func(c *Config, e *engineConfig) { e.MaxBatch, e.MaxQueue = 2, 1 }

		f := slowStates(t, 5*time.Millisecond, small)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/v1/embeddings", strings.NewReader(many)))
		f.settled(t)

		f = slowStates(t, 5*time.Millisecond, small, func(c *Config, _ *engineConfig) { c.RequestTimeout = 50 * time.Millisecond })
		if a := f.post(t, "/v1/embeddings", many); a.status != http.StatusGatewayTimeout {
			t.Errorf("too slow: %d %.200s", a.status, a.body)
		}

		f = slowStates(t, 5*time.Millisecond, small)
		var streams []*engine.Stream
		for range 3 {
			s, err := f.engine.Submit(t.Context(), engine.Request{Prompt: []int32{5}, MaxTokens: 400})
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		if a := f.post(t, "/v1/embeddings", many); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("with a full queue: %d %.200s", a.status, a.body)
		}
		for _, s := range streams {
			s.Close()
		}

		f = slowStates(t, 5*time.Millisecond, small)
		done := make(chan answer, 1)
		go func() { done <- f.post(t, "/v1/embeddings", many) }()
		time.Sleep(100 * time.Millisecond) // all of it takes five seconds
		stop, cancel2 := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel2()
		f.Shutdown(stop)
		if a := <-done; a.status != http.StatusServiceUnavailable {
			t.Errorf("while shutting down: %d %.200s", a.status, a.body)
		}
	})
}
