package serving

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
)

// Residency says which models there are besides those that are attached, and how
// long they stay in memory. Its zero value has none.
type Residency struct {
	List      func() []Source                 // the models that can be loaded; nil: none
	Open      func(s Source) (*Opened, error) // looks into a model's file, without loading it
	OnDemand  bool                            // a request for a model that is not loaded loads it
	KeepAlive time.Duration                   // how long a model that is not pinned stays when nobody uses it; negative: for ever
	Budget    uint64                          // bytes of the process; 0: no limit
	Process   uint64                          // of these, what is no model's
	Changed   func(free uint64)               // is told what the models have left of the budget, after one was loaded or unloaded
	Log       *slog.Logger
}

// Source is a model that can be loaded.
type Source struct {
	ID        string   // the name that clients use
	Aliases   []string // other names that they may use
	Path      string   // of the file
	Digest    string   // SHA-256 of the file in hexadecimal, where it is known
	Size      int64    // of the file
	Modified  time.Time
	Pinned    bool           // stays in memory once it is loaded
	KeepAlive *time.Duration // instead of Residency.KeepAlive
}

// Named reports whether name selects this model.
func (s *Source) Named(name string) bool {
	return name == s.ID || slices.Contains(s.Aliases, name)
}

// Names are all names that clients may use, the id first.
func (s *Source) Names() []string { return append([]string{s.ID}, s.Aliases...) }

// Opened is a model's file that was looked into. It is used by one goroutine.
type Opened struct {
	// Plan says what the model takes where the process may have limit bytes, 0 for
	// any number, and whether that is enough. It may be asked several times.
	Plan func(limit uint64) (m Memory, fits bool, err error)
	// Load loads the model within what Plan has said for the same limit. The file
	// belongs to the Deployment then.
	Load func(limit uint64) (*Deployment, error)
	// Describe fills in all of a Deployment but its engine.
	Describe func() (*Deployment, error)
	// Close closes the file, unless Load was called.
	Close func() error
}

// Registry holds the models that requests can go to. A model is loaded when a
// request names it, stays while requests use it, and goes when nobody has used it
// for a while, or when another needs its memory.
//
// Whoever works with a model holds a Lease on it. All that the registry decides, it
// decides under its lock; loading and unloading happen outside of it, in a
// goroutine for each model.
type Registry struct {
	Residency

	mu       sync.Mutex
	main     string   // id of the model that requests get which name none; empty: still loading
	models   []*entry // loaded, being loaded or unloaded, in the order in which they came
	failures map[string]*failure
	draining chan struct{} // closed when no new work is taken; nil until someone waits for it or closes it
	leases   int
	idle     chan struct{} // not nil while Idle waits for the last lease
	books    books
	planning sync.Mutex // held while memory is shared out: one model after the other

	describing sync.Mutex // held while a file is read that is not loaded
	described  map[string]description
}

// Lease is a request's hold on a model, which stays in memory until Release.
type Lease struct {
	*Deployment
	Name     string        // what the client called the model, or its id
	Waited   time.Duration // for the model to be loaded
	registry *Registry
	entry    *entry
}

// Attach adds a model that is loaded already, and never goes by itself. The first
// one is that of requests which name none.
func (r *Registry) Attach(d *Deployment) {
	s := Source{ID: d.ID, Aliases: d.Aliases, Path: d.Path, Modified: d.Created, Pinned: true}
	for _, known := range r.sources() {
		if known.ID == d.ID {
			s.Size, s.Digest, s.Modified = known.Size, known.Digest, known.Modified
		}
	}
	r.mu.Lock()
	r.models = append(r.models, &entry{source: s, state: StateLoaded, m: d, pinned: true, since: time.Now(), memory: d.Memory})
	if r.main == "" {
		r.main = d.ID
	}
	free := r.free()
	r.mu.Unlock()
	r.changed(free)
}

