package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

const testVocab, testDim = 400, 64

// script is an executor that makes every sequence say the same text, a byte for
// each token, so that characters and stop strings are always spread over tokens.
type script struct {
	mu     sync.Mutex
	tokens []int32
	pieces [][]byte         // [vocabulary]
	first  map[int32]int32  // first block of a sequence -> position before its answer; -1: not known yet
	said   map[[2]int32]int // first block and position -> bytes of the answer up to there, which may be several for a token
	logits []float32
	states [][]float32  // of the rows that are wanted: a function of the last tokens
	delay  atomic.Int64 // of a step
	steps  atomic.Int64
	rows   atomic.Int64
}

const byteToken = 3 // the token of byte 0 in tinymodel's vocabulary

func newScript(text string) *script {
	s := &script{first: map[int32]int32{}, said: map[[2]int32]int{}, logits: make([]float32, 64*testVocab)}
	s.say(text)
	return s
}

// say changes the text; NUL stands for the token that ends an answer.
func (s *script) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = nil
	for i := range len(text) {
		if text[i] == 0 {
			s.tokens = append(s.tokens, 2) // <|im_end|>
		} else {
			s.tokens = append(s.tokens, byteToken+int32(text[i]))
		}
	}
}

func (s *script) Vocab() int     { return testVocab }
func (s *script) MaxRows() int   { return 256 }
func (s *script) MaxLogits() int { return 64 }

func (s *script) NotFinite() []int32 { return nil }

func (s *script) Dim() int { return testDim }

func (s *script) Hidden(i int) []float32 { return s.states[i] }

func (s *script) Forward(b *batch.Batch) []float32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps.Add(1)
	s.rows.Add(int64(b.Start[b.Seqs()]))
	if d := s.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	s.states = s.states[:0]
	for _, r := range b.Hidden {
		state := make([]float32, testDim)
		state[int(b.Tokens[r])%testDim], state[int(b.Positions[r])%testDim] = 3, 4
		s.states = append(s.states, state)
	}
	next := 0
	for i := range b.Seqs() {
		id := b.Blocks[i][0]
		for r := b.Start[i]; r < b.Start[i+1]; r++ {
			pos := b.Positions[r]
			if pos == 0 {
				s.first[id] = -1
			}
			s.said[[2]int32{id, pos}] = 0
			if s.first[id] >= 0 && pos > s.first[id] {
				n := 1
				if s.pieces != nil {
					n = max(n, len(s.pieces[b.Tokens[r]]))
				}
				s.said[[2]int32{id, pos}] = s.said[[2]int32{id, pos - 1}] + n
			}
			if next >= len(b.Logits) || b.Logits[next] != r {
				continue
			}
			if s.first[id] < 0 {
				s.first[id] = pos
			}
			row := s.logits[next*testVocab : (next+1)*testVocab]
			clear(row)
			row[s.tokens[s.said[[2]int32{id, pos}]%len(s.tokens)]] = 30
			next++
		}
	}
	return s.logits[:next*testVocab]
}

// fixture is a server over a scripted model.
type fixture struct {
	*Server
	script *script
	engine *engine.Engine
	model  *Deployment
}

// keyring accepts these keys for everything.
func keyring(secrets ...string) *access.Ring { return access.NewRing(access.Plain(secrets...)) }

type option func(*Config, *engine.Config)

func newFixture(t testing.TB, text string, options ...option) *fixture {
	t.Helper()
	sc := newScript(text)
	f := serve(t, sc, options...)
	f.script = sc
	for id := range testVocab {
		sc.pieces = append(sc.pieces, f.model.Tokenizer.Piece(int32(id)))
		if f.model.Tokenizer.IsSpecial(int32(id)) {
			sc.pieces[id] = nil
		}
	}
	return f
}

func loadTiny(t testing.TB) (*tokenizer.Tokenizer, *chat.Template) {
	t.Helper()
	file, err := tinymodel.Open(tinymodel.Options{Vocab: testVocab})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(file)
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := chat.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return tok, tmpl
}

