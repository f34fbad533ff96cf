package serving

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// makeRoom shares out the memory for a model before any of it is taken, and has
// idle models go that are in its way. It returns the limit that the model is loaded
// with.
func (r *Registry) makeRoom(e *entry, o *Opened) (limit uint64, failed *Error) {
	r.planning.Lock() // what this model is promised, the next must know of
	defer r.planning.Unlock()
	for {
		r.mu.Lock()
		leaving, idle := r.spare(e)
		sizes := make([]uint64, len(idle))
		for i, other := range idle {
			sizes[i] = other.memory.Total()
		}
		taken := r.taken()
		r.mu.Unlock()
		c, err := choose(r.Budget, taken, sizes, o.Plan)
		if err != nil {
			return 0, loadFailed(e.source.ID, err)
		}
		if !c.fits {
			if len(leaving) > 0 { // more room comes in any case
				<-leaving[0].done
				continue
			}
			return 0, r.noRoom(e, &c)
		}
		if gone, ok := r.evict(e, idle[:c.evicted], taken, &c); ok {
			for _, v := range gone {
				<-v.done
			}
			return c.limit, nil
		}
	}
}

// spare are the models that are being unloaded, and those that may be: nobody uses
// them, and they are not pinned. The one that was used least recently comes first.
func (r *Registry) spare(but *entry) (leaving, idle []*entry) {
	for _, e := range r.models {
		switch {
		case e == but:
		case e.state == StateUnloading:
			leaving = append(leaving, e)
		case e.state == StateLoaded && e.leases == 0 && !e.pinned:
			idle = append(idle, e)
		}
	}
	slices.SortStableFunc(idle, func(a, b *entry) int { return a.since.Compare(b.since) })
	return leaving, idle
}

// taken is what all models take, or have been promised.
func (r *Registry) taken() (sum uint64) {
	for _, e := range r.models {
		sum += e.memory.Total()
	}
	return sum
}

// free is what the models leave of the budget, with what the process itself takes;
// 0 if there is no limit.
func (r *Registry) free() uint64 { return left(r.Budget, r.taken()) }

// left is a budget less what is taken of it. Where there is a limit it is never 0,
// which would mean that there is none.
func left(budget, taken uint64) uint64 {
	if budget == 0 {
		return 0
	}
	return max(1, budget-min(taken, budget))
}

// choice is how the memory is shared out for one more model.
type choice struct {
	evicted int // how many of the idle models go
	limit   uint64
	memory  Memory
	fits    bool
}

// choose finds out how many of the idle models, which take so much, have to go so that
// one more gets what it would get without all of them: no more than necessary.
func choose(budget, taken uint64, idle []uint64, plan func(limit uint64) (Memory, bool, error)) (c choice, err error) {
	limits := []uint64{left(budget, taken)}
	for _, size := range idle {
		taken -= size
		limits = append(limits, left(budget, taken))
	}
	c.evicted, c.limit = len(idle), limits[len(idle)]
	if c.memory, c.fits, err = plan(c.limit); err != nil || !c.fits {
		return c, err
	}
	best := c.memory.Context
	for n, limit := range limits[:len(idle)] {
		m, fits, err := plan(limit)
		if err != nil {
			return c, err
		}
		if fits && m.Context >= best {
			return choice{n, limit, m, true}, nil
		}
	}
	return c, nil
}

// evict reserves what was chosen and unloads what is in its way, unless anything
// has changed since it was chosen.
func (r *Registry) evict(e *entry, victims []*entry, taken uint64, c *choice) (gone []*entry, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken() > taken {
		return nil, false
	}
	for _, v := range victims {
		if v.state == StateLoaded && (v.leases > 0 || v.pinned) {
			return nil, false
		}
	}
	for _, v := range victims {
		if v.state == StateLoaded {
			r.unload(v)
			r.books.evicted(v.source.ID)
		}
		if v.state == StateUnloading {
			gone = append(gone, v)
		}
	}
	e.memory = c.memory
	return gone, true
}

// noRoom is a 503: there is no memory for a model. It says who has it, and what
// would fit.
func (r *Registry) noRoom(e *entry, c *choice) *Error {
	sources := r.sources()
	r.mu.Lock()
	defer r.mu.Unlock()
	var have []string
	present := map[string]bool{e.source.ID: true}
	stays := uint64(0)
	busy := false
	for _, other := range r.models {
		if other == e || other.memory.Total() == 0 {
			continue
		}
		present[other.source.ID] = true
		why := "idle"
		switch {
		case other.pinned:
			why = "pinned"
		case other.leases > 0 || other.state != StateLoaded:
			why, busy = "in use", true
		}
		if why != "idle" {
			stays += other.memory.Total()
		}
		have = append(have, fmt.Sprintf("%s (%s, %s)", other.source.ID, megabytes(other.memory.Total()), why))
	}
	text := fmt.Sprintf("there is no memory for the model %q: it takes %s and what its context needs, of %s that all models may have",
		Clip(e.source.ID), megabytes(c.memory.Weights+c.memory.Buffers+c.memory.Other), megabytes(r.Budget-min(r.Process, r.Budget)))
	if len(have) > 0 {
		text += "; loaded: " + strings.Join(have, ", ")
	}
	room := left(r.Budget, stays)
	text += "; " + fitting(sources, room-min(room, r.Process), present)
	err := &Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Code: "no_memory", Message: text, Final: !busy}
	if busy {
		err.RetryAfter = seconds(5 * time.Second)
	}
	return err
}

// fitting names the models that are not in memory and whose files are smaller than
// the room that there is or could be made. Whether one really fits, its file would
// have to be read for.
func fitting(sources []Source, room uint64, present map[string]bool) string {
	const shown = 5
	sources = slices.Clone(sources)
	slices.SortStableFunc(sources, func(a, b Source) int { return cmp.Compare(b.Size, a.Size) })
	var names []string
	for _, s := range sources {
		if more := uint64(s.Size) / 8; !present[s.ID] && s.Size > 0 && uint64(s.Size)+more <= room && len(names) < shown {
			names = append(names, s.ID)
		}
	}
	if len(names) == 0 {
		return "by the sizes of their files, no other model would fit"
	}
	return "by the sizes of their files, these may fit: " + strings.Join(names, ", ")
}

func megabytes(n uint64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
