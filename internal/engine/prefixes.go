package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/prefixstore"
	"github.com/penstock-llm/penstock/internal/sched"
)

// prefixes keeps the content of the cache's blocks in a folder, and brings it back.
//
// The loop copies a block that has become full into an empty buffer, if there is one; a
// goroutine of its own writes it. So the loop never waits for the disk, and where the
// disk is slow blocks are left out.
//
// Whoever submits a prompt looks for its blocks in the folder, has the loop set places
// aside for those that the cache lacks, reads them into these places, and has the loop
// make them findable; then the prompt is an ordinary prefix hit. Meanwhile the loop goes
// on. One fetch is under way at a time.
type prefixes struct {
	model *prefixstore.Model
	x     copier
	fail  func(error)

	// The loop's own.
	keys []prefixstore.Key          // [blocks] of the content with the identity in ids
	ids  []uint64                   // [blocks] 0: the block's key is not known
	at   map[prefixstore.Key]uint64 // identity by key, of those
	away int                        // fetches that have places

	changes sched.Contents // what the cache finds, as far as keep has seen
	kept    uint64         // turnover that changes are of
	next    int            // the first of the changes that keep has not dealt with

	asks  chan *fetch    // to the loop: for places, and when they are filled
	turn  chan struct{}  // whoever fetches holds it
	empty chan *keepsake // buffers
	full  chan *keepsake
	ended chan struct{} // closed when the writer has
}

// copier is an Executor with blocks whose content can be copied.
type copier interface {
	BlockBytes(g batch.Group) int
	Copy(dst []byte, g batch.Group, block int32)
	Paste(g batch.Group, block int32, src []byte)
}

// keepsake is a block's content on its way to the folder or from it.
type keepsake struct {
	key    prefixstore.Key
	block  prefixstore.Block
	window []byte // memory of block.Window
}

const (
	keepsakes  = 2               // buffers of the writer
	lastWrites = 5 * time.Second // for what is not written yet when the engine closes
	warmed     = 32              // blocks that a new engine fetches at once
)

// newPrefixes returns nil where the configuration names no folder.
func newPrefixes(e *Engine) *prefixes {
	m := e.cfg.Prefixes
	x, ok := e.x.(copier)
	if m == nil || !ok || !e.cfg.PrefixCache {
		return nil
	}
	p := &prefixes{
		model: m, x: x, fail: e.cfg.OnPrefixError,
		asks: make(chan *fetch, 1), turn: make(chan struct{}, 1),
		empty: make(chan *keepsake, keepsakes), full: make(chan *keepsake, keepsakes), ended: make(chan struct{}),
	}
	for range keepsakes {
		p.empty <- p.keepsake()
	}
	p.changes.Fit(e.cfg.Blocks, e.cfg.BlockTokens)
	p.forget(e.cfg.Blocks)
	return p
}

func (p *prefixes) keepsake() *keepsake {
	k := &keepsake{window: make([]byte, p.x.BlockBytes(batch.Window))}
	k.block.Full = make([]byte, p.x.BlockBytes(batch.Full))
	k.block.Tokens = make([]int32, 0, batch.BlockTokens)
	return k
}

// forget makes the keys of all blocks unknown, for a scheduler that is empty.
func (p *prefixes) forget(blocks int) {
	p.keys, p.ids = make([]prefixstore.Key, blocks), make([]uint64, blocks)
	p.at = make(map[prefixstore.Key]uint64, blocks)
	p.changes.Forget()
	p.kept, p.next = 0, 0
}

// keyOf is the key of the content with an identity, if that is known.
func (e *Engine) keyOf(identity uint64) (key prefixstore.Key, ok bool) {
	if identity == 0 {
		return e.prefixes.model.Root(), true
	}
	at, ok := e.sched.Find(identity)
	if !ok || e.prefixes.ids[at.Block] != identity {
		return key, false
	}
	return e.prefixes.keys[at.Block], true
}

// identityOf is the reverse of keyOf.
func (e *Engine) identityOf(key prefixstore.Key) (identity uint64, ok bool) {
	if key == e.prefixes.model.Root() {
		return 0, true
	}
	identity, ok = e.prefixes.at[key]
	if ok {
		_, ok = e.sched.Find(identity)
	}
	return identity, ok
}

