package grammar

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// Members is what stands between the braces of an object: named members, each at
// most once, and others without a name of their own. They come in any order. A
// grammar for each order would be too large, so that the set of the members that
// were written is part of an arena's state.
type Members struct {
	Named []Member
	// Others may come any number of times. Each is a whole member.
	Others []Node
	// Duties are those of Others of which some must come, see Duty.
	Duties []Duty
	Owed   int      // how many obligations the duties meet together: at most 8
	Min    int      // least members
	Max    int      // most members; regex.Unbounded: any number
	Comma  regex.ID // what stands between two members
	Order  MemberOrder
}

// MemberOrder is the order in which members may come.
type MemberOrder uint8

const (
	AnyOrder MemberOrder = iota
	// InOrder is that of Named, and then the others. Named ones that are Floating
	// count as others.
	InOrder
)

// Member is a member with a name.
type Member struct {
	Name     string // its characters; written as a JSON string
	Value    Node   // what follows the last character of the name, from the quotation mark on
	Required bool
	Floating bool
}

// Duty is a member that meets obligations. The bits of Meets number them.
type Duty struct {
	Meets  int
	Member Node
}

// Members matches the members of an object.
func (b *Builder) Members(m Members) Node {
	b.members = append(b.members, m)
	return b.add(expr{op: opMembers, aux: [2]int32{int32(len(b.members) - 1)}})
}

// memberList is Members in a program.
type memberList struct {
	pc         int32 // of its instruction
	names      []string
	places     map[int32]int32 // tag of a name: its number in names
	entry      []int32         // [names] where what follows the name begins
	cost       []int32         // [names] least bytes of the member and a comma; never: it has no text
	required   memberSet
	floating   memberSet
	keys       regex.ID // all names that have texts
	comma      regex.ID
	other      []int32 // where they begin
	duties     []dutyCode
	owed       int
	min, max   int
	order      MemberOrder
	least      []int32 // [names] those that have texts and are not required, the cheapest first
	dearest    int32   // the largest cost
	otherLeast int32   // least bytes of another member and a comma
	commaLen   int32
	lack       []lack // [1 << owed] by the obligations that are met
}

type dutyCode struct {
	meets int
	entry int32
}

// lack is what the duties still ask for.
type lack struct{ members, bytes int32 }

// memberSet has a bit for each name.
type memberSet []uint64

func newMemberSet(n int) memberSet { return make(memberSet, (n+63)/64) }

func (s memberSet) has(i int32) bool { return s[i>>6]>>(i&63)&1 != 0 }
func (s memberSet) add(i int32)      { s[i>>6] |= 1 << (i & 63) }

// emitMembers emits the instruction, a jump to what follows the list, and the parts
// that the instruction begins and that return to it.
func (c *compiler) emitMembers(m *Members) bool {
	l := memberList{pc: int32(len(c.code)), places: map[int32]int32{}, comma: m.Comma, owed: m.Owed, min: m.Min, max: m.Max, order: m.Order,
		required: newMemberSet(len(m.Named)), floating: newMemberSet(len(m.Named))}
	number := int32(len(c.lists))
	c.lists = append(c.lists, memberList{})
	if !c.push(instr{op: iMembers, a: number}) || !c.push(instr{op: iJump}) {
		return false
	}
	part := func(n Node) (int32, bool) {
		pc := int32(len(c.code))
		return pc, c.emit(n) && c.push(instr{op: iReturn})
	}
	for i, d := range m.Named {
		l.names = append(l.names, d.Name)
		l.places[c.tag(d.Name)] = int32(i)
		if d.Required {
			l.required.add(int32(i))
		}
		if d.Floating {
			l.floating.add(int32(i))
		}
		pc, ok := part(d.Value)
		if !ok {
			return false
		}
		l.entry = append(l.entry, pc)
	}
	for _, n := range m.Others {
		pc, ok := part(n)
		if !ok {
			return false
		}
		l.other = append(l.other, pc)
	}
	for _, d := range m.Duties {
		pc, ok := part(d.Member)
		if !ok {
			return false
		}
		l.duties = append(l.duties, dutyCode{d.Meets, pc})
	}
	c.code[l.pc+1].a = int32(len(c.code))
	c.lists[number] = l
	return true
}

