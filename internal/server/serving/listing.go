package serving

import (
	"errors"
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/model"
)

// Listed is a model as lists of them show it.
type Listed struct {
	Source
	State      State
	Main       bool        // requests that name no model go to it
	Deployment *Deployment // if it is loaded
	Memory     Memory      // that it takes, or has been promised
	Requests   int         // that use it, or wait for it
	Expires    time.Time   // when it goes if nobody asks for it; zero: never
	Failure    string      // why it could not be loaded when that was last tried
}

// Listing lists all models that requests may name: the main one, those that are
// loaded, and those that would be. Where requests load nothing, it lists what is
// loaded only.
func (r *Registry) Listing() []Listed {
	sources := r.sources()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Listed
	for _, e := range r.models {
		l := Listed{
			Source: e.source, State: e.state, Main: e.source.ID == r.main, Memory: e.memory, Requests: e.leases, Expires: e.expires(),
		}
		l.Pinned = e.pinned
		if e.state == StateLoaded {
			l.Deployment = e.m
		}
		all = append(all, l)
	}
	for _, s := range sources {
		if r.OnDemand && r.resident(s.ID) == nil {
			all = append(all, Listed{Source: s, State: StateUnloaded, Main: s.ID == r.main, Failure: r.reason(s.ID)})
		}
	}
	slices.SortStableFunc(all, func(a, b Listed) int {
		switch {
		case a.Main:
			return -1
		case b.Main:
			return 1
		}
		return 0
	})
	return all
}

func (r *Registry) reason(id string) string {
	if f := r.failures[id]; f != nil {
		return f.err.Message
	}
	return ""
}

// Lookup is the model in the list that a name stands for.
func (r *Registry) Lookup(name string) (Listed, *Error) {
	all := r.Listing()
	for _, l := range all {
		if l.Named(name) {
			return l, nil
		}
	}
	sources := r.sources()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.main == "" {
		return Listed{}, Loading()
	}
	return Listed{}, NoModel(name, r.names(sources, r.OnDemand))
}

// namesOf are all names of the model that a name stands for, the id first; nil if
// there is no such model.
func (r *Registry) namesOf(name string) []string {
	r.mu.Lock()
	name = r.called(name)
	e := r.resident(name)
	r.mu.Unlock()
	if e != nil {
		return e.source.Names()
	}
	for _, s := range r.sources() {
		if s.Named(name) {
			return s.Names()
		}
	}
	return nil
}

// Describe returns a model with all but its engine, without loading its weights.
// One that is loaded is returned as it is, for describing it only.
func (r *Registry) Describe(name string) (*Deployment, *Error) {
	l, err := r.Lookup(name)
	if err != nil || l.Deployment != nil {
		return l.Deployment, err
	}
	if r.Open == nil {
		return nil, Loading()
	}
	r.describing.Lock() // reading vocabularies takes processor time: one after the other
	defer r.describing.Unlock()
	opened, failed := r.Open(l.Source)
	if failed != nil {
		return nil, loadFailed(l.ID, failed)
	}
	defer opened.Close()
	d, failed := opened.Describe()
	if failed != nil {
		return nil, loadFailed(l.ID, failed)
	}
	return d, nil
}

// description is what a model's file says, and which file it was.
type description struct {
	modified time.Time
	size     int64
	config   model.Config
}

// mostDescriptions is how many are remembered.
const mostDescriptions = 256

// Config is the shape of a listed model: for one that is not loaded, as its file
// says. It is zero if the file cannot be read. What the file says is remembered, also
// if it is no model; that it cannot be read at present is not.
func (r *Registry) Config(l *Listed) model.Config {
	if l.Deployment != nil {
		return l.Deployment.Config
	}
	r.describing.Lock()
	defer r.describing.Unlock()
	if d, ok := r.described[l.Path]; ok && d.modified.Equal(l.Modified) && d.size == l.Size {
		return d.config
	}
	d := description{modified: l.Modified, size: l.Size}
	switch f, err := safetensors.Open(l.Path); {
	case err == nil:
		d.config, _ = model.Describe(f) // a file that is no model has no shape
		f.Close()
	case !errors.Is(err, gguf.ErrCorrupt):
		return model.Config{}
	}
	if r.described == nil || len(r.described) >= mostDescriptions {
		r.described = map[string]description{}
	}
	r.described[l.Path] = d
	return d.config
}

// Listing lists the models that the client may use.
func (c *Call) Listing() []Listed {
	return slices.DeleteFunc(c.App.Models.Listing(), func(l Listed) bool { return !c.Client.mayUse(l.Names()) })
}

// Describe returns a model that the client may use with all but its engine, as
// Registry.Describe does.
func (c *Call) Describe(name string) (*Deployment, *Error) {
	if err := c.mayAsk(name); err != nil {
		return nil, err
	}
	return c.App.Models.Describe(name)
}

// Present is a model that is loaded, for describing it: the one that a client names
// and may use, or without a name, the main one or another.
func (c *Call) Present(name string) (*Deployment, *Error) {
	switch {
	case name != "":
	case c.Client.limited():
		for _, l := range c.Listing() { // the main one is the first
			if l.Deployment != nil {
				return l.Deployment, nil
			}
		}
	default:
		if m := c.App.Models.Loaded(); m != nil {
			return m, nil
		}
	}
	l, err := c.Listed(name)
	if err != nil {
		return nil, err
	}
	if l.Deployment == nil {
		return nil, notLoaded(l.ID, "this route loads none")
	}
	return l.Deployment, nil
}

// Lookup is the model in the list that a name stands for, if the client may use it.
func (c *Call) Lookup(name string) (Listed, *Error) {
	if err := c.mayAsk(name); err != nil {
		return Listed{}, err
	}
	return c.App.Models.Lookup(name)
}

// Listed describes the model that a request names, or that of requests which name
// none, if the client may use it.
func (c *Call) Listed(name string) (Listed, *Error) {
	if name != "" {
		return c.Lookup(name)
	}
	if err := c.mayAsk(""); err != nil {
		return Listed{}, err
	}
	for _, l := range c.App.Models.Listing() {
		if l.Main {
			return l, nil
		}
	}
	return Listed{}, Loading()
}
