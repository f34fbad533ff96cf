package serving

import (
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
)

// books are what is remembered of models after they were unloaded, so that totals
// only grow. The registry's lock guards them.
type books struct {
	models map[string]*Account
	hist   engine.Histograms // of all engines that are gone
}

// Account is what one model has done since the server started.
type Account struct {
	Loads, Failures, Evictions uint64        // Evictions: unloaded because another needed its memory
	LoadTime                   time.Duration // of all loads together
	Stats                      engine.Stats  // its engine's; those before the present one have left their totals
	Refused                    uint64        // requests that a full queue has turned away
}

// mostAccounts is how many models have an account of their own: a name is a label
// of metrics, and whoever may pull models must not fill the monitoring's memory.
const mostAccounts = 64

// others is the account of all further models.
const others = "other"

func (b *books) account(id string) *Account {
	if b.models == nil {
		b.models = map[string]*Account{}
	}
	if b.models[id] == nil && len(b.models) >= mostAccounts {
		id = others
	}
	if b.models[id] == nil {
		b.models[id] = &Account{}
	}
	return b.models[id]
}

func (b *books) loaded(id string, took time.Duration) {
	a := b.account(id)
	a.Loads++
	a.LoadTime += took
}

func (b *books) failed(id string)  { b.account(id).Failures++ }
func (b *books) evicted(id string) { b.account(id).Evictions++ }

// keep adds the totals of a model that was unloaded.
func (b *books) keep(m *Deployment) {
	if m.Engine == nil {
		return
	}
	a := b.account(m.ID)
	st := m.Engine.Stats()
	a.Stats.Add(st.Totals())
	a.Refused += m.intake.refused.Load()
	b.hist = b.hist.Plus(m.Engine.Histograms())
}

// Usage is what all models do, and have done since the server started.
type Usage struct {
	Main       string // id of the model of requests that name none; empty: it is still loading
	All        Account
	Histograms engine.Histograms
	Models     map[string]Account // by id
	Memory     map[string]Memory  // of the models in memory, by id
}

// Usage reads the counters. It does not disturb the steps.
func (r *Registry) Usage() *Usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := &Usage{Models: make(map[string]Account, len(r.books.models)+1), Histograms: r.books.hist, Main: r.main}
	u.Memory = make(map[string]Memory, len(r.models))
	for id, a := range r.books.models {
		u.Models[id] = a.copy()
	}
	for _, e := range r.models {
		id := e.source.ID
		if e.memory.Total() > 0 {
			u.Memory[id] = e.memory
		}
		if e.m == nil || e.m.Engine == nil { // one that is being unloaded counts until its totals are in the books
			continue
		}
		if _, ok := u.Models[id]; !ok && len(u.Models) >= mostAccounts {
			id = others
		}
		a := u.Models[id]
		st := e.m.Engine.Stats()
		a.Stats.Add(&st)
		a.Refused += e.m.intake.refused.Load()
		u.Models[id] = a
		u.Histograms = u.Histograms.Plus(e.m.Engine.Histograms())
	}
	for _, a := range u.Models {
		u.All.add(&a)
	}
	return u
}

// copy is one whose slices are its own.
func (a *Account) copy() (c Account) {
	c.add(a)
	return c
}

func (a *Account) add(b *Account) {
	a.Loads += b.Loads
	a.Failures += b.Failures
	a.Evictions += b.Evictions
	a.LoadTime += b.LoadTime
	a.Refused += b.Refused
	a.Stats.Add(&b.Stats)
}