// tag returns the number of a name. It is the same in all lists, so that what is
// left of a name is the same expression in many of them.
func (c *compiler) tag(name string) int32 {
	if t, ok := c.tags[name]; ok {
		return t
	}
	t := int32(len(c.tags))
	c.tags[name] = t
	return t
}

// price computes the least lengths of a list's members from those of its parts.
func (c *compiler) price(l *memberList) {
	set := c.b.set
	set.Spend(4 + len(l.names)/3)
	l.commaLen = int32(set.Dist(l.comma))
	l.cost = l.cost[:0]
	l.least = l.least[:0]
	for i, name := range l.names {
		d := int32(never)
		if rest := c.dist[l.entry[i]]; rest < never {
			d = min(never, 1+int32(regex.NameLength(name))+rest+l.commaLen)
		}
		l.cost = append(l.cost, d)
		if d < never {
			l.dearest = max(l.dearest, d)
		}
		if d < never && !l.required.has(int32(i)) {
			l.least = append(l.least, int32(i))
		}
	}
	slices.SortStableFunc(l.least, func(x, y int32) int { return int(l.cost[x] - l.cost[y]) })
	l.otherLeast = never
	for _, pc := range l.other {
		l.otherLeast = min(l.otherLeast, c.dist[pc]+l.commaLen)
	}
	full := 1<<l.owed - 1
	l.lack = make([]lack, full+1)
	for met := full - 1; met >= 0; met-- {
		l.lack[met] = lack{never, never}
		for _, d := range l.duties {
			if met|d.meets == met || c.dist[d.entry] >= never {
				continue
			}
			after := l.lack[met|d.meets]
			o := lack{after.members + 1, min(never, after.bytes+c.dist[d.entry]+l.commaLen)}
			if o.bytes < never && (o.members < l.lack[met].members || o.members == l.lack[met].members && o.bytes < l.lack[met].bytes) {
				l.lack[met] = o
			}
		}
	}
}

// seal makes the names of a list one expression.
func (c *compiler) seal(l *memberList) {
	c.price(l)
	var names []regex.Name
	for i, text := range l.names {
		if l.cost[i] < never {
			names = append(names, regex.Name{Text: text, Tag: c.tags[text]})
		}
	}
	l.keys = c.b.set.Names(names)
}

// need is what is left to write of a list.
type need struct {
	required  int32 // bytes of what is required, commas included, and its members
	members   int32
	extra     int32 // members that are needed besides
	extraSize int32 // their bytes
	cheapest  int32 // bytes of the cheapest member that is not required
}

// needs computes what members a state lacks. more says that at least one member
// must come. It returns false if the object cannot be completed.
func (l *memberList) needs(s *memberState, more bool) (n need, ok bool) {
	for w, bits := range l.required {
		if bits &^= s.seen[w]; bits == 0 {
			continue
		}
		for i := int32(w) * 64; bits != 0; i, bits = i+1, bits>>1 {
			if bits&1 != 0 {
				n.required = min(never, n.required+l.cost[i])
				n.members++
			}
		}
	}
	duty := l.lack[s.met]
	n.required, n.members = min(never, n.required+duty.bytes), min(never, n.members+duty.members)
	n.extra = max(0, int32(l.min)-s.count-n.members)
	if more && n.members+n.extra == 0 {
		n.extra = 1
	}
	n.cheapest = l.otherLeast
	left := n.extra
	first := true
	for _, i := range l.least {
		if s.seen.has(i) {
			continue
		}
		if first {
			n.cheapest, first = min(n.cheapest, l.cost[i]), false
		}
		if left == 0 || l.cost[i] > l.otherLeast {
			break
		}
		n.extraSize = min(never, n.extraSize+l.cost[i])
		left--
	}
	if left > 0 {
		n.extraSize = int32(min(never, int64(n.extraSize)+int64(left)*int64(l.otherLeast)))
	}
	if n.required >= never || n.extraSize >= never {
		return n, false
	}
	return n, l.max == regex.Unbounded || s.count+n.members+n.extra <= int32(l.max)
}

// whole returns the least bytes of all members.
func (l *memberList) whole() int32 {
	n, ok := l.needs(&memberState{seen: newMemberSet(len(l.names))}, false)
	if !ok {
		return never
	}
	return max(0, n.required+n.extraSize-l.commaLen)
}
