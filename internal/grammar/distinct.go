package grammar

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// Distinct is what stands between the brackets of a list of JSON strings that are all
// different. Which texts were written is part of an arena's state, and inside of a
// string so is what was written of it: such a state is met by one text only. Masks do
// not need these states, as what a string's rest allows is kept with the rest.
type Distinct struct {
	Texts regex.ID // the characters of the strings
	Min   int      // least strings
	Max   int      // most strings; regex.Unbounded: any number
	Comma regex.ID // what stands between two strings
}

// Distinct matches strings that are all different.
func (b *Builder) Distinct(d Distinct) Node {
	b.distinct = append(b.distinct, d)
	return b.add(expr{op: opDistinct, aux: [2]int32{int32(len(b.distinct) - 1)}})
}

// distinctList is Distinct in a program.
type distinctList struct {
	Distinct
	pc       int32   // of its instruction
	commaLen int32   // least bytes of a comma
	owed     []int32 // [Min+1] by the strings that were written: a bound of the least bytes of those that must come, commas included
}

func (c *compiler) emitDistinct(d Distinct) bool {
	set := c.b.set
	l := distinctList{Distinct: d, pc: int32(len(c.code)), commaLen: int32(set.Dist(d.Comma)), owed: make([]int32, d.Min+1)}
	// Some short texts bound what those that are not written yet may need: of Min
	// different ones, the longest are left at worst.
	var lengths []int32
	for left := d.Texts; len(lengths) < d.Min; {
		if !set.Inhabited(left) || set.Err() != nil {
			lengths = append(lengths, never)
			continue
		}
		text := set.Short(left)
		lengths = append(lengths, int32(regex.NameLength(text))+2+l.commaLen)
		left = set.And(left, set.Not(set.Literal(text)))
	}
	slices.Sort(lengths)
	for n := d.Min - 1; n >= 0; n-- {
		l.owed[n] = min(never, l.owed[n+1]+lengths[n])
	}
	c.distinct = append(c.distinct, l)
	return c.push(instr{op: iDistinct, a: int32(len(c.distinct) - 1)})
}

// whole returns a bound of the least bytes of all strings.
func (l *distinctList) whole() int32 {
	if l.Min == 0 || l.owed[0] >= never {
		return l.owed[0]
	}
	return l.owed[0] - l.commaLen
}

// distinctly is where the numbers of the states of distinct strings begin among the
// places in rules.
const distinctly = 1 << 28

// distinctKey is what has been written of distinct strings: a place where a frame goes
// on. The phase naming is inside of a string; there a state is known by the state one
// byte before, and that byte.
type distinctKey struct {
	list  int32
	phase phase
	used  regex.ID // the texts that were written
	count int32    // so many, as far as it matters
	from  int32    // naming: the state before the last byte; -1: nothing was written
	last  byte
}

type distinctState struct {
	distinctKey
	left regex.ID // the texts that may come
	dist int32    // least bytes to the end of the rule; of naming: from the end of the string on
	more int32    // bytes that the next string may need more when one of left is used up; never: then there is none; -1: not computed
}

// distinctStates are those of an arena.
type distinctStates struct {
	all []distinctState
	ids map[distinctKey]int32
	// The states behind the bytes of states that are typing. Most such states are left by one byte only.
	steps map[typedByte]int32
}

type typedByte struct {
	id int32
	b  byte
}

// distinctAt returns a state by its place.
func (a *arena) distinctAt(pc int32) *distinctState { return &a.distinct.all[pc-distinctly] }

// isTyping reports whether a string of a list of distinct ones ends where a frame goes on.
func (a *arena) isTyping(pc int32) bool {
	return pc >= distinctly && a.distinctAt(pc).phase == naming
}