// noteKey remembers the key of the content with an identity.
func (e *Engine) noteKey(identity uint64, key prefixstore.Key) {
	p := e.prefixes
	at, ok := e.sched.Find(identity)
	if !ok {
		return
	}
	id, k := &p.ids[at.Block], &p.keys[at.Block]
	if *id != 0 && p.at[*k] == *id {
		delete(p.at, *k)
	}
	*id, *k, p.at[key] = identity, key, identity
}

// keep hands blocks that have become full to the writer, as far as it has empty buffers.
func (e *Engine) keep() {
	p := e.prefixes
	if p == nil {
		return
	}
	for len(p.empty) > 0 {
		b := e.nextFilled()
		if b == nil {
			return
		}
		at, ok := e.sched.Find(b.Is)
		parent, known := e.keyOf(b.Parent)
		if !ok || !known || p.ids[at.Block] == b.Is {
			continue // it is gone; without what came before it, it could not be found again; it is from the folder
		}
		k := <-p.empty
		k.key, k.block.Parent, k.block.Tokens = parent.Next(b.Tokens), parent, append(k.block.Tokens[:0], b.Tokens...)
		e.noteKey(b.Is, k.key)
		p.x.Copy(k.block.Full, batch.Full, at.Block)
		if k.block.Window = k.window[:0]; at.Window >= 0 {
			k.block.Window = k.window
			p.x.Copy(k.window, batch.Window, at.Window)
		}
		p.full <- k
	}
}

// nextFilled is the next content that the cache has begun to find, parents before what
// comes after them, or nil: keep has seen all.
func (e *Engine) nextFilled() *sched.Change {
	p := e.prefixes
	for {
		for ; p.next < len(p.changes.Changes); p.next++ {
			if c := &p.changes.Changes[p.next]; c.Is != 0 {
				p.next++
				return c
			}
		}
		if turnover := e.sched.Turnover(); turnover != p.kept {
			p.kept, p.next = turnover, 0
			e.sched.Observe(&p.changes)
			slices.SortFunc(p.changes.Changes, func(a, b sched.Change) int { return cmp.Compare(a.Is, b.Is) }) // identities grow with time
			continue
		}
		return nil
	}
}

// keepLast writes what is left when the engine closes, and ends the writer.
func (e *Engine) keepLast() {
	p := e.prefixes
	if p == nil {
		return
	}
	for end := time.Now().Add(lastWrites); time.Now().Before(end); {
		k := <-p.empty // the writer is done with it
		p.empty <- k
		if e.keep(); len(p.empty) > 0 {
			break
		}
	}
	close(p.full)
	<-p.ended
}

// writeKept writes what the loop hands over, until the engine closes.
func (e *Engine) writeKept() {
	p := e.prefixes
	defer close(p.ended)
	for k := range p.full {
		if err := p.model.Write(k.key, &k.block); err != nil && p.fail != nil {
			p.fail(err)
		}
		p.empty <- k
		e.rouse()
	}
}

// fetch is blocks on their way from the folder into the cache.
type fetch struct {
	keys    []prefixstore.Key // of the blocks, each behind the one that it follows; the loop strikes those that the cache has
	windows int               // so many of the last are wanted with the layers with a window
	evict   bool              // cached blocks may go for them
	places  []sched.Place     // for the first of them
	read    []arrival         // what is in the first places
	filled  bool
	done    chan struct{} // a token when the loop has done its part
}

// arrival is what was read into a place.
type arrival struct {
	key, parent prefixstore.Key
	tokens      []int32
	window      bool // also what the layers with a window have
}

