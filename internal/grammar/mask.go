package grammar

import (
	"math/bits"
	"slices"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// mask is the tokens that a state allows.
type mask struct {
	few   []int32  // the tokens, if bits is nil
	bits  []uint64 // a bit for each token
	worst int32    // largest distance to the end of the text behind any of the tokens
}

// fewTokens is up to how many tokens a mask lists them instead of having bits.
const fewTokens = 256

// coverKey asks whether a lexeme's rest allows every token of a slice.
type coverKey struct {
	rest  regex.ID
	slice int
}

// cover answers. dist is the largest distance to the lexeme's end behind a token.
type cover struct {
	all  bool
	dist int32
}

// maskOf returns the mask of a state, from now on kept with it.
func (a *arena) maskOf(id int32, scratch []uint64) *mask {
	if m := a.configs[id].mask; m != nil {
		return m
	}
	clear(scratch)
	w := a.walk(scratch, never)
	defer w.done()
	if !w.threads(id) {
		clear(scratch)
		w.every(id)
	}
	m := a.keep(scratch, a.finish(id, scratch), w.worst)
	if a.full() == nil {
		a.configs[id].mask = m
	}
	return m
}

func (m *mask) addTo(bits []uint64) {
	for _, t := range m.few {
		setBit(bits, t)
	}
	for i, b := range m.bits {
		bits[i] |= b
	}
}

// finish adds twins and the tokens that end the text, and counts.
func (a *arena) finish(id int32, bits []uint64) int {
	a.v.spread(bits)
	if a.configs[id].complete {
		for _, t := range a.v.ends {
			setBit(bits, t)
		}
	}
	return count(bits)
}

// count returns the number of tokens, or any number above a few.
func count(set []uint64) (n int) {
	for _, b := range set {
		if n += bits.OnesCount64(b); n > fewTokens {
			break
		}
	}
	return n
}

// keep makes a mask of bits. States with the same bits share them.
func (a *arena) keep(bits []uint64, count int, worst int32) *mask {
	m := &mask{worst: worst}
	if count <= fewTokens {
		m.few = make([]int32, 0, count)
		for i, b := range bits {
			for t := int32(i) * 64; b != 0; t++ {
				if b&1 != 0 {
					m.few = append(m.few, t)
				}
				b >>= 1
			}
		}
		a.used += 4*count + 64
		return m
	}
	h := hashWords(bits)
	for _, o := range a.masks[h] {
		if slices.Equal(o.bits, bits) {
			m.bits = o.bits
			a.used += 64
			return m
		}
	}
	m.bits = slices.Clone(bits)
	a.masks[h] = append(a.masks[h], m)
	a.used += 8*len(bits) + 128
	return m
}

// hashWords mixes four words at a time, because a mask has thousands.
func hashWords(bits []uint64) uint64 {
	const prime = 1099511628211
	h := [4]uint64{14695981039346656037, 1, 2, 3}
	for len(bits) >= 4 {
		for i := range h {
			h[i] = (h[i] ^ bits[i]) * prime
			h[i] ^= h[i] >> 32
		}
		bits = bits[4:]
	}
	for i, b := range bits {
		h[i] = (h[i] ^ b) * prime
	}
	return ((h[0]*prime^h[1])*prime^h[2])*prime ^ h[3]
}

// scratch is what a walk writes to. Each walk has its own, because another one may
// go on while it pauses.
type scratch struct {
	tmp    []uint64
	way    []place    // the states on the way
	lexWay []lexPlace // the rests of a lexeme on the way
}

// place is a state on the way through a trie.
type place struct {
	id    int32
	row   []int32 // nil: there is none yet
	class *[256]uint8
}

type lexPlace struct {
	rest regex.ID
	lexRow
}

func (a *arena) walk(bits []uint64, limit int32) *walk {
	return &walk{scratch: a.v.idle.take(a.v), a: a, bits: bits, limit: limit}
}

func (w *walk) done() { w.a.v.idle.put(w.scratch) }

// at returns the place of a state.
func (a *arena) at(id int32) place {
	c := &a.configs[id]
	if c.row == nil {
		return place{id: id}
	}
	return place{id, c.row, c.classes.Table()}
}

// pauseAfter is how many nodes of a trie are looked at between two pauses.
const pauseAfter = 1 << 10

// pause lets others have the arena, so that nobody waits for a long walk. It
// returns false if the walk has cost too much.
func (w *walk) pause() bool {
	a := w.a
	a.set.Spend(pauseAfter / 16)
	a.mu.Unlock()
	a.mu.Lock()
	return a.set.Err() == nil
}

// walk visits the tokens that a state allows.
type walk struct {
	*scratch
	a     *arena
	bits  []uint64
	limit int32 // largest distance to the end of the text behind a token
	worst int32 // largest distance that was seen
	least int32 // least one, beyond the limit too, if any
	any   bool
}

// overSlices sets the bits of the slices' tokens. A slice that a lexeme allows as
// a whole is not walked. What is not allowed for short tokens is not for long ones.
func (w *walk) overSlices(id int32) {
	allowed := true
	for i := range w.a.v.slices {
		s := &w.a.v.slices[i]
		if i > 0 && s.word != w.a.v.slices[i-1].word {
			allowed = true
		}
		dist := int32(0)
		if allowed {
			dist, allowed = w.a.allows(id, i)
		}
		if !allowed || dist > w.limit {
			w.over(s.trie, id)
			continue
		}
		for j, b := range s.bits {
			w.bits[j] |= b
		}
		w.worst = max(w.worst, dist)
		if !w.any || dist < w.least {
			w.least = dist
		}
		w.any = true
	}
}

// every sets the bits of all tokens.
func (w *walk) every(id int32) {
	if w.a.configs[id].typing { // a walk over the states would make one for each token
		w.apart(id)
		return
	}
	w.overSlices(id)
	w.over(w.a.v.rest, id)
}

// over sets the bits of a trie's tokens.
func (w *walk) over(t trie, id int32) { w.under(t, 0, id) }

// under sets the bits of the tokens of a part of a trie whose first bytes are depth
// bytes behind the beginning of a token. It leaves out the subtree of a byte that
// the state does not allow.
func (w *walk) under(t trie, depth int, id int32) {
	a := w.a
	way := w.way
	way[depth] = a.at(id)
	for i, steps := 0, 0; i < len(t); steps++ {
		if steps == pauseAfter {
			if steps = 0; !w.pause() {
				return
			}
		}
		n := &t[i]
		p := &way[n.depth]
		next := unfound
		if p.row != nil {
			next = p.row[p.class[n.b]]
		}
		if next == unfound {
			if next = a.step(p.id, n.b); p.row == nil {
				*p = a.at(p.id)
			}
		}
		if next == dead {
			i += int(n.size)
			continue
		}
		if i++; n.size > 1 {
			way[n.depth+1] = a.at(next)
		}
		if n.token < 0 {
			continue
		}
		w.note(n.token, a.configs[next].dist)
	}
}

// within fills bits with the tokens behind which the text can end in limit bytes.
// If there are none, it takes those behind which it can end the soonest.
func (a *arena) within(id int32, limit int32, bits []uint64) {
	for range 2 {
		clear(bits)
		w := a.walk(bits, limit)
		w.every(id)
		w.done()
		a.finish(id, bits)
		if a.configs[id].complete || !w.any || w.least <= limit {
			return
		}
		limit = w.least
	}
}

// allows reports whether a lexeme of the state allows all tokens of a slice, and
// the largest distance to the end of the text behind them.
func (a *arena) allows(id int32, slice int) (int32, bool) {
	for _, t := range a.configs[id].threads {
		if a.inName[t.cont] {
			continue
		}
		if c := a.cover(t.rest, slice); c.all {
			return min(never, c.dist+a.dists[t.cont]), true
		}
	}
	return 0, false
}

// cover reports whether a lexeme's rest allows all tokens of a slice.
func (a *arena) cover(r regex.ID, slice int) cover {
	k := coverKey{r, slice}
	c, ok := a.covers[k]
	if !ok {
		c = a.covered(r, a.v.slices[slice].class)
		a.covers[k] = c
		a.used += 48
	}
	return c
}

// coverLimit is how many states covered looks at. Beyond, a walk costs less.
const coverLimit = 320

// covered computes whether every string of so many characters of a slice may come
// next in r.
func (a *arena) covered(r regex.ID, c class) cover {
	s := a.set
	chars := min(c.chars, a.v.deepest)
	if n, dist := s.Free(r); n >= chars {
		return cover{true, int32(dist)}
	}
	samples := "a}"
	if c.word {
		samples = "a0z"
	}
	for i := range len(samples) {
		if s.Deriv(r, samples[i]) == regex.Empty {
			return cover{} // the usual case, without a search
		}
	}
	class := s.Runes(regex.Range{Lo: 0x20, Hi: 0x21}, regex.Range{Lo: 0x23, Hi: 0x5B}, regex.Range{Lo: 0x5D, Hi: 0x7E}, regex.Range{Lo: 0x80, Hi: 0x10FFFF})
	if c.word {
		class = s.Runes(regex.Range{Lo: '0', Hi: '9'}, regex.Range{Lo: 'A', Hi: 'Z'}, regex.Range{Lo: 'a', Hi: 'z'})
	}
	type pair struct{ r, char regex.ID }
	seen := map[pair]bool{}
	dist := int32(0)
	level := []pair{{r, class}}
	for n := 0; n < chars && len(level) > 0; n++ {
		var next []pair
		for i := 0; i < len(level); i++ { // grows by what is inside of a character
			p := level[i]
			var edges regex.Edges
			edges.Join(s.Classes(p.r))
			edges.Join(s.Classes(p.char))
			classes := s.ClassesOf(edges)
			for b := 0; b < 256; b = classes.Next(b) {
				char := s.Deriv(p.char, byte(b))
				if char == regex.Empty {
					continue
				}
				q := pair{s.Deriv(p.r, byte(b)), char}
				if q.r == regex.Empty || len(seen) > coverLimit {
					return cover{}
				}
				if char == regex.Epsilon {
					q.char = class
					dist = max(dist, int32(s.Dist(q.r)))
				}
				switch {
				case seen[q]:
				case char == regex.Epsilon:
					seen[q] = true
					next = append(next, q)
				default:
					seen[q] = true
					level = append(level, q)
				}
			}
		}
		level = next
	}
	return cover{true, dist}
}
