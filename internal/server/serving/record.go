package serving

import (
	"sync"

	"github.com/penstock-llm/penstock/internal/engine"
)

// Record is what the engine did for one request. The log, the metrics, the traces
// and whoever counts usage read it when the handler has returned.
type Record struct {
	mu    sync.Mutex
	model string
	gens  []*Generation
	texts []Run // embeddings
	keep  bool  // what was asked and answered
	said  []Said
}

// Said is what was asked and answered in one generation, as text with control tokens.
type Said struct{ Prompt, Answer string }

// KeepTexts has the record keep what is asked and answered, for a log that is to have
// it. It is called before the request begins.
func (r *Record) KeepTexts() { r.keep = true }

// Said is what was asked and answered; nil unless KeepTexts was called.
func (r *Record) Said() []Said {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said
}

// heard notes what was asked and answered, while the model is there to decode it.
func (r *Record) heard(m *Deployment, prompt, answer []int32) {
	s := Said{m.Tokenizer.Decode(prompt, true), m.Tokenizer.Decode(answer, true)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, s)
}

// keeps reports whether texts are kept. A nil Record keeps none.
func (r *Record) keeps() bool { return r != nil && r.keep }

// Run is one generation of a request, or the embedding of one text.
type Run struct {
	Prompt, Cached, Completion int    // tokens
	Reason                     string // stop, length, abort or error

	// Timings is zero if the engine has not ended the run yet: the client is gone,
	// and what was asked for ends within a step.
	Timings engine.Timings
}

// Model is the id of the model that was asked; "" if the request did not get as far.
func (r *Record) Model() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.model
}

// Runs are the request's generations and embeddings, in the order in which they
// were started.
func (r *Record) Runs() []Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	runs := append([]Run(nil), r.texts...)
	for _, g := range r.gens {
		runs = append(runs, g.run())
	}
	return runs
}

// started notes a generation. A nil Record notes nothing.
func (r *Record) started(g *Generation) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.model, r.gens = g.model.ID, append(r.gens, g)
}

// embedded notes the embedding of a text.
func (r *Record) embedded(model string, f *engine.Finish) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.model = model
	r.texts = append(r.texts, Run{Prompt: f.Usage.Prompt, Cached: f.Usage.Cached, Reason: f.Reason.String(), Timings: f.Timings})
}

// run is how a generation ended, or how far it had come when its reader left.
func (g *Generation) run() Run {
	if r := &g.result; r.Reason != "" {
		return Run{r.Prompt, r.Cached, r.Completion, r.Reason, r.Timings}
	}
	p := g.stream.Progress()
	run := Run{Prompt: p.Prompt, Cached: p.Cached, Completion: p.Decoded, Reason: engine.Aborted.String()}
	if f := g.stream.Finish(); f.Reason == engine.Aborted || f.Reason == engine.Failed {
		run.Reason, run.Timings = f.Reason.String(), f.Timings
	}
	return run
}
