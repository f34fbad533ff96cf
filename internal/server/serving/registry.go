package serving

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Deployment is a loaded model with everything that serves it.
type Deployment struct {
	ID        string   // the name that clients use
	Aliases   []string // other names that they may use
	Path      string   // of the file
	Created   time.Time
	Config    model.Config
	CPU       string // kernel tier, for /health
	Threads   int
	Engine    *engine.Engine
	Tokenizer *tokenizer.Tokenizer
	Chat      *chat.Template
	breakers  breakerCache
	Sampling  sample.Settings // what requests leave open: the server's flags, else the model's authors', else the catalogue's

	ParseSpecial bool // parse control tokens in the messages of clients

	PairTemplate string // how a reranker is asked, with {query} and {document}; empty: the texts one after the other

	reset atomic.Pointer[sample.Settings] // replaces Sampling, once it is set

	intake   intake
	grammars grammars
}

// Defaults are what requests leave open.
func (d *Deployment) Defaults() sample.Settings {
	if s := d.reset.Load(); s != nil {
		return *s
	}
	return d.Sampling
}

// SetDefaults changes what requests leave open, from the next request on.
func (d *Deployment) SetDefaults(s sample.Settings) { d.reset.Store(&s) }

// Names are all names that clients may use, the id first.
func (d *Deployment) Names() []string { return append([]string{d.ID}, d.Aliases...) }

// Named reports whether name selects this model: its id, an alias, or "" (the
// client named none).
func (d *Deployment) Named(name string) bool {
	if name == "" || name == d.ID {
		return true
	}
	for _, a := range d.Aliases {
		if name == a {
			return true
		}
	}
	return false
}

// Context is the number of tokens that a request may have.
func (d *Deployment) Context() int { return d.Engine.Config().Context }

// Registry holds the models that requests can go to. At present that is one,
// from the moment when it is loaded.
type Registry struct {
	mu       sync.Mutex
	model    *Deployment
	draining bool
	leases   int
	idle     chan struct{} // not nil while Idle waits for the last lease
}

// Lease is a request's hold on a model, which stays in memory until Release.
type Lease struct {
	*Deployment
	Name     string // what the client called the model, or its id
	registry *Registry
}

// Attach adds a model.
func (r *Registry) Attach(d *Deployment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.model = d
}

// StartDraining makes the registry refuse new work.
func (r *Registry) StartDraining() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
}

// Loaded returns the model, or nil while it is loading. It may be draining: this
// is for describing it, not for work.
func (r *Registry) Loaded() *Deployment {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.model
}

// Ready returns nil if there is a model that takes new work, or why there is not.
func (r *Registry) Ready() *Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready()
}

func (r *Registry) ready() *Error {
	switch {
	case r.draining:
		return shuttingDown()
	case r.model == nil:
		return Loading()
	}
	// A full queue is for each request to find out: it may have room at once.
	if err := r.model.Engine.Room(); err != nil && !errors.Is(err, engine.ErrQueueFull) {
		return FromEngine(err)
	}
	return nil
}

// Acquire returns the model that a request names, for new work. Whoever has a
// lease must Release it.
func (r *Registry) Acquire(ctx context.Context, name string) (*Lease, *Error) {
	if err := ctx.Err(); err != nil {
		return nil, FromEngine(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(); err != nil {
		return nil, err
	}
	if !r.model.Named(name) {
		return nil, NoModel(name, r.model.Names())
	}
	r.leases++
	l := &Lease{Deployment: r.model, Name: name, registry: r}
	if name == "" {
		l.Name = r.model.ID
	}
	return l, nil
}

// Release ends the hold.
func (l *Lease) Release() {
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leases--; r.leases == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// Idle waits until no lease is left, so that the models can be unloaded. There
// is one caller at a time.
func (r *Registry) Idle(ctx context.Context) error {
	r.mu.Lock()
	if r.leases == 0 {
		r.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	r.idle = idle
	r.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
