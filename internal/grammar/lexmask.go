package grammar

import "github.com/penstock-llm/penstock/internal/grammar/regex"

// lexMask is what a lexeme's rest allows, whatever follows the lexeme: most of the
// work of a mask, kept for all states that are inside of the lexeme.
type lexMask struct {
	slices uint8 // bits: the slices that are allowed as a whole
	mask         // tokens that end inside of the lexeme, or with it
	tails  []tail
	many   bool // there are too many tails to look at each
}

// tail is a place in a token where the lexeme may end: what follows it must be
// allowed behind the lexeme.
type tail struct {
	trie int8 // which of the vocabulary's tries: a slice, or the rest
	node int32
	rest regex.ID // nullable
}

// maxTails bounds the tails of a lexeme.
const maxTails = 1 << 12

// trieOf returns a trie of the vocabulary by its number.
func (v *Vocabulary) trieOf(i int8) trie {
	if int(i) < len(v.slices) {
		return v.slices[i].trie
	}
	return v.rest
}

// lexRow is the derivatives of a lexeme's rest.
type lexRow struct {
	next  []regex.ID  // [classes] -1: not computed
	class *[256]uint8 // of each byte
}

// lexRow returns the derivatives of a lexeme's rest.
func (a *arena) lexRow(r regex.ID) lexRow {
	if int(r) >= len(a.lexAt) {
		a.lexAt = append(a.lexAt, make([]int32, max(int(r)+64, 2*len(a.lexAt))-len(a.lexAt))...)
	}
	if at := a.lexAt[r]; at > 0 {
		return a.lexRows[at]
	}
	c, first := a.set.Classes(r), a.set.First(r)
	row := lexRow{a.rests.take(c.Len()), c.Table()}
	for b, k := 0, 0; b < 256; b, k = c.Next(b), k+1 {
		if first[b>>6]>>(b&63)&1 != 0 {
			row.next[k] = -1
		}
	}
	a.lexAt[r] = int32(len(a.lexRows))
	a.lexRows = append(a.lexRows, row)
	a.used += 4*len(row.next) + 40
	return row
}

// inSlices returns what a lexeme's rest allows of the slices' tokens. A slice that
// it allows as a whole is not walked. What is not allowed for short tokens is not
// for long ones.
func (w *walk) inSlices(r regex.ID) *lexMask {
	a := w.a
	if m := a.sliced[r]; m != nil {
		return m
	}
	m := &lexMask{}
	clear(w.tmp)
	allowed := true
	for i := range a.v.slices {
		if i > 0 && a.v.slices[i].word != a.v.slices[i-1].word {
			allowed = true
		}
		if allowed {
			c := a.cover(r, i)
			if allowed = c.all; allowed {
				m.slices |= 1 << i
				m.worst = max(m.worst, c.dist)
				continue
			}
		}
		w.lexWalk(m, int8(i), r)
	}
	w.keepLex(m, a.sliced, r)
	return m
}

// outside returns what a lexeme's rest allows of the other tokens.
func (w *walk) outside(r regex.ID) *lexMask {
	a := w.a
	if m := a.others[r]; m != nil {
		return m
	}
	m := &lexMask{}
	clear(w.tmp)
	w.lexWalk(m, int8(len(a.v.slices)), r)
	w.keepLex(m, a.others, r)
	return m
}

func (w *walk) keepLex(m *lexMask, in map[regex.ID]*lexMask, r regex.ID) {
	a := w.a
	m.mask = *a.keep(w.tmp, count(w.tmp), m.worst)
	a.used += 16*len(m.tails) + 120
	if a.full() == nil {
		in[r] = m
	}
}

