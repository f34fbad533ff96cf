package kvcache

import (
	"errors"

	"github.com/penstock-llm/penstock/internal/batch"
)

// Room says how much a store has of each kind.
type Room struct {
	Blocks  int // of the layers that see all positions
	Windows int // blocks of the layers with a window; 0: as many as Blocks
}

// Store is all that a model keeps of its sequences from one step to the next: a cache
// for each group of layers, whose blocks have ids of their own.
type Store struct {
	caches [batch.Groups]*Cache // nil: there is no such layer
}

// NewStore maps a store. Of the groups' shapes, those without layers have no cache; the
// numbers of blocks are those of room.
func NewStore(groups [batch.Groups]Config, room Room) (*Store, error) {
	if room.Windows == 0 {
		room.Windows = room.Blocks
	}
	s := &Store{}
	for g, blocks := range [batch.Groups]int{batch.Full: room.Blocks, batch.Window: room.Windows} {
		c := groups[g]
		if c.Layers == 0 {
			continue
		}
		c.Blocks = blocks
		cache, err := newCache(c)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.caches[g] = cache
	}
	return s, nil
}

// Cache is the cache of a group of layers; nil: there are none.
func (s *Store) Cache(g batch.Group) *Cache { return s.caches[g] }

// Bytes is the size of the whole store.
func (s *Store) Bytes() (n int) {
	for _, c := range s.caches {
		if c != nil {
			n += c.Bytes()
		}
	}
	return n
}

// Saved is how much more the store would take if layers with a window kept as many
// blocks as the others.
func (s *Store) Saved() int {
	full, window := s.caches[batch.Full], s.caches[batch.Window]
	if full == nil || window == nil {
		return 0
	}
	return (full.config.Blocks - window.config.Blocks) * (window.Bytes() / window.config.Blocks)
}

// Prepare has the system provide the next piece of the memory that the blocks below
// those of room need, as Cache.Prepare does, and reports whether there is more to do.
func (s *Store) Prepare(room Room) (more bool) {
	for g, n := range [batch.Groups]int{batch.Full: room.Blocks, batch.Window: room.Windows} {
		if c := s.caches[g]; c != nil && n > 0 && c.Prepare(n) {
			return true
		}
	}
	return false
}

// Close gives the memory back; a second Close does nothing.
func (s *Store) Close() error {
	var errs []error
	for _, c := range s.caches {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
