package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/server"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// tinyStore is a folder of downloaded models: random ones of the architectures that
// they are called after.
func tinyStore(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		arch, _ := strings.CutPrefix(name, "tiny-")
		if err := tinymodel.Write(filepath.Join(dir, name+".gguf"), tinymodel.Options{Arch: arch, Type: quant.Q8_0}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// severalServer is a server in this process with a shelf of models, of which the
// first is loaded. Models have as little cache as they can do with, so that tests
// can tell how many of them fit.
func severalServer(t *testing.T, c *serveCommand, limit uint64, archs ...string) *server.Server {
	t.Helper()
	c.Engine.KVMemory, c.Engine.Ctx, c.Engine.MaxBatch, c.Engine.PrefixCache = 2<<20, 256, 4, true
	dir := tinyStore(t, archs...)
	s := newShelf(c, hub.Open(hub.Config{Root: dir}), instance.Options{Tier: cpu.Detect(), Threads: 2, MemoryLimit: limit}, func(string) {})
	main := c.entry(archs[0])
	main.Pinned = true
	m, err := s.add(main, filepath.Join(dir, archs[0]+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(server.Config{Version: "test", Residency: s.residency(nil)})
	d, err := s.first(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv.Attach(d)
	t.Cleanup(func() {
		if err := srv.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if s.users != 0 || len(s.loaded) != 0 {
			t.Errorf("%d users of the workers are left", s.users)
		}
		s.close()
	})
	return srv
}

// post asks a server in this process.
func post(ctx context.Context, h http.Handler, path, body string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// completion is the text that a model of the server gives.
func completion(t *testing.T, h http.Handler, name string) string {
	t.Helper()
	status, body := post(t.Context(), h, "/v1/completions", fmt.Sprintf(`{"model":%q,"prompt":"a river","max_tokens":20,"temperature":0,"ignore_eos":true}`, name))
	var answer struct {
		Model   string
		Choices []struct{ Text string }
	}
	if err := json.Unmarshal([]byte(body), &answer); status != 200 || err != nil || len(answer.Choices) != 1 || answer.Model != name {
		t.Fatalf("%s: %d %s", name, status, body)
	}
	return answer.Choices[0].Text
}

// Models that take turns in memory say what each of them says alone.
func TestModelsTakeTurns(t *testing.T) {
	archs := []string{"tiny-llama", "tiny-qwen3", "tiny-gemma3"}
	var alone []string
	for _, arch := range archs {
		alone = append(alone, completion(t, severalServer(t, &serveCommand{}, 1<<30, arch), arch))
	}
	if alone[0] == alone[1] || alone[1] == alone[2] {
		t.Fatalf("the models cannot be told apart: %q", alone)
	}
	probe := severalServer(t, &serveCommand{LoadOnDemand: true, KeepAlive: stay(time.Hour)}, 1<<30, archs...)
	for _, arch := range archs {
		completion(t, probe, arch)
	}
	taken := planned(t, probe)
	// With less than all three take together, the two that are not pinned take turns.
	h := severalServer(t, &serveCommand{LoadOnDemand: true, KeepAlive: stay(time.Hour)}, taken-1<<10, archs...)
	for i := range 6 {
		n := i % 3
		if got := completion(t, h, archs[n]); got != alone[n] {
			t.Errorf("%s says %q, alone %q", archs[n], got, alone[n])
		}
		if now := planned(t, h); now >= taken {
			t.Errorf("%d bytes are planned of %d", now, taken)
		}
	}
}

// planned is the plan of the whole process, as /metrics has it.
func planned(t *testing.T, h http.Handler) uint64 {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		var n float64
		if _, err := fmt.Sscanf(line, "penstock_memory_planned_bytes %g", &n); err == nil {
			return uint64(n)
		}
	}
	t.Fatal("no plan in /metrics")
	return 0
}

// Random requests to models that do not all fit, many of which are aborted, leave
// no goroutine and no memory behind, and never an answer of the wrong model.
func TestModelsStorm(t *testing.T) {
	archs := []string{"tiny-llama", "tiny-qwen3", "tiny-gemma3", "tiny-qwen2"}
	before := runtime.NumGoroutine()
	t.Run("storm", func(t *testing.T) {
		h := severalServer(t, &serveCommand{LoadOnDemand: true, KeepAlive: stay(20 * time.Millisecond)}, instance.Process+10<<20, archs...)
		storm := &storm{server: h, want: map[string]string{}}
		for _, arch := range archs {
			storm.want[arch] = completion(t, h, arch)
		}
		var clients sync.WaitGroup
		for c := range 6 {
			clients.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(c), 7))
				for range 15 {
					storm.ask(t, archs[rng.IntN(len(archs))], rng)
				}
			})
		}
		clients.Wait()
		t.Logf("%d answers, %d refusals", storm.answered.Load(), storm.refused.Load())
		if storm.answered.Load() == 0 {
			t.Error("nobody got an answer")
		}
	})
	for range 2000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// storm is a server under random requests.
type storm struct {
	server            http.Handler
	want              map[string]string // what each model says
	answered, refused atomic.Int64
}

// ask makes a request that may be given up at any time.
func (s *storm) ask(t *testing.T, name string, rng *rand.Rand) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if rng.IntN(2) == 0 {
		timer := time.AfterFunc(time.Duration(rng.IntN(30))*time.Millisecond, cancel)
		defer timer.Stop()
	}
	keep := []string{"0", "-1", `"10ms"`}[rng.IntN(3)]
	body := fmt.Sprintf(`{"model":%q,"prompt":"a river","raw":true,"stream":false,"keep_alive":%s,"options":{"num_predict":20,"temperature":0,"ignore_eos":true}}`, name, keep)
	if rng.IntN(8) == 0 {
		body = fmt.Sprintf(`{"model":%q,"keep_alive":0}`, name)
	}
	status, text := post(ctx, s.server, "/api/generate", body)
	var answer struct {
		Model, Response string
		DoneReason      string `json:"done_reason"`
	}
	switch err := json.Unmarshal([]byte(text), &answer); {
	case status == 200 && text == "": // the client had gone
	case status == 200 && err == nil && answer.DoneReason == "unload":
	case status == 200 && err == nil:
		s.answered.Add(1)
		if answer.Model != name || answer.Response != s.want[name] {
			t.Errorf("%s says %q, want %q", name, answer.Response, s.want[name])
		}
	case status == 503 || status == 409:
		s.refused.Add(1)
	default:
		t.Errorf("%s: %d %s", name, status, text)
	}
}

// What the list of the configuration file says of a model, and what is wrong there.
func TestModelEntries(t *testing.T) {
	serve := &serveCommand{}
	serve.Engine.Ctx, serve.Engine.MaxBatch = 512, 7
	read := func(text string) ([]modelEntry, error) {
		c := &config{path: "f.yaml"}
		if err := c.parse([]byte(text)); err != nil {
			return nil, err
		}
		return c.entries(serve)
	}
	all, err := read("models:\n- smollm2\n- name: coder\n  model: qwen2.5-coder:0.5b\n  aliases: [c, d]\n  pinned: true\n  keep-alive: -1\n" +
		"  ctx: 4096\n  kv-memory: 1GiB\n  kv-type: q8\n  temperature: 0\n- name: m.gguf\n  keep-alive: 90\n")
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	one, two, three := all[0], all[1], all[2]
	if one.Model != "smollm2" || one.Name != "" || one.Ctx != 512 || one.MaxBatch != 7 || one.KeepAlive != nil {
		t.Errorf("%+v", one)
	}
	if two.Name != "coder" || two.Model != "qwen2.5-coder:0.5b" || !slices.Equal(two.Aliases, []string{"c", "d"}) || !two.Pinned || *two.keepAlive() >= 0 ||
		two.Ctx != 4096 || two.MaxBatch != 7 || two.KVMemory != 1<<30 || two.KVType.String() != "q8" || *two.Defaults.Temperature != 0 {
		t.Errorf("%+v", two)
	}
	if three.Model != "m.gguf" || *three.keepAlive() != 90*time.Second {
		t.Errorf("%+v", three)
	}
	for text, want := range map[string]string{
		"models: [5]":                               "models[0]: want the name of a model",
		"models: [{ctx: 5}]":                        "models[0]: want a name or a model",
		"models: [a, {name: b, contxt: 5}]":         `models[1]: unknown key "contxt"`,
		"models: [{name: b, ctx: x}]":               "models[0]: --ctx",
		"models: [{name: b, ctx: [1, 2]}]":          `models[0]: "ctx" wants one value`,
		"models: [{name: b, pinned: {a: b}}]":       `models[0]: "pinned" wants a value`,
		"models: [{name: b, keep-alive: soon}]":     "want a duration such as 5m",
		"models: [{name: b}, {name: b, model: c}]":  `there are two models called "b"`,
		"models: [{name: b, temperature: 1000000}]": "--temperature",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "config f.yaml:1:1: ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What was downloaded can be named as people do, never by a path, and no two models
// have one name.
func TestShelfNames(t *testing.T) {
	dir := tinyStore(t, "tiny-llama", "tiny-qwen3")
	c := &serveCommand{}
	s := newShelf(c, hub.Open(hub.Config{Root: dir}), instance.Options{Threads: 1}, func(string) {})
	defer s.close()
	if _, err := s.add(modelEntry{Name: "mine", Model: "tiny-llama", Aliases: []string{"tiny-qwen3", "x"}}, filepath.Join(dir, "tiny-llama.gguf")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.list() {
		got = append(got, strings.Join(m.Names(), "="))
	}
	// The file of mine is not listed again. Its alias is the name of a download, which
	// is not listed then: it could not be asked for.
	if want := []string{"mine=tiny-qwen3=x"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// While the folder of models cannot be read, the models that were in it are still known:
// a client is not told that there is no such model.
func TestShelfKeepsWhatItCannotRead(t *testing.T) {
	dir := tinyStore(t, "tiny-llama", "tiny-qwen3")
	s := newShelf(&serveCommand{}, hub.Open(hub.Config{Root: dir}), instance.Options{Threads: 1}, func(string) {})
	defer s.close()
	names := func() (all []string) {
		for _, m := range s.list() {
			all = append(all, m.ID)
		}
		return all
	}
	before := names()
	if len(before) != 2 {
		t.Fatalf("listed %q", before)
	}
	aside := dir + "-aside"
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, dir); err != nil { // every read fails: too many links
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, before) {
		t.Errorf("%q while the folder cannot be read, want %q", got, before)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if got := names(); len(got) != 0 {
		t.Errorf("%q without the folder", got)
	}
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, before) {
		t.Errorf("%q with the folder again, want %q", got, before)
	}
}

// Sampling defaults that are taken up hold for every model without its own, also for one
// that is loading meanwhile, and for the server's own when it is loaded again. An element
// of the list of models keeps what it says itself, and nothing else.
func TestReloadReachesAllModels(t *testing.T) {
	dir := tinyStore(t, "tiny-llama", "tiny-qwen3", "tiny-gemma3")
	c := &serveCommand{Defaults: samplingFlags{Temperature: new(0.5)}}
	c.Engine.KVMemory, c.Engine.Ctx, c.Engine.MaxBatch = 2<<20, 256, 4
	s := newShelf(c, hub.Open(hub.Config{Root: dir}), instance.Options{Tier: cpu.Detect(), Threads: 1}, func(string) {})
	defer s.close()
	list := config{models: []any{map[string]any{"model": "tiny-qwen3", "temperature": "0.5"}, map[string]any{"model": "tiny-gemma3", "top-k": "7"}}}
	entries, err := list.entries(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append([]modelEntry{c.entry("tiny-llama")}, entries...) {
		if _, err := s.add(e, filepath.Join(dir, e.Model+".gguf")); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(temperature float64) {
		if err := s.reload(&serveCommand{Defaults: samplingFlags{Temperature: &temperature}}); err != nil {
			t.Fatal(err)
		}
	}
	reload(0.1)
	for _, source := range s.list() {
		want := 0.2
		if source.ID == "tiny-qwen3" {
			want = 0.5
		}
		opened, err := s.open(source)
		if err != nil {
			t.Fatal(err)
		}
		reload(0.2)
		d, err := opened.Load(0)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Defaults().Temperature; *got != want {
			t.Errorf("%s: temperature %v, want %v", source.ID, *got, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if opened, err = s.open(source); err != nil {
			t.Fatal(err)
		}
		again, err := opened.Describe()
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Defaults().Temperature; *got != want {
			t.Errorf("%s, when it is read again: temperature %v, want %v", source.ID, *got, want)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
		reload(0.1)
	}
}

// TestServeModelsOfTheFile: the first model of the list is the server's own, those
// that are pinned are there from the start.
func TestServeModelsOfTheFile(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	dir := tinyStore(t, "tiny-llama", "tiny-qwen3", "tiny-qwen2")
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	text := "kv-memory: 4MiB\nctx: 256\nlog-level: warn\nmodels:\n" +
		"- name: first\n  model: " + filepath.Join(dir, "tiny-llama.gguf") + "\n  aliases: [uno]\n" +
		"- name: second\n  model: " + filepath.Join(dir, "tiny-qwen3.gguf") + "\n  pinned: true\n  ctx: 128\n  temperature: 0\n" +
		"- name: third\n  model: " + filepath.Join(dir, "tiny-qwen2.gguf") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PENSTOCK_MODELS", t.TempDir())
	s := serve(t, "--config", file)
	get := func(path string) string {
		t.Helper()
		r, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var loaded struct {
		Models []struct {
			Name    string
			Context int `json:"context_length"`
		}
	}
	if err := json.Unmarshal([]byte(get("/api/ps")), &loaded); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(loaded.Models); got != "[{first 256} {second 128}]" {
		t.Errorf("loaded are %s", got)
	}
	for _, name := range []string{"first", "uno", "second", "third"} {
		if text := get("/v1/models/" + name); !strings.Contains(text, `"id":"`+name+`"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
	if text := get("/props?model=second"); !strings.Contains(text, `"temperature":0,`) {
		t.Errorf("the second has its own settings: %s", text)
	}
}

// A list of models that has changed needs a restart, which a reload says.
func TestReloadNamesTheListOfModels(t *testing.T) {
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	var out strings.Builder
	term := terminal{out: &out, err: &out}
	args := []string{"serve", "--config", file, "m.gguf"}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("models: [a]\n")
	first, err := parse(args, term)
	if err != nil {
		t.Fatal(err)
	}
	r := &reloading{args: args, started: first.context, models: first.config.models, term: term, log: slog.New(slog.NewTextHandler(&out, nil))}
	r.reload()
	if strings.Contains(out.String(), "needs a restart") {
		t.Errorf("nothing has changed: %s", &out)
	}
	write("models: [a, {name: b}]\n")
	r.reload()
	if !strings.Contains(out.String(), "setting=models") {
		t.Errorf("nobody is told: %s", &out)
	}
}

// A download that is no model is listed, cannot be asked for, and says why; when
// another file is in its place, that is loaded at once.
func TestDownloadThatIsNoModel(t *testing.T) {
	dir := tinyStore(t, "tiny-llama", "tiny-qwen3")
	bad := filepath.Join(dir, "bad.gguf")
	if err := os.WriteFile(bad, []byte("GGUF but no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &serveCommand{LoadOnDemand: true, KeepAlive: stay(time.Hour)}
	c.Engine.KVMemory, c.Engine.Ctx = 2<<20, 256
	s := newShelf(c, hub.Open(hub.Config{Root: dir}), instance.Options{Tier: cpu.Detect(), Threads: 1}, func(string) {})
	m, err := s.add(c.entry("tiny-llama"), filepath.Join(dir, "tiny-llama.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.first(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := server.New(server.Config{Version: "test", Residency: s.residency(nil), Model: d})
	defer s.close()
	defer h.Close(context.Background())
	for range 2 { // the second time without reading the file
		status, text := post(t.Context(), h, "/v1/completions", `{"model":"bad","prompt":"x"}`)
		if status != 503 || !strings.Contains(text, `the model \"bad\" could not be loaded: `) || !strings.Contains(text, "bad.gguf") || strings.Contains(text, ": gguf: ") {
			t.Errorf("%d %s", status, text)
		}
	}
	good, err := os.ReadFile(filepath.Join(dir, "tiny-qwen3.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, good, 0o600); err != nil {
		t.Fatal(err)
	}
	completion(t, h, "bad")
}
