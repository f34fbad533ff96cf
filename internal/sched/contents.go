package sched

import "slices"

// Contents is a copy of which contents the prefix cache finds, brought up to date from
// time to time. Between two times only the differences count: a block that was filled
// and lost again meanwhile is in neither.
type Contents struct {
	Changes []Change // since the last time, in no order

	seen   []uint64 // [blocks] identities; 0: nothing that is found
	tokens []int32  // [blocks*size] of the changes
}

// Change is a block that holds something else than before. Every content has an
// identity of its own, also if it was in the cache before and was lost.
type Change struct {
	Was, Is uint64  // identities; 0: nothing that is found
	Parent  uint64  // identity of the content before that of Is; 0: it begins a prompt. One that was never told of is the root of a salt
	Tokens  []int32 // of Is
}

// Fit makes room for a cache of so many blocks, so that Observe need not. It keeps
// what is there if the cache is as large as before.
func (c *Contents) Fit(blocks, size int) {
	if len(c.seen) == blocks && len(c.tokens) == blocks*size {
		return
	}
	*c = Contents{Changes: make([]Change, 0, blocks), seen: make([]uint64, blocks), tokens: make([]int32, blocks*size)}
}

// Forget makes the copy that of an empty cache, with identities that begin anew.
func (c *Contents) Forget() {
	clear(c.seen)
	c.Changes = c.Changes[:0]
}

// Empty reports whether the cache finds nothing.
func (c *Contents) Empty() bool {
	return !slices.ContainsFunc(c.seen, func(id uint64) bool { return id != 0 })
}

// Observe brings a copy up to date, for which Fit has made room. It must not be called
// while a plan is being run.
func (s *Scheduler) Observe(c *Contents) {
	b := s.blocks
	c.Changes = c.Changes[:0]
	for i, id := range b.id {
		if id == c.seen[i] {
			continue
		}
		change := Change{Was: c.seen[i], Is: id}
		if id != 0 {
			change.Parent, change.Tokens = b.parent[i], c.tokens[i*b.size:(i+1)*b.size]
			copy(change.Tokens, b.content(int32(i)))
		}
		c.Changes = append(c.Changes, change)
		c.seen[i] = id
	}
}

// Turnover counts the contents that the prefix cache has begun to find and those that
// it has lost: while it stays the same, Observe finds no changes.
func (s *Scheduler) Turnover() uint64 { return s.blocks.lastID + s.blocks.forgotten }
