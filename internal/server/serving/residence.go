package serving

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

// State is where a model is in its life.
type State string

// The states, by the names that llama-server's router gives them.
const (
	StateUnloaded  State = "unloaded"
	StateLoading   State = "loading" // or until others have made room for it
	StateLoaded    State = "loaded"
	StateUnloading State = "unloading"
)

// entry is a model in memory, or on its way into or out of it. The registry's lock
// guards it.
type entry struct {
	source Source
	state  State
	m      *Deployment   // once it is loaded, until it is unloaded
	memory Memory        // that it takes, or has been promised
	leases int           // requests that use it, or wait for it
	pinned bool          // it does not go by itself
	keep   time.Duration // how long it stays without leases; negative: for ever
	since  time.Time     // when it was loaded, or the last lease ended
	timer  *time.Timer   // ends its time without leases
	done   chan struct{} // closed when loading or unloading has ended
	err    *Error        // of loading
}

// begin makes a source an entry, and loads it.
func (r *Registry) begin(s Source) *entry {
	e := &entry{source: s, state: StateLoading, pinned: s.Pinned, keep: r.KeepAlive, since: time.Now(), done: make(chan struct{})}
	if s.KeepAlive != nil {
		e.keep = *s.KeepAlive
	}
	r.models = append(r.models, e)
	go r.load(e)
	return e
}

// load looks into a model's file, makes room and loads it.
func (r *Registry) load(e *entry) {
	start := time.Now()
	d, err := r.bring(e)
	r.mu.Lock()
	if err != nil {
		e.err = err
		r.drop(e)
		r.fails(e)
	} else {
		d.Loaded = time.Since(start)
		e.state, e.m, e.memory, e.since = StateLoaded, d, d.Memory, time.Now()
		delete(r.failures, e.source.ID)
		r.books.loaded(e.source.ID, d.Loaded)
	}
	close(e.done)
	if err == nil && e.leases == 0 {
		r.rest(e) // all who waited for it have gone
	}
	free := r.free()
	r.mu.Unlock()
	if err == nil {
		r.log(slog.LevelInfo, "a model was loaded", e, "seconds", d.Loaded.Seconds(), "bytes", d.Memory.Total())
	} else {
		r.log(slog.LevelWarn, "a model was not loaded", e, "error", err.Message)
	}
	r.changed(free)
}

// bring does the work of load. A panic, such as a file that is cut while it is read
// may cause, becomes an error.
func (r *Registry) bring(e *entry) (d *Deployment, failed *Error) {
	defer func() {
		if v := recover(); v != nil {
			failed = loadFailed(e.source.ID, fmt.Errorf("panic: %v", v))
		}
	}()
	opened, err := r.Open(e.source)
	if err != nil {
		return nil, loadFailed(e.source.ID, err)
	}
	loading := false
	defer func() {
		if !loading {
			opened.Close()
		}
	}()
	limit, failed := r.makeRoom(e, opened)
	if failed != nil {
		return nil, failed
	}
	loading = true
	if d, err = opened.Load(limit); err != nil {
		return nil, loadFailed(e.source.ID, err)
	}
	return d, nil
}

// drop forgets a model that is no longer in memory.
func (r *Registry) drop(e *entry) {
	e.state, e.memory = StateUnloaded, Memory{}
	r.models = slices.DeleteFunc(r.models, func(other *entry) bool { return other == e })
}

// rest begins a model's time without leases.
func (r *Registry) rest(e *entry) {
	e.since = time.Now()
	e.stopTimer()
	switch {
	case e.pinned || e.keep < 0:
	case e.keep == 0:
		r.unload(e)
	default:
		e.timer = time.AfterFunc(e.keep, func() { r.expire(e) })
	}
}

func (e *entry) stopTimer() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// expires is when a model goes if nobody asks for it; zero: never.
func (e *entry) expires() time.Time {
	switch {
	case e.pinned || e.keep < 0:
		return time.Time{}
	case e.leases > 0:
		return time.Now().Add(e.keep)
	}
	return e.since.Add(e.keep)
}

// expire unloads a model whose time is over.
func (r *Registry) expire(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The timer may have fired while a request came, or at the end of an earlier rest.
	if e.state == StateLoaded && e.leases == 0 && time.Since(e.since) >= e.keep {
		r.unload(e)
	}
}

// unload frees a model that nobody uses.
func (r *Registry) unload(e *entry) {
	e.stopTimer()
	e.state, e.done = StateUnloading, make(chan struct{})
	go func() {
		if e.m.Close != nil {
			if err := e.m.Close(); err != nil {
				r.log(slog.LevelError, "a model was not unloaded in good order", e, "error", err)
			}
		}
		r.mu.Lock()
		r.books.keep(e.m)
		r.drop(e)
		close(e.done)
		free := r.free()
		r.mu.Unlock()
		r.log(slog.LevelInfo, "a model was unloaded", e)
		r.changed(free)
	}()
}

func (r *Registry) changed(free uint64) {
	if r.Changed != nil {
		r.Changed(free)
	}
}

func (r *Registry) log(level slog.Level, message string, e *entry, more ...any) {
	if r.Log != nil {
		r.Log.Log(context.Background(), level, message, append([]any{"id", e.source.ID}, more...)...)
	}
}