// distinctPlace returns the place of a state, or -1 if nothing may come there that must.
func (a *arena) distinctPlace(k distinctKey) int32 {
	if id, ok := a.distinct.ids[k]; ok {
		return id
	}
	l := &a.p.distinct[k.list]
	s := distinctState{distinctKey: k, more: -1}
	id := int32(-1)
	if k.phase == naming && k.from >= 0 {
		s.left, s.dist = a.distinctAt(k.from).left, a.distinctAt(k.from).dist
		id = 0
	} else {
		s.left = l.Texts
		if k.used != regex.Empty {
			s.left = a.set.And(l.Texts, a.set.Not(k.used))
		}
		d := l.owed[min(int(k.count), l.Min)]
		behind := l.owed[min(int(k.count)+1, l.Min)]
		switch {
		case k.phase == comma && a.set.Inhabited(s.left):
			d = min(never, int32(a.set.Dist(a.stringOf(s.left)))+behind)
		case k.phase == comma:
			d = never
		case k.phase == naming:
			d = behind
		case k.phase == begin:
			d = l.whole()
		}
		if d < never {
			s.dist, id = min(never, d+a.p.dist[l.pc+1]), 0
		}
	}
	if id == 0 {
		id = distinctly + int32(len(a.distinct.all))
		a.distinct.all = append(a.distinct.all, s)
		a.used += 48
	}
	a.distinct.ids[k] = id
	a.used += 40
	return id
}

// stringOf is texts as JSON strings.
func (a *arena) stringOf(texts regex.ID) regex.ID {
	return a.set.Concat(a.p.quote, a.set.Quoted(texts), a.p.quote)
}

// distinctStrings follows a list of distinct strings from one of its states.
func (c *closure) distinctStrings(f frame) {
	a := c.a
	s := *a.distinctAt(f.pc)
	l := &a.p.distinct[s.list]
	if s.phase != comma && int(s.count) >= l.Min {
		c.push(frame{l.pc + 1, f.cont})
	}
	if l.Max != regex.Unbounded && int(s.count) >= l.Max || !a.set.Inhabited(s.left) {
		return
	}
	k := distinctKey{list: s.list, phase: naming, used: s.used, count: s.count, from: -1}
	lexeme := l.Comma
	if s.phase == behind {
		k.phase = comma
	} else {
		lexeme = a.stringOf(s.left)
	}
	if next := a.distinctPlace(k); next >= 0 {
		c.lexemes[lexeme] = append(c.lexemes[lexeme], frame{next, f.cont})
	}
}

// typedStep is step for a state inside of a string of distinct ones.
func (a *arena) typedStep(id int32, b byte) int32 {
	k := typedByte{id, b}
	next, ok := a.distinct.steps[k]
	if !ok {
		next = a.advance(a.configs[id].threads, b)
		a.distinct.steps[k] = next
		a.used += 24
	}
	return next
}

// typed is frames one byte further on in the strings that they are in.
func (a *arena) typed(cont int32, b byte) int32 {
	frames := slices.Clone(a.conts[cont])
	for i, f := range frames {
		if a.isTyping(f.pc) {
			k := a.distinctAt(f.pc).distinctKey
			k.from, k.last = f.pc, b
			frames[i].pc = a.distinctPlace(k)
		}
	}
	return a.cont(frames)
}

// endText follows a string of distinct ones that ends here. Where known is false it may
// have been any text: what follows is then taken to be as before it.
func (c *closure) endText(f frame, known bool) {
	a := c.a
	k := a.distinctAt(f.pc).distinctKey
	if known {
		var text []byte
		for at := f.pc; at >= 0 && a.distinctAt(at).from >= 0; at = a.distinctAt(at).from {
			text = append(text, a.distinctAt(at).last)
		}
		slices.Reverse(text)
		k.used = a.set.Or(k.used, a.set.Literal(regex.Unquoted(text)))
	}
	l := &a.p.distinct[k.list]
	if most := int32(max(l.Min, l.Max)); k.count < most {
		k.count++
	}
	k.phase, k.from, k.last = behind, -1, 0
	if next := a.distinctPlace(k); next >= 0 {
		c.push(frame{next, f.cont})
	}
}

// more returns how many bytes more a string may need once any of the texts that may
// come at a place is used up; never if none might be left.
func (a *arena) more(pc int32) int32 {
	s := a.distinctAt(pc)
	if s.more >= 0 {
		return s.more
	}
	left, d := s.left, int32(never)
	if a.set.Inhabited(left) {
		rest := a.set.And(left, a.set.Not(a.set.Literal(a.set.Short(left))))
		if a.set.Inhabited(rest) {
			d = max(0, int32(a.set.Dist(a.stringOf(rest))-a.set.Dist(a.stringOf(left))))
		}
	}
	a.distinctAt(pc).more = d
	return d
}