// lexWalk walks a trie with a lexeme's rest.
func (w *walk) lexWalk(m *lexMask, number int8, r regex.ID) {
	a := w.a
	t := a.v.trieOf(number)
	way := w.lexWay
	way[0] = lexPlace{r, a.lexRow(r)}
	for i, steps := 0, 0; i < len(t); steps++ {
		if steps == pauseAfter {
			if steps = 0; !w.pause() {
				return
			}
		}
		n := &t[i]
		p := &way[n.depth]
		k := p.class[n.b]
		next := p.next[k]
		if next < 0 {
			next = a.set.Deriv(p.rest, n.b)
			p.next[k] = next
		}
		if next == regex.Empty {
			i += int(n.size)
			continue
		}
		if n.token >= 0 {
			setBit(w.tmp, n.token)
			m.worst = max(m.worst, int32(a.set.Dist(next)))
		}
		if n.size == 1 {
			i++
			continue
		}
		if a.set.Nullable(next) {
			if len(m.tails) == maxTails {
				m.many = true
				return
			}
			m.tails = append(m.tails, tail{number, int32(i), next})
			if a.set.Over(next) {
				i += int(n.size)
				continue
			}
		}
		i++
		way[n.depth+1] = lexPlace{next, a.lexRow(next)}
	}
}

// clampedRest is a rest that allows the same tokens outside of the slices, but does
// not count the characters of a long string: one for many.
func (a *arena) clampedRest(r regex.ID) regex.ID {
	if c, ok := a.clamps[r]; ok {
		return c
	}
	c := a.set.Clamp(r, a.v.reach)
	a.clamps[r] = c
	a.used += 24
	return c
}

// threads sets the bits of the tokens that each thread of a state allows. It
// returns false, with some bits set, if a walk over the state costs less.
func (w *walk) threads(id int32) bool {
	a := w.a
	for _, t := range a.configs[id].threads {
		s := w.inSlices(t.rest)
		clamped := a.clampedRest(t.rest)
		o := w.outside(clamped)
		if s.many || o.many {
			return false
		}
		w.addSlices(s.slices)
		s.addTo(w.bits)
		o.addTo(w.bits)
		// Behind the clamped rest, the lexeme may end as much sooner.
		more := max(0, int32(a.set.Dist(t.rest)-a.set.Dist(clamped)))
		w.worst = max(w.worst, min(never, max(s.worst, o.worst+more)+a.worstBehind(t.cont)))
		w.behind(id, t.cont, s.tails)
		w.behind(id, t.cont, o.tails)
	}
	return true
}

// addSlices sets the bits of whole slices.
func (w *walk) addSlices(set uint8) {
	v := w.a.v
	if int(set) == 1<<len(v.slices)-1 {
		join(w.bits, v.sliced)
		return
	}
	for i := range v.slices {
		if set>>i&1 != 0 {
			join(w.bits, v.slices[i].bits)
		}
	}
}

func join(bits, more []uint64) {
	bits = bits[:len(more)]
	for i, b := range more {
		bits[i] |= b
	}
}

// worstBehind returns a bound of the bytes from the end of a lexeme to the end of
// the text.
func (a *arena) worstBehind(cont int32) int32 {
	if !a.inName[cont] {
		return a.dists[cont]
	}
	d := int32(0)
	for _, f := range a.conts[cont] {
		if a.isNaming(f.pc) {
			s := &a.members.all[f.pc-dynamic]
			l := &a.p.lists[s.list]
			d = max(d, s.need.required+s.need.extraSize+l.dearest+a.p.dist[l.pc+1]+a.dists[f.cont])
		} else {
			d = max(d, a.distAt(f.pc)+a.dists[f.cont])
		}
	}
	return min(d, never)
}

// behind sets the bits of the tokens whose tails are allowed behind a lexeme of a state.
func (w *walk) behind(id, cont int32, tails []tail) {
	a := w.a
	if a.inText[cont] {
		w.behindText(id, cont, tails)
		return
	}
	for _, t := range tails {
		tag := int32(-1)
		if a.inName[cont] {
			tag = a.set.Tag(t.rest)
		}
		k := uint64(uint32(cont))<<32 | uint64(uint32(tag))
		id, ok := a.starts[k]
		if !ok {
			a.closure.begin()
			a.closure.end(t.rest, cont)
			id = a.config(a.closure.run(nil))
			a.starts[k] = id
			a.used += 32
		}
		trie := a.v.trieOf(t.trie)
		n := &trie[t.node]
		w.under(trie[t.node+1:t.node+n.size], int(n.depth)+1, id)
	}
}
