package regex

import "slices"

// room returns a list that has room for n more. It doubles, so that little memory
// is used in growing.
func room[T any](list []T, n int) []T {
	if cap(list)-len(list) < n {
		list = slices.Grow(list, max(n, len(list), 32))
	}
	return list
}

// list is a growing list of what expressions consist of. What is in it is not
// changed any more. A clone shares what its original has.
type list[T any] struct {
	base []T
	own  []T
}

// add appends items, and returns where they are.
func (l *list[T]) add(items []T) int32 {
	at := len(l.base) + len(l.own)
	l.own = append(room(l.own, len(items)), items...)
	return int32(at)
}

// at returns n items.
func (l *list[T]) at(from, n int32) []T {
	if int(from) < len(l.base) {
		return l.base[from : from+n : from+n]
	}
	from -= int32(len(l.base))
	return l.own[from : from+n : from+n]
}

func (l *list[T]) clone() list[T] { return list[T]{base: l.own} }

func (l *list[T]) bytes() int { return 8 * (len(l.base) + len(l.own)) }

// Index finds things by what they are. It is a table with open addressing of their
// numbers, which are above zero, and hashes.
type Index struct {
	slots []slot
	used  int
}

type slot struct {
	hash uint32
	id   int32
}

// Bytes returns the memory of the table.
func (x *Index) Bytes() int { return 8 * len(x.slots) }

// Find returns the number with a hash for which same is true.
func (x *Index) Find(hash uint32, same func(id int32) bool) (int32, bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	for i := int(hash) & (len(x.slots) - 1); x.slots[i].id != 0; i = (i + 1) & (len(x.slots) - 1) {
		if x.slots[i].hash == hash && same(x.slots[i].id) {
			return x.slots[i].id, true
		}
	}
	return 0, false
}

// Add adds a number that Find does not find.
func (x *Index) Add(hash uint32, id int32) {
	if x.used*2 >= len(x.slots) {
		old := x.slots
		x.slots = make([]slot, max(64, 2*len(old)))
		for _, o := range old {
			if o.id != 0 {
				x.put(o)
			}
		}
	}
	x.put(slot{hash, id})
	x.used++
}

func (x *Index) put(s slot) {
	i := int(s.hash) & (len(x.slots) - 1)
	for x.slots[i].id != 0 {
		i = (i + 1) & (len(x.slots) - 1)
	}
	x.slots[i] = s
}

// Hash is a hash that numbers are mixed into.
type Hash uint64

// Mix mixes in a number.
func (h Hash) Mix(x uint64) Hash {
	h = (h ^ Hash(x)) * 0x9E3779B97F4A7C15
	return h ^ h>>29
}

// Sum returns the hash for an Index.
func (h Hash) Sum() uint32 { return uint32(h >> 16) }

func hashOf(n *node, args []ID, arms []arm) uint32 {
	h := Hash(n.kind).Mix(uint64(uint32(n.aux[0]))<<32 | uint64(uint32(n.aux[1])))
	for _, a := range args {
		h = h.Mix(uint64(a))
	}
	for _, a := range arms {
		h = h.Mix(uint64(a.lo)<<40 | uint64(a.hi)<<32 | uint64(a.next))
	}
	return h.Sum()
}

// rows are the derivatives of expressions: for each of their byte classes one, or -1.
type rows struct{ all []ID }

// add makes a row of n that are not computed.
func (r *rows) add(n int) int32 {
	if len(r.all) == 0 {
		r.all = append(r.all, 0) // no row begins at 0
	}
	at := len(r.all)
	r.all = room(r.all, n)[:at+n]
	for i := at; i < at+n; i++ {
		r.all[i] = -1
	}
	return int32(at)
}

func (r *rows) bytes() int { return 4 * len(r.all) }
