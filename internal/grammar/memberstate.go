package grammar

import (
	"encoding/binary"
	"slices"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// dynamic is where the numbers of member states begin among the places in rules.
const dynamic = 1 << 24

// The places of a list of members.
type phase uint8

const (
	begin  phase = iota // nothing was written
	behind              // behind a member
	comma               // behind a comma: a member must come
	naming              // in a name: which one its last character tells
)

// memberState is what has been written of a list. It is a place where a frame goes
// on, like an instruction.
type memberState struct {
	list  int32
	phase phase
	met   int       // bits: the obligations
	count int32     // members, where they are counted; as many as matter
	seen  memberSet // the named members that may not come any more
	dist  int32     // least bytes to the end of the rule; of naming: not used
	need  need

	from    int32 // the state before the last member, whose keys are known; -1: none
	last    int32 // that member; -1: none with a name
	keys    regex.ID
	hasKeys bool
}

// memberStates are those of an arena.
type memberStates struct {
	all  []memberState
	ids  map[string]int32
	ends map[endsKey][2]int32
}

type endsKey struct {
	rest regex.ID
	list int32
}

// memberState returns the place of a state, or -1 if the object can't be completed from there.
func (a *arena) memberState(s memberState) int32 {
	k := append(a.key[:0], byte(s.phase), byte(s.met))
	k = binary.LittleEndian.AppendUint32(k, uint32(s.list))
	k = binary.LittleEndian.AppendUint32(k, uint32(s.count))
	for _, w := range s.seen {
		k = binary.LittleEndian.AppendUint64(k, w)
	}
	a.key = k
	if id, ok := a.members.ids[string(k)]; ok {
		return id
	}
	l := &a.p.lists[s.list]
	need, ok := l.needs(&s, s.phase == comma || s.phase == naming)
	id := int32(-1)
	if ok {
		s.need = need
		d := need.required + need.extraSize
		if s.phase != behind && d > 0 {
			d -= l.commaLen
		}
		s.dist = min(never, d+a.p.dist[l.pc+1])
		id = dynamic + int32(len(a.members.all))
		a.members.all = append(a.members.all, s)
		a.used += 160 + 16*len(s.seen)
	}
	a.members.ids[string(k)] = id
	a.used += len(k) + 48
	return id
}

// distAt returns the least bytes from a place to the end of its rule.
func (a *arena) distAt(pc int32) int32 {
	if pc >= distinctly {
		return a.distinctAt(pc).dist
	}
	if pc >= dynamic {
		return a.members.all[pc-dynamic].dist
	}
	return a.p.dist[pc]
}

// isNaming reports whether a name ends where a frame goes on.
func (a *arena) isNaming(pc int32) bool {
	return pc >= dynamic && pc < distinctly && a.members.all[pc-dynamic].phase == naming
}

// first returns the state of a list of which nothing is written.
func (a *arena) first(list int32) int32 {
	return a.memberState(memberState{list: list, seen: newMemberSet(len(a.p.lists[list].names)), from: -1, last: -1})
}

// in returns a state like s in another phase.
func (a *arena) in(s *memberState, p phase) int32 {
	o := *s
	o.phase, o.hasKeys = p, false
	if s.hasKeys && p != behind {
		o.keys, o.hasKeys = s.keys, true
	}
	return a.memberState(o)
}

// after returns the state behind a member: a named one, or -1 and the obligations
// that it meets.
func (a *arena) after(at int32, name int32, meets int) int32 {
	s := a.members.all[at-dynamic]
	l := &a.p.lists[s.list]
	o := memberState{list: s.list, phase: behind, met: s.met | meets, count: s.count, seen: slices.Clone(s.seen), from: at, last: name}
	if most := int32(max(l.min, l.max)); most > 0 && o.count < most {
		o.count++
	}
	if name >= 0 {
		o.seen.add(name)
	}
	if l.order == InOrder {
		for i := range int32(len(l.names)) {
			if !l.floating.has(i) && (name < 0 || l.floating.has(name) || i < name) {
				o.seen.add(i)
			}
		}
		o.from = -1
	}
	return a.memberState(o)
}

// room reports whether members may come that are not required.
func (l *memberList) room(s *memberState) bool {
	return l.max == regex.Unbounded || s.count+s.need.members < int32(l.max)
}

// keysOf returns the names that may come next.
func (a *arena) keysOf(at int32) regex.ID {
	s := &a.members.all[at-dynamic]
	if s.hasKeys {
		return s.keys
	}
	l := &a.p.lists[s.list]
	var keys regex.ID
	switch {
	case l.order == InOrder || !l.room(s):
		keys = a.someKeys(at)
	case s.from >= 0 && s.last < 0:
		keys = a.keysOf(s.from)
	case s.from >= 0:
		keys = a.set.Without(a.keysOf(s.from), l.names[s.last])
	default:
		keys = l.keys
	}
	s = &a.members.all[at-dynamic]
	s.keys, s.hasKeys = keys, true
	return keys
}

// someKeys lists the names that may come next: in order, up to the first one that
// is required; or those that are required, if there is no room for others.
func (a *arena) someKeys(at int32) regex.ID {
	s := a.members.all[at-dynamic]
	l := &a.p.lists[s.list]
	optional := l.room(&s)
	var names []regex.Name
	open := true // no required name of the order has been passed
	for i, text := range l.names {
		i := int32(i)
		if s.seen.has(i) || l.cost[i] >= never {
			continue
		}
		required := l.required.has(i)
		ordered := l.order == InOrder && !l.floating.has(i)
		if (optional || required) && (open || l.order == AnyOrder) && (l.min == 0 || a.after(at, i, 0) >= 0) {
			names = append(names, regex.Name{Text: text, Tag: a.p.tags[text]})
		}
		if ordered && required {
			open = false
		}
	}
	return a.set.Names(names)
}

// othersOpen reports whether members without a name of their own may come: in
// order, behind all that are required.
func (l *memberList) othersOpen(s *memberState) bool {
	if l.order == AnyOrder {
		return true
	}
	for w, bits := range l.required {
		if bits&^s.seen[w]&^l.floating[w] != 0 {
			return false
		}
	}
	return true
}

// list follows a list of members from one of its states.
func (c *closure) list(f frame) {
	a := c.a
	s := a.members.all[f.pc-dynamic]
	l := &a.p.lists[s.list]
	if s.phase != comma && s.need.members+s.need.extra == 0 {
		c.push(frame{l.pc + 1, f.cont})
	}
	if s.phase == behind {
		if next := a.in(&s, comma); next >= 0 {
			c.lexemes[l.comma] = append(c.lexemes[l.comma], frame{next, f.cont})
		}
		return
	}
	if keys := a.keysOf(f.pc); keys != regex.Empty {
		s = a.members.all[f.pc-dynamic]
		if next := a.in(&s, naming); next >= 0 {
			r := a.set.Concat(a.p.quote, a.set.Quoted(keys))
			c.lexemes[r] = append(c.lexemes[r], frame{next, f.cont})
		}
	}
	if !l.othersOpen(&s) {
		return
	}
	if l.room(&s) && len(l.other) > 0 {
		if next := a.after(f.pc, -1, 0); next >= 0 {
			back := a.cont([]frame{{next, f.cont}})
			for _, pc := range l.other {
				c.push(frame{pc, back})
			}
		}
	}
	for _, d := range l.duties {
		if s.met|d.meets == s.met {
			continue
		}
		if next := a.after(f.pc, -1, d.meets); next >= 0 {
			c.push(frame{d.entry, a.cont([]frame{{next, f.cont}})})
		}
	}
}

// named follows a name of a list that ends here.
func (c *closure) named(f frame, rest regex.ID) {
	a := c.a
	l := &a.p.lists[a.members.all[f.pc-dynamic].list]
	i, ok := l.places[a.set.Tag(rest)]
	if !ok {
		return
	}
	if next := a.after(f.pc, i, 0); next >= 0 {
		c.push(frame{l.entry[i], a.cont([]frame{{next, f.cont}})})
	}
}

// nameDist returns the least bytes from inside of a name to the end of the rule.
// rest is what is left of the names.
func (a *arena) nameDist(rest regex.ID, at int32) int32 {
	s := &a.members.all[at-dynamic]
	l := &a.p.lists[s.list]
	k := endsKey{rest, s.list}
	e, ok := a.members.ends[k]
	if !ok {
		e = [2]int32{never, never}
		a.set.Ends(rest, func(tag int32, bytes int) {
			i, ok := l.places[tag]
			if !ok || l.cost[i] >= never {
				return
			}
			left := int32(bytes) + a.p.dist[l.entry[i]] + l.commaLen
			if l.required.has(i) {
				e[0] = min(e[0], left-l.cost[i])
			} else {
				e[1] = min(e[1], left)
			}
		})
		a.members.ends[k] = e
		a.used += 48
	}
	d := int32(never)
	if e[0] < never {
		d = s.need.required + s.need.extraSize + e[0]
	}
	if e[1] < never {
		o := s.need.required + s.need.extraSize + e[1]
		if s.need.extra > 0 {
			o -= s.need.cheapest
		}
		d = min(d, o)
	}
	if d >= never {
		return never
	}
	return min(never, d-l.commaLen+a.p.dist[l.pc+1])
}