// drained is closed when no new work is taken.
func (r *Registry) drained() chan struct{} {
	if r.draining == nil {
		r.draining = make(chan struct{})
	}
	return r.draining
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// StartDraining makes the registry refuse new work.
func (r *Registry) StartDraining() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.drained(); !closed(c) {
		close(c)
	}
}

// Loaded returns the model of requests that name none, or another that is loaded,
// or nil. It may be draining, and may be unloaded meanwhile: this is for describing
// it, not for work.
func (r *Registry) Loaded() *Deployment {
	r.mu.Lock()
	defer r.mu.Unlock()
	var any *Deployment
	for _, e := range r.models {
		if e.state != StateLoaded {
			continue
		}
		if e.source.ID == r.main {
			return e.m
		}
		any = e.m
	}
	return any
}

// Resident returns all loaded models, as Loaded returns one: the first loaded first.
func (r *Registry) Resident() (all []*Deployment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.models {
		if e.state == StateLoaded {
			all = append(all, e.m)
		}
	}
	return all
}

// engines returns the engines of all loaded models.
func (r *Registry) engines() (all []*engine.Engine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.models {
		if e.state == StateLoaded {
			all = append(all, e.m.Engine)
		}
	}
	return all
}

// Places is how many requests can run at once, in the batches of all loaded models.
func (r *Registry) Places() (n int) {
	for _, e := range r.engines() {
		n += e.Config().MaxBatch
	}
	return n
}

// Drain waits until all requests of all models have ended. If ctx ends first they
// are aborted and its error is returned.
func (r *Registry) Drain(ctx context.Context) error {
	engines := r.engines()
	errs := make([]error, len(engines))
	var wait sync.WaitGroup
	for i, e := range engines {
		wait.Go(func() { errs[i] = e.Drain(ctx) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the same for all: that of ctx
		}
	}
	return nil
}

// Ready returns nil if the server takes new work, or why it does not.
func (r *Registry) Ready() *Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.taking(); err != nil {
		return err
	}
	if e := r.resident(r.main); e != nil && e.state == StateLoaded {
		return e.takes()
	}
	return nil // a request will load it
}

// taking returns why nothing is taken at present, if that is so.
func (r *Registry) taking() *Error {
	switch {
	case closed(r.drained()):
		return shuttingDown()
	case r.main == "":
		return Loading()
	}
	return nil
}

// takes returns why the engine takes nothing at present, if that is so. A full
// queue is for each request to find out: it may have room at once.
func (e *entry) takes() *Error {
	if err := e.m.Engine.Room(); err != nil && !errors.Is(err, engine.ErrQueueFull) {
		return FromEngine(err)
	}
	return nil
}

// Acquire returns the model that a request names, for new work; it loads it where
// that is necessary and allowed. Whoever has a lease must Release it.
func (r *Registry) Acquire(ctx context.Context, name string) (*Lease, *Error) {
	return r.acquire(ctx, name, r.OnDemand, pulse{})
}

// acquire waits for a model to be loaded, or until ctx ends. load says whether it
// may be loaded for this.
func (r *Registry) acquire(ctx context.Context, name string, load bool, p pulse) (*Lease, *Error) {
	if err := ctx.Err(); err != nil {
		return nil, FromEngine(err)
	}
	start := time.Now()
	for {
		l, wait, err := r.try(name, load)
		if err != nil {
			return nil, err
		}
		if wait == nil {
			return l, nil
		}
		if err := r.await(ctx, wait, p); err != nil {
			l.Release()
			return nil, err
		}
		if l.entry == nil {
			continue // the model has just been unloaded: it is loaded anew
		}
		if err := l.arrived(); err != nil {
			l.Release()
			return nil, err
		}
		l.Waited = time.Since(start)
		return l, nil
	}
}

