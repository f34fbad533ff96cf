package sched

import "slices"

// Place is a block for content that comes from elsewhere than a step, with that of the
// layers with a window.
type Place struct{ Block, Window int32 } // Window: -1, there is none

// SetAside sets up to n blocks aside, which Adopt or Return gives back one by one. Of the
// last of them, windows have a block for the layers with a window, too. Cached blocks go
// for them only if evict is set. It takes nothing that a running sequence is
// promised, and leaves enough for a sequence as long as the context.
func (s *Scheduler) SetAside(n, windows int, evict bool) []Place {
	n = min(n, s.spare(evict))
	places := make([]Place, 0, max(n, 0))
	prev, prevWindow := int32(none), int32(none)
	for i := range n {
		p := Place{Block: s.blocks.alloc(prev, n-i), Window: none}
		if s.windows != nil && n-i <= windows && s.spareWindow() {
			p.Window = s.windows.alloc(prevWindow, n-i)
			prevWindow = p.Window
		}
		prev = p.Block
		places = append(places, p)
	}
	s.reserved = append(s.reserved, places...)
	return places
}

// spare is the number of blocks that SetAside may take.
func (s *Scheduler) spare(evict bool) int {
	free := s.blocks.nclean
	if evict {
		free = s.blocks.free()
	}
	for _, r := range s.running {
		free -= max(0, s.promised(r)-len(r.blocks))
	}
	return min(free, s.blocks.total()-len(s.reserved)-s.blocksFor(s.cfg.Context))
}

// spareWindow reports whether SetAside may take a block of the layers with a window.
func (s *Scheduler) spareWindow() bool {
	w, free := s.windows, s.windows.free()
	for _, r := range s.running {
		free -= max(0, w.most(s.promised(r))-(len(r.windows)-r.passed))
	}
	return free > w.most(s.blocksFor(s.cfg.Context))
}

// Adopt makes the content that was put into a place findable: a block of tokens after
// the content with the identity of parent, or at the beginning of a prompt if that is 0.
// It returns the identity of the content from now on; 0: the parent is gone meanwhile,
// and the place is given back. If the cache has the same content already, that stays.
// Without window there is nothing in the place's block of the layers with a window.
func (s *Scheduler) Adopt(p Place, parent uint64, tokens []int32, window bool) (identity uint64) {
	if before, ok := s.blocks.hashOf(parent); ok {
		found := s.blocks.index(p.Block, parent, chainHash(before, tokens), tokens)
		if p.Window != none && window {
			s.windows.attach(p.Window, found)
		}
		identity = s.blocks.id[found]
	}
	s.Return(p)
	return identity
}

// Return gives a place back. What Adopt has not made findable is lost.
func (s *Scheduler) Return(p Place) {
	i := slices.Index(s.reserved, p)
	s.reserved = slices.Delete(s.reserved, i, i+1)
	s.blocks.release(p.Block)
	if p.Window != none {
		s.windows.release(p.Window)
	}
}

// Find is where the content with an identity is, if it still is there.
func (s *Scheduler) Find(identity uint64) (at Place, ok bool) {
	if identity == 0 || identity&salted != 0 {
		return Place{Block: none, Window: none}, false
	}
	at = Place{Block: s.blocks.blockOf(identity), Window: none}
	if s.blocks.id[at.Block] != identity {
		return at, false
	}
	if s.windows != nil {
		at.Window = s.windows.of[at.Block]
	}
	return at, true
}