// Load loads a model for no request. It waits until it is there.
func (r *Registry) Load(ctx context.Context, name string) *Error {
	l, err := r.acquire(ctx, name, true, pulse{})
	if err == nil {
		l.Release()
	}
	return err
}

// Unload has a model go when nobody uses it, pinned or not. It waits until it has
// gone, unless requests use it: then it goes when they have ended, and the
// answer is false.
func (r *Registry) Unload(ctx context.Context, name string) (gone bool, err *Error) {
	done, err := r.dismiss(name, true)
	if err != nil || done == nil {
		return false, err
	}
	return true, r.await(ctx, done, pulse{})
}

// Expire has a model go when nobody uses it, as Unload does, for a client that asks
// for it: a model that is pinned stays, and the client is told.
func (r *Registry) Expire(ctx context.Context, name string) (gone bool, err *Error) {
	done, err := r.dismiss(name, false)
	if err != nil || done == nil {
		return false, err
	}
	return true, r.await(ctx, done, pulse{})
}

// dismiss has a model go, and returns what tells that it has, if it goes now.
// pinned says whether it goes even if it is pinned.
func (r *Registry) dismiss(name string, pinned bool) (done <-chan struct{}, err *Error) {
	sources := r.sources()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.taking(); err != nil {
		return nil, err
	}
	e := r.resident(r.called(name))
	if e == nil {
		if !slices.ContainsFunc(sources, func(s Source) bool { return s.Named(name) }) {
			return nil, NoModel(name, r.names(sources, true))
		}
		return nil, &Error{Status: http.StatusConflict, Type: invalidRequest, Code: NotLoaded, Message: Clip(name) + " is not loaded"}
	}
	if e.pinned && !pinned {
		return nil, &Error{Status: http.StatusConflict, Type: invalidRequest, Code: "model_pinned",
			Message: Clip(name) + " stays loaded: it is pinned, or the server was started with it; `penstock stop` or POST /models/unload unloads it all the same"}
	}
	e.pinned, e.keep = false, 0
	if e.state == StateLoaded && e.leases == 0 {
		r.unload(e)
	}
	if e.state == StateUnloading {
		return e.done, nil
	}
	return nil, nil
}

// Close unloads all models, whoever uses them. Those that are being loaded are
// waited for until ctx ends.
func (r *Registry) Close(ctx context.Context) error {
	r.StartDraining()
	for {
		r.mu.Lock()
		var wait sync.WaitGroup
		pending := make(chan struct{})
		for _, e := range r.models {
			if e.state == StateLoaded {
				r.unload(e)
			}
			done := e.done // unloading gives the entry another
			wait.Go(func() { <-done })
		}
		left := len(r.models)
		r.mu.Unlock()
		if left == 0 {
			return nil
		}
		go func() {
			wait.Wait()
			close(pending)
		}()
		select {
		case <-pending:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// failure is what is remembered of a model that could not be loaded.
type failure struct {
	times    int
	until    time.Time // it is not tried again before
	err      *Error
	modified time.Time // of the file
	size     int64
}

// The pauses between two tries to load a model: each is twice as long as the last.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// fails remembers that a model could not be loaded. That there was no memory for it
// is another matter: it may change with every request that ends.
func (r *Registry) fails(e *entry) {
	if e.err.Code != loadFailedCode {
		return
	}
	f := r.failures[e.source.ID]
	if f == nil {
		f = &failure{}
		if r.failures == nil {
			r.failures = map[string]*failure{}
		}
		r.failures[e.source.ID] = f
	}
	pause := min(firstPause<<min(f.times, 16), lastPause)
	f.times++
	f.until, f.err, f.modified, f.size = time.Now().Add(pause), e.err, e.source.Modified, e.source.Size
	e.err.RetryAfter = seconds(pause)
	r.books.failed(e.source.ID)
}

// failed is why a model is not tried at present, if that is so. A file that has
// changed since is tried at once.
func (r *Registry) failed(s *Source) *Error {
	f := r.failures[s.ID]
	if f == nil || !f.modified.Equal(s.Modified) || f.size != s.Size {
		return nil
	}
	left := time.Until(f.until)
	if left <= 0 {
		return nil
	}
	again := *f.err
	again.RetryAfter = seconds(left)
	again.Cause = nil // it is in the log already
	return &again
}

// seconds is a time for Retry-After: whole seconds, at least one.
func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

const loadFailedCode = "model_load_failed"

// loadFailed is a 503: the model's file could not be loaded.
func loadFailed(id string, cause error) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Code: loadFailedCode, Cause: cause,
		Message: fmt.Sprintf("the model %q could not be loaded: %s", Clip(id), Clip(cause.Error()))}
}

// NotLoaded is the code of errors about a model that is known, but not loaded.
const NotLoaded = "model_not_loaded"

// notLoaded is a 503 for a model that is not in memory; why says why this request
// does not load it.
func notLoaded(name, why string) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Code: NotLoaded, Final: true,
		Message: fmt.Sprintf("the model %q is not loaded, and %s: POST /models/load does", Clip(name), why)}
}