// restore brings blocks into the cache, and returns when they can be found, or when it
// is clear that they cannot be had.
func (e *Engine) restore(ctx context.Context, f *fetch) {
	p := e.prefixes
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-e.done:
		return
	case <-ctx.Done():
		return
	}
	f.done = make(chan struct{}, 1)
	if !e.hand(f) || len(f.places) == 0 {
		return
	}
	k := p.keepsake()
	for i, place := range f.places {
		k.block.Window = k.window
		if ctx.Err() != nil || e.closed.Load() || p.model.Read(f.keys[i], &k.block) != nil {
			break
		}
		p.x.Paste(batch.Full, place.Block, k.block.Full)
		if len(k.block.Window) > 0 && place.Window >= 0 {
			p.x.Paste(batch.Window, place.Window, k.block.Window)
		}
		f.read = append(f.read, arrival{f.keys[i], k.block.Parent, slices.Clone(k.block.Tokens), len(k.block.Window) > 0})
	}
	f.filled = true
	e.hand(f)
}

// hand has the loop do its part of a fetch, and reports whether it did. The loop does not end while
// places are away.
func (e *Engine) hand(f *fetch) bool {
	select {
	case e.prefixes.asks <- f:
	case <-e.done:
		return false
	}
	e.rouse()
	select {
	case <-f.done:
		return true
	case <-e.done:
		return false
	}
}

// answerFetches does the loop's part of fetches.
func (e *Engine) answerFetches() {
	for p := e.prefixes; p != nil && len(p.asks) > 0; {
		e.answerFetch(<-p.asks)
	}
}

func (e *Engine) answerFetch(f *fetch) {
	defer signal(f.done)
	switch {
	case f.filled:
		e.adopt(f)
	case !e.closed.Load():
		f.keys = e.lacking(f)
		if f.places = e.sched.SetAside(len(f.keys), f.windows, f.evict); len(f.places) > 0 {
			e.prefixes.away++
		}
	}
}

// lacking are the blocks of a fetch that the cache does not have, or of which it lacks
// what is wanted of the layers with a window.
func (e *Engine) lacking(f *fetch) (keys []prefixstore.Key) {
	for i, k := range f.keys {
		id, known := e.identityOf(k)
		if known && i >= len(f.keys)-f.windows {
			at, _ := e.sched.Find(id)
			known = at.Window >= 0
		}
		if !known {
			keys = append(keys, k)
		}
	}
	return keys
}

// adopt makes the blocks that were read findable, and gives the other places back.
func (e *Engine) adopt(f *fetch) {
	e.prefixes.away--
	for i, place := range f.places {
		if i >= len(f.read) {
			e.sched.Return(place)
			continue
		}
		r := &f.read[i]
		parent, ok := e.identityOf(r.parent)
		if !ok {
			e.sched.Return(place)
			continue
		}
		if id := e.sched.Adopt(place, parent, r.tokens, r.window); id != 0 {
			e.noteKey(id, r.key)
		}
	}
	e.stats.publish(e)
}

// settleFetches waits until no places are away: afterwards nobody but the loop writes
// the cache.
func (e *Engine) settleFetches() {
	for p := e.prefixes; p != nil && p.away > 0; {
		e.answerFetch(<-p.asks)
	}
}

// fetchFor brings the stored beginning of a request's prompt into the cache.
func (e *Engine) fetchFor(ctx context.Context, r *Request) {
	p := e.prefixes
	if p == nil || r.NoPrefix || r.Salt != "" || r.EchoLogprobs {
		return
	}
	keys := p.model.Root().Keys(r.Prompt[:len(r.Prompt)-1]) // the last token is computed in any case
	if n := p.model.Stored(keys); n > 0 {
		e.restore(ctx, &fetch{keys: keys[:n], windows: e.windowsOf(n), evict: true})
	}
}

// windowsOf is how many of n blocks are wanted with the layers with a window: those that
// the row behind them sees into.
func (e *Engine) windowsOf(n int) int {
	if e.cfg.Window == 0 {
		return 0
	}
	return min(n, sched.WindowBlocks(e.cfg.Window, e.cfg.BlockTokens))
}

// warm fills half of a new engine's cache with what was used last before it started, so
// that even the first request need not wait for the disk.
func (e *Engine) warm() {
	p := e.prefixes
	keys := p.model.Recent(e.cfg.Blocks / 2)
	for len(keys) > 0 && !e.closed.Load() {
		n := min(warmed, len(keys))
		e.restore(context.Background(), &fetch{keys: slices.Clone(keys[:n]), windows: e.windowsOf(n)})
		keys = keys[n:]
	}
}
