package grammar

import (
	"bytes"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// run returns the state behind some bytes.
func (a *arena) run(id int32, text []byte) int32 {
	for _, b := range text {
		if id = a.step(id, b); id == dead {
			break
		}
	}
	return id
}

// note takes a token behind which the text may end in d bytes.
func (w *walk) note(token, d int32) {
	if !w.any || d < w.least {
		w.least = d
	}
	w.any = true
	if d <= w.limit {
		w.worst = max(w.worst, d)
		setBit(w.bits, token)
	}
}

// behindAnyText returns the state behind the end of a string of distinct ones, as if its text
// were none of those that may come later, and how many bytes more may be needed because
// it is one of them. That is never if it matters at once which text it was.
func (a *arena) behindAnyText(cont int32) (id, more int32) {
	frames := append([]frame{}, a.conts[cont]...)
	for i, f := range frames {
		switch {
		case a.isTyping(f.pc):
			k := a.distinctAt(f.pc).distinctKey
			k.from, k.last = -1, 0
			frames[i].pc = a.distinctPlace(k)
			more = max(more, a.more(frames[i].pc))
		case a.isNaming(f.pc):
			more = never
		}
	}
	k := uint64(uint32(a.cont(frames)))<<32 | anyTextTag
	id, ok := a.starts[k]
	if !ok && more < never {
		a.closure.begin()
		for _, f := range frames {
			if a.isTyping(f.pc) {
				a.closure.endText(f, false)
			} else {
				a.closure.push(f)
			}
		}
		id = a.config(a.closure.run(nil))
		a.starts[k] = id
		a.used += 32
	}
	return id, more
}

// anyTextTag is none of a name.
const anyTextTag = 1<<32 - 2

// behindText sets the bits of the tokens whose tails are allowed behind a string of
// distinct ones. It looks at each text that they may make of the string only where that
// matters: if they go on into the next string.
func (w *walk) behindText(id, cont int32, tails []tail) {
	a := w.a
	start, more := a.behindAnyText(cont)
	for _, tail := range tails {
		t := a.v.trieOf(tail.trie)
		n := &t[tail.node]
		depth := int(n.depth) + 1
		below := t[tail.node+1 : tail.node+n.size]
		if more >= never {
			w.exactly(id, below)
			continue
		}
		w.way[depth].id = start
		for i := 0; i < len(below); {
			n := &below[i]
			next := a.step(w.way[n.depth].id, n.b)
			if next == dead {
				i += int(n.size)
				continue
			}
			i++
			w.way[n.depth+1] = place{id: next}
			if n.token < 0 {
				continue
			}
			d := min(never, a.configs[next].dist+more)
			if text := a.v.pieces[n.token]; bytes.IndexByte(text[depth:len(text)-1], '"') >= 0 {
				if next = a.run(id, text); next == dead {
					continue
				}
				d = a.configs[next].dist
			}
			w.note(n.token, d)
		}
	}
}

// exactly sets the bits of the tokens of a part of a trie, each of which it follows
// from the beginning.
func (w *walk) exactly(id int32, t trie) {
	for i := range t {
		if token := t[i].token; token >= 0 {
			if next := w.a.run(id, w.a.v.pieces[token]); next != dead {
				w.note(token, w.a.configs[next].dist)
			}
		}
	}
}

// apart sets the bits of a state's tokens thread by thread: those of strings of distinct
// ones by what is left of the strings.
func (w *walk) apart(id int32) {
	a := w.a
	var others []thread
	for _, t := range a.configs[id].threads {
		if !a.inText[t.cont] {
			others = append(others, t)
			continue
		}
		for i := range len(a.v.slices) + 1 {
			if !w.inString(id, a.v.trieOf(int8(i)), t) {
				return
			}
		}
	}
	if len(others) > 0 {
		rest := a.config(others, false, false)
		w.overSlices(rest)
		w.over(a.v.rest, rest)
	}
}

// inString sets the bits of the tokens of a trie that may come in a string of distinct
// ones, or end it. It returns false if that has cost too much.
func (w *walk) inString(id int32, t trie, in thread) bool {
	a := w.a
	way := w.lexWay
	way[0] = lexPlace{in.rest, a.lexRow(in.rest)}
	for i, steps := 0, 1; i < len(t); steps++ {
		if steps%pauseAfter == 0 && !w.pause() {
			return false
		}
		n := &t[i]
		p := &way[n.depth]
		k := p.class[n.b]
		if p.next[k] < 0 {
			p.next[k] = a.set.Deriv(p.rest, n.b)
		}
		next := p.next[k]
		switch {
		case next == regex.Empty:
			i += int(n.size)
			continue
		case a.set.Nullable(next):
			w.exactly(id, t[i:i+int(n.size)])
			i += int(n.size)
			continue
		case n.token >= 0:
			w.note(n.token, min(never, int32(a.set.Dist(next))+a.dists[in.cont]))
		}
		i++
		way[n.depth+1] = lexPlace{next, a.lexRow(next)}
	}
	return true
}