// try takes a lease. If wait is not nil, the caller has to wait for it first: the
// model is being loaded and stays for the lease's sake; or it is being unloaded,
// and the lease is one on nothing.
func (r *Registry) try(name string, load bool) (l *Lease, wait <-chan struct{}, err *Error) {
	var sources []Source
	if !r.has(name) {
		sources = r.sources() // without the lock: it may have to read folders
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.taking(); err != nil {
		return nil, nil, err
	}
	e, err := r.find(name, load, sources)
	if err != nil {
		return nil, nil, err
	}
	if e.state == StateUnloading {
		return &Lease{registry: r}, e.done, nil
	}
	if e.state == StateLoaded {
		if err := e.takes(); err != nil {
			return nil, nil, err
		}
	} else {
		wait = e.done
	}
	r.leases++
	e.leases++
	e.stopTimer()
	l = &Lease{Deployment: e.m, Name: name, registry: r, entry: e}
	if name == "" {
		l.Name = e.source.ID
	}
	return l, wait, nil
}

// pulse is what whoever waits does meanwhile: beat, once in a while.
type pulse struct {
	every time.Duration // 0: never
	beat  func() *Error // an error ends the wait
}

// await waits for a load or an unloading to end.
func (r *Registry) await(ctx context.Context, done <-chan struct{}, p pulse) *Error {
	r.mu.Lock()
	drained := r.drained()
	r.mu.Unlock()
	var beats <-chan time.Time
	if p.every > 0 {
		ticker := time.NewTicker(p.every)
		defer ticker.Stop()
		beats = ticker.C
	}
	for {
		select {
		case <-done:
			return nil
		case <-drained:
			return shuttingDown()
		case <-ctx.Done():
			return FromEngine(ctx.Err())
		case <-beats:
			if err := p.beat(); err != nil {
				return err
			}
		}
	}
}

// arrived completes a lease that has waited for its model.
func (l *Lease) arrived() *Error {
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.entry.err != nil {
		return l.entry.err
	}
	if closed(r.drained()) {
		return shuttingDown() // also if await saw the end of the load first
	}
	l.Deployment = l.entry.m
	return l.entry.takes()
}

// has reports whether a model is in memory, or nothing can be loaded yet.
func (r *Registry) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taking() != nil || r.resident(r.called(name)) != nil
}

// called is what a client means that names no model.
func (r *Registry) called(name string) string {
	if name == "" {
		return r.main
	}
	return name
}

// find returns the model that a name stands for. One that is not in memory, but
// among the sources, begins to load if load allows it.
func (r *Registry) find(name string, load bool, sources []Source) (*entry, *Error) {
	name = r.called(name)
	if e := r.resident(name); e != nil {
		return e, nil
	}
	i := slices.IndexFunc(sources, func(s Source) bool { return s.Named(name) })
	switch {
	case i < 0:
		return nil, NoModel(name, r.names(sources, load))
	case !load:
		return nil, notLoaded(name, "requests load no models here")
	}
	if e := r.resident(sources[i].ID); e != nil {
		return e, nil // under a name that it did not have when it was loaded
	}
	if err := r.failed(&sources[i]); err != nil {
		return nil, err
	}
	return r.begin(sources[i]), nil
}

// resident is the model in memory that a name stands for, or nil.
func (r *Registry) resident(name string) *entry {
	for _, e := range r.models {
		if e.source.Named(name) {
			return e
		}
	}
	return nil
}

func (r *Registry) sources() []Source {
	if r.List == nil {
		return nil
	}
	return r.List()
}

// names are those that a client may choose from: of all models, or if none can be
// loaded, of those that are.
func (r *Registry) names(sources []Source, load bool) (all []string) {
	for _, e := range r.models {
		all = append(all, e.source.Names()...)
	}
	for _, s := range sources {
		if load && !slices.Contains(all, s.ID) {
			all = append(all, s.ID)
		}
	}
	return all
}

// KeepFor says how long the model stays after its last lease: 0 not at all, a
// negative time for ever. It has no effect on a model that is pinned.
func (l *Lease) KeepFor(d time.Duration) {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	l.entry.keep = d
}

// Release ends the hold.
func (l *Lease) Release() {
	if l.entry == nil {
		return
	}
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.entry.leases--; l.entry.leases == 0 && l.entry.state == StateLoaded {
		r.rest(l.entry)
	}
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
