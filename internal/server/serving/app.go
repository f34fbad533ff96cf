package serving

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
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
}

// Named reports whether name selects this model: its id, an alias, or "" (the
// client named none).
func (m *Deployment) Named(name string) bool {
	if name == "" || name == m.ID {
		return true
	}
	for _, a := range m.Aliases {
		if name == a {
			return true
		}
	}
	return false
}

// Context is the number of tokens that a request may have.
func (m *Deployment) Context() int { return m.Engine.Config().Context }

// App is the state that handlers share: the model once it is there, and the
// limits. Create it with package server.
type App struct {
	Version        string
	Log            *slog.Logger
	MaxBody        int64
	RequestTimeout time.Duration // for a generation; 0: none
	PingInterval   time.Duration // of signs of life in a stream that has nothing to send; 0: none
	Started        time.Time

	model    atomic.Pointer[Deployment]
	draining atomic.Bool
}

// Attach makes the server ready.
func (a *App) Attach(m *Deployment) { a.model.Store(m) }

// StartDraining makes the server refuse new work.
func (a *App) StartDraining() { a.draining.Store(true) }

// Draining tells whether new work is refused because the server shuts down.
func (a *App) Draining() bool {
	m := a.model.Load()
	return a.draining.Load() || m != nil && m.Engine.Draining()
}

// Loaded returns the model, or nil while it is loading. It does not care
// whether the server is draining.
func (a *App) Loaded() *Deployment { return a.model.Load() }

// Model returns the model for new work.
func (a *App) Model() (*Deployment, *Error) {
	m := a.model.Load()
	switch {
	case a.Draining():
		return nil, Draining()
	case m == nil:
		return nil, Loading()
	}
	return m, nil
}

// Deadline limits a generation's time.
func (a *App) Deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if a.RequestTimeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, a.RequestTimeout)
}
