package serving

import (
	"path/filepath"
	"slices"
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
	ID      string   // the name that clients use
	Aliases []string // other names that they may use
	Path    string   // of the file
	License string   // as the file names it; empty: it does not
	Created time.Time
	Config  model.Config
	CPU     string // kernel tier, for /health
	Threads int

	CacheBytes int // of the KV cache
	CacheSaved int // how much more it would take if layers with a window kept everything

	Engine    *engine.Engine // nil: the model is described, not loaded
	Tokenizer *tokenizer.Tokenizer
	Chat      *chat.Template
	breakers  breakerCache
	Sampling  sample.Settings // what requests leave open: the server's flags, else the model's authors', else the catalogue's

	Stop   []string // strings that end an answer where a request names none
	System string   // message that a conversation without one begins with

	ParseSpecial bool // parse control tokens in the messages of clients

	PairTemplate string // how a reranker is asked, with {query} and {document}; empty: the texts one after the other

	reset atomic.Pointer[sample.Settings] // replaces Sampling, once it is set

	Memory Memory        // that it takes
	Loaded time.Duration // what loading took
	Close  func() error  // frees it, when no request uses it; nil: that is the affair of whoever attached it

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

// FileName is what clients are told of the model's file: its name, without the folders
// of this machine, which say who runs the server and how.
func (d *Deployment) FileName() string { return filepath.Base(d.Path) }

// Names are all names that clients may use, the id first.
func (d *Deployment) Names() []string { return append([]string{d.ID}, d.Aliases...) }

// Named reports whether name selects this model: its id, an alias, or "" (the
// client named none).
func (d *Deployment) Named(name string) bool {
	return name == "" || name == d.ID || slices.Contains(d.Aliases, name)
}

// Context is the number of tokens that a request may have.
func (d *Deployment) Context() int {
	if d.Engine == nil {
		return d.Config.Context
	}
	return d.Engine.Config().Context
}

// Memory is what a model takes, in bytes.
type Memory struct {
	Weights uint64 // in the form that the kernels read
	Cache   uint64 // keys and values of all sequences together
	Buffers uint64 // of a step and of sampling
	Other   uint64 // pages of the file that stay in use, the vocabulary
	Context int    // tokens that a sequence may have
}

// Total is all of it.
func (m *Memory) Total() uint64 { return m.Weights + m.Cache + m.Buffers + m.Other }