func serve(t testing.TB, x engine.Executor, options ...option) *fixture {
	t.Helper()
	tok, tmpl := loadTiny(t)
	cfg := Config{Version: "test", MetricsVLLM: true}
	ecfg := engine.Config{Blocks: 256, Context: 512, MaxBatch: 8, MaxQueue: 64, EOG: tok.EOG()}
	for _, o := range options {
		o(&cfg, &ecfg)
	}
	e, err := engine.New(x, nil, ecfg)
	if err != nil {
		t.Fatal(err)
	}
	m := &Deployment{
		ID: "org/tiny", Aliases: []string{"tiny"}, Path: "/home/somebody/tiny.gguf", Created: time.Unix(1700000000, 0),
		Config: model.Config{Arch: "llama", Quantization: "F32", Vocab: testVocab, Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 32, FF: 96, Context: 512, RopeBase: 10000, NormEps: 1e-5},
		Engine: e, Tokenizer: tok, Chat: tmpl, CPU: "generic", Threads: 1,
	}
	cfg.Model = m
	f := &fixture{Server: New(cfg), engine: e, model: m}
	t.Cleanup(func() {
		f.settled(t)
		e.Close()
	})
	return f
}

// patience is how long tests wait for what must come. Only a test that fails waits so long, however busy the machine is.
const patience = 2 * time.Minute

// inBubble runs a test without sockets on a clock of its own, as testing/synctest
// has it: it goes on only while every goroutine waits. What happens before what is
// then the same on every machine, however busy, and no time passes.
func inBubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// comes waits until a condition holds, and reports whether it did.
func comes(ok func() bool) bool {
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > patience {
			return false
		}
	}
	return true
}

// waitFor waits until the condition holds.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !comes(ok) {
		t.Fatalf("timed out waiting for %s", what)
	}
}

// settled waits until no sequence or block is in use.
func (f *fixture) settled(t testing.TB) {
	t.Helper()
	if !comes(func() bool {
		s := f.engine.Stats()
		return s.Running == 0 && s.Waiting == 0 && s.FreeBlocks == s.Blocks
	}) {
		t.Errorf("left behind: %+v", f.engine.Stats())
	}
}

// backTo waits until no more than so many goroutines are left.
func backTo(t testing.TB, n int) {
	t.Helper()
	if !comes(func() bool { return runtime.NumGoroutine() <= n }) {
		b := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after:\n%s", n, runtime.NumGoroutine(), b[:runtime.Stack(b, true)])
	}
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func (f *fixture) post(t testing.TB, path, body string) answer {
	t.Helper()
	return f.do(t, "POST", path, body)
}

// get decodes the answer into a map.
func (a answer) get(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("status %d, not JSON: %q", a.status, a.body)
	}
	return m
}

// at walks into a decoded answer: at(m, "choices", 0, "text").
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("no %v in %v", path, v)
			}
			v = m[p]
		case int:
			l, ok := v.([]any)
			if !ok || p >= len(l) {
				t.Fatalf("no %v in %v", path, v)
			}
			v = l[p]
		}
	}
	return v
}

// events are the data of the server-sent events of a body.
func events(t testing.TB, body string) []string {
	t.Helper()
	var list []string
	sc := bufio.NewScanner(strings.NewReader(body))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		data, ok := strings.CutPrefix(line, "data: ")
		if ok {
			list = append(list, data)
		} else if line != "" && !strings.HasPrefix(line, ":") {
			t.Errorf("a line of the stream is neither data nor comment: %q", line)
		}
	}
	return list
}

// decodeAll decodes events except [DONE], which must be the last.
func decodeAll(t testing.TB, list []string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for i, e := range list {
		if e == "[DONE]" {
			if i != len(list)-1 {
				t.Errorf("[DONE] is not last")
			}
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(e), &m); err != nil {
			t.Fatalf("event %q: %v", e, err)
		}
		all = append(all, m)
	}
	return all
}

// noLeaks fails when goroutines are left when the test has ended.
func noLeaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() { backTo(t, before) })
}

// listen serves a fixture on a socket.
func (f *fixture) listen(t testing.TB) *httptest.Server {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = f.HTTP("", nil)
	ts.Start()
	t.Cleanup(ts.Close)
	return ts
}

func postTo(t testing.TB, client *http.Client, url, body string) *http.Response {
	t.Helper()
	r, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(t testing.TB, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type engineConfig = engine.Config
