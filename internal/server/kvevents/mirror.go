package kvevents

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sched"
)

// mirror is what subscribers have been told of an engine's prefix cache. It turns the
// differences of two moments into events.
//
// The name of a block, its hash, is made of its tokens and of the hash of the block
// before it, so that it is the same on every server. The cache may have a content
// twice for a while, of which only one can be reached; it is announced once.
type mirror struct {
	copy   engine.Contents
	hashes map[uint64]uint64 // identity -> hash
	copies map[uint64]int    // hash -> identities that have it
}

// maxBlocks is the most blocks of an event. Routers bound what they read.
const maxBlocks = 1024

// events are those that lead from what was told before to what the copy has now.
func (m *mirror) events() (all []event) {
	if m.copy.Anew || m.copy.Empty() {
		had := len(m.copies) > 0
		m.hashes, m.copies = nil, nil
		if had {
			all = append(all, event{kind: cleared})
		}
		if m.copy.Empty() {
			return all
		}
	}
	if m.hashes == nil {
		m.hashes, m.copies = map[uint64]uint64{}, map[uint64]int{}
	}
	changes := m.copy.Changes
	// A parent is older than its children, so its hash is known when theirs are made.
	slices.SortFunc(changes, func(a, b sched.Change) int { return cmp.Compare(a.Is, b.Is) })
	all = append(all, m.remove(changes)...)
	return append(all, m.add(changes)...)
}

// add takes up what is found from now on.
func (m *mirror) add(changes []sched.Change) (all []event) {
	last := uint64(0) // identity that the last event ends with
	for i := range changes {
		c := &changes[i]
		if c.Is == 0 {
			continue
		}
		parent, known := m.hashes[c.Parent]
		if c.Parent != 0 && !known {
			continue // the block before it is lost, or the prompt has a salt: nobody else can find this one
		}
		h := hash(parent, c.Tokens)
		m.hashes[c.Is] = h
		if m.copies[h]++; m.copies[h] > 1 {
			continue
		}
		if n := len(all); n > 0 && c.Parent == last && c.Parent != 0 && len(all[n-1].hashes) < maxBlocks {
			all[n-1].hashes = append(all[n-1].hashes, h)
			all[n-1].tokens = append(all[n-1].tokens, c.Tokens...)
		} else {
			all = append(all, event{kind: stored, hashes: []uint64{h}, parent: parent, tokens: slices.Clone(c.Tokens)})
		}
		last = c.Is
	}
	return all
}

// remove forgets what is no longer found.
func (m *mirror) remove(changes []sched.Change) (all []event) {
	for i := range changes {
		h, known := m.hashes[changes[i].Was]
		if changes[i].Was == 0 || !known {
			continue
		}
		delete(m.hashes, changes[i].Was)
		if m.copies[h]--; m.copies[h] > 0 {
			continue
		}
		delete(m.copies, h)
		if n := len(all); n > 0 && len(all[n-1].hashes) < maxBlocks {
			all[n-1].hashes = append(all[n-1].hashes, h)
		} else {
			all = append(all, event{kind: removed, hashes: []uint64{h}})
		}
	}
	return all
}

// hash names a block. It is never 0.
func hash(parent uint64, tokens []int32) uint64 {
	b := binary.BigEndian.AppendUint64(nil, parent)
	for _, t := range tokens {
		b = binary.BigEndian.AppendUint32(b, uint32(t))
	}
	sum := sha256.Sum256(b)
	return max(1, binary.BigEndian.Uint64(sum[:8]))
}
