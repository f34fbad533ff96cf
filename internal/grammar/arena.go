package grammar

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// errFull says that an arena has used up its memory.
var errFull = errors.New("the states of the grammar need too much memory: use fewer alternatives and smaller repetitions")

// maxThreads is how many lexemes a state may be inside of at the same time.
const maxThreads = 1 << 13

// maxFrames is how many places in rules one byte may lead to.
const maxFrames = 1 << 17

// frame is where a rule goes on, and what follows that rule.
type frame struct {
	pc   int32 // endOfText: the text may end
	cont int32
}

const endOfText = -1

// thread is a lexeme that the text is inside of (or at the beginning of): what is
// left of it, and the frames that go on behind it.
type thread struct {
	rest regex.ID
	cont int32
}

// config is a state of the parser: all lexemes that the text may be inside of.
type config struct {
	threads  []thread
	classes  *regex.Classes
	row      []int32 // [classes] the states behind them; nil: none is computed, or typing
	complete bool    // the text may end here
	open     bool    // and may as well be cut
	typing   bool    // the text is in a string of distinct ones: each byte leads to a state of its own
	dist     int32   // least bytes to the end of the text, or a bound of it
	mask     *mask   // nil: not computed
	forced   *run    // what must follow, in tokens; nil: not computed
}

// The first states of every arena, and what a row holds that is not computed yet.
const (
	dead    int32 = 0
	initial int32 = 1
	unfound int32 = -1
)

// arena holds the states that the texts of a Grammar have led to. Equal states are
// one: a set of frames stands for all ways into a rule, so that a state does not
// depend on the position in the text. When an arena is full, matchers move on to
// a new one.
type arena struct {
	mu       sync.Mutex
	p        *program
	set      *regex.Set
	v        *Vocabulary
	limit    int
	used     int
	err      error
	conts    [][]frame // sets of frames, in order
	dists    []int32   // [conts] least bytes to the end of the text, but for frames in a name
	inName   []bool    // [conts] a frame is in a name of a list of members
	inText   []bool    // [conts] a frame is in a string of a list of distinct ones
	contIDs  regex.Index
	configs  []config
	ids      regex.Index
	covers   map[coverKey]cover
	masks    map[uint64][]*mask
	sliced   map[regex.ID]*lexMask
	others   map[regex.ID]*lexMask
	clamps   map[regex.ID]regex.ID
	starts   map[uint64]int32 // states behind a lexeme, by its frames and the tag of its name
	lexAt    []int32          // [expressions] which of lexRows is that of an expression; 0: none
	lexRows  []lexRow
	members  memberStates
	distinct distinctStates
	key      []byte

	// Memory for what states consist of.
	numbers slab[int32]
	rests   slab[regex.ID]
	frames  slab[frame]
	inside  slab[thread]
	closure closure
}

func (g *Grammar) newArena(v *Vocabulary) *arena {
	a := &arena{
		p: &g.program, set: g.set.Clone(g.limits.Memory / 256), v: v, limit: g.limits.Memory,
		covers: map[coverKey]cover{}, masks: map[uint64][]*mask{},
		sliced: map[regex.ID]*lexMask{}, others: map[regex.ID]*lexMask{}, lexRows: make([]lexRow, 1), clamps: map[regex.ID]regex.ID{}, starts: map[uint64]int32{},
		members:  memberStates{ids: map[string]int32{}, ends: map[endsKey][2]int32{}},
		distinct: distinctStates{ids: map[distinctKey]int32{}, steps: map[typedByte]int32{}},
	}
	a.closure = closure{a: a, seen: map[frame]bool{}, lexemes: map[regex.ID][]frame{}, calls: map[int32][]frame{}}
	end := a.cont([]frame{{endOfText, 0}})
	a.config(nil, false, false)
	a.closure.begin()
	a.closure.call(g.start, a.conts[end])
	threads, complete, open := a.closure.run(nil)
	a.config(threads, complete, open)
	return a
}

func (a *arena) full() error {
	if a.err == nil && (a.set.Err() != nil || a.used+a.set.Bytes() > a.limit) {
		a.err = errFull
	}
	return a.err
}

// cont returns the number of a set of frames. It sorts them.
func (a *arena) cont(frames []frame) int32 {
	slices.SortFunc(frames, func(x, y frame) int { return cmp.Or(cmp.Compare(x.pc, y.pc), cmp.Compare(x.cont, y.cont)) })
	frames = slices.Compact(frames)
	h := regex.Hash(len(frames))
	for _, f := range frames {
		h = h.Mix(uint64(uint32(f.pc))<<32 | uint64(uint32(f.cont)))
	}
	if id, ok := a.contIDs.Find(h.Sum(), func(id int32) bool { return slices.Equal(a.conts[id-1], frames) }); ok {
		return id - 1
	}
	d, inName, inText := int32(never), false, false
	for _, f := range frames {
		inText = inText || a.isTyping(f.pc)
		switch {
		case f.pc == endOfText:
			d = 0
		case a.isNaming(f.pc):
			inName = true
		default:
			d = min(d, a.distAt(f.pc)+a.dists[f.cont])
		}
	}
	id := int32(len(a.conts))
	a.conts = append(a.conts, a.frames.clone(frames))
	a.dists = append(a.dists, d)
	a.inName = append(a.inName, inName)
	a.inText = append(a.inText, inText)
	a.contIDs.Add(h.Sum(), id+1)
	a.used += 8*len(frames) + 48
	return id
}

// config returns the number of a state. It sorts the threads.
func (a *arena) config(threads []thread, complete, open bool) int32 {
	slices.SortFunc(threads, func(x, y thread) int { return cmp.Compare(x.rest, y.rest) })
	threads = a.merge(threads)
	if len(threads) > maxThreads {
		a.err = errFull
		return dead
	}
	h := regex.Hash(len(threads))
	if complete {
		h = ^h
	}
	if open {
		h = h.Mix(1)
	}
	for _, t := range threads {
		h = h.Mix(uint64(uint32(t.rest))<<32 | uint64(uint32(t.cont)))
	}
	same := func(id int32) bool {
		c := &a.configs[id-1]
		return c.complete == complete && c.open == open && slices.Equal(c.threads, threads)
	}
	if id, ok := a.ids.Find(h.Sum(), same); ok {
		return id - 1
	}
	c := config{threads: a.inside.clone(threads), complete: complete, open: open, dist: never}
	var edges regex.Edges
	for _, t := range threads {
		edges.Join(a.set.Classes(t.rest))
		c.typing = c.typing || a.inText[t.cont]
		c.dist = min(c.dist, a.threadDist(t))
	}
	c.classes = a.set.ClassesOf(edges)
	if complete {
		c.dist = 0
	}
	id := int32(len(a.configs))
	a.configs = append(a.configs, c)
	a.ids.Add(h.Sum(), id+1)
	a.used += 8*len(threads) + 120
	return id
}

// threadDist returns the least bytes from a thread to the end of the text.
func (a *arena) threadDist(t thread) int32 {
	d := min(never, int32(a.set.Dist(t.rest))+a.dists[t.cont])
	if a.inName[t.cont] {
		for _, f := range a.conts[t.cont] {
			if a.isNaming(f.pc) {
				d = min(d, a.nameDist(t.rest, f.pc)+a.dists[f.cont])
			}
		}
	}
	return d
}

// merge joins neighbours with the same rest of a lexeme.
func (a *arena) merge(threads []thread) []thread {
	out := threads[:0]
	for i := 0; i < len(threads); {
		j := i + 1
		for j < len(threads) && threads[j].rest == threads[i].rest {
			j++
		}
		t := threads[i]
		if j-i > 1 {
			var frames []frame
			for _, o := range threads[i:j] {
				frames = append(frames, a.conts[o.cont]...)
			}
			t.cont = a.cont(frames)
		}
		out = append(out, t)
		i = j
	}
	return out
}

// step returns the state behind byte b.
func (a *arena) step(id int32, b byte) int32 {
	c := &a.configs[id]
	if c.typing {
		return a.typedStep(id, b)
	}
	if c.row == nil {
		a.begin(c)
	}
	row, k := c.row, c.classes.Of(b)
	if row[k] == unfound {
		row[k] = a.advance(c.threads, b)
	}
	return row[k]
}

// begin makes the row of a state. It tells by the first bytes of the lexemes which
// classes lead nowhere.
func (a *arena) begin(c *config) {
	var first [4]uint64
	for _, t := range c.threads {
		f := a.set.First(t.rest)
		for i := range f {
			first[i] |= f[i]
		}
	}
	c.row = a.numbers.take(c.classes.Len())
	a.used += 4 * len(c.row)
	for b, k := 0, 0; b < 256; b, k = c.classes.Next(b), k+1 {
		c.row[k] = dead
		if first[b>>6]>>(b&63)&1 != 0 {
			c.row[k] = unfound
		}
	}
}

// advance computes a state from the threads before byte b.
func (a *arena) advance(threads []thread, b byte) int32 {
	var on []thread
	began := false
	for _, t := range threads {
		d := a.set.Deriv(t.rest, b)
		if d == regex.Empty {
			continue
		}
		cont := t.cont
		if a.inText[cont] {
			cont = a.typed(cont, b)
		}
		if a.set.Nullable(d) {
			if !began {
				a.closure.begin()
				began = true
			}
			a.closure.end(d, cont)
		}
		if !a.set.Over(d) {
			on = append(on, thread{d, cont})
		}
	}
	complete, open := false, false
	if began {
		on, complete, open = a.closure.run(on)
	}
	if len(on) == 0 && !complete || a.full() != nil {
		return dead
	}
	return a.config(on, complete, open)
}

// closure follows the rules from some frames on to the lexemes that they begin
// with. All callers of a rule are collected before it is entered, so that they
// share what follows: rules are entered in the order of their ranks.
type closure struct {
	a        *arena
	work     []frame
	seen     map[frame]bool
	lexemes  map[regex.ID][]frame
	calls    map[int32][]frame
	complete bool
	open     bool
}

func (c *closure) begin() {
	c.work = c.work[:0]
	clear(c.seen)
	clear(c.lexemes)
	clear(c.calls)
	c.complete, c.open = false, false
}

func (c *closure) push(frames ...frame) {
	for _, f := range frames {
		if !c.seen[f] {
			c.seen[f] = true
			c.work = append(c.work, f)
		}
	}
}

// end follows the frames behind a lexeme that may end here.
func (c *closure) end(rest regex.ID, cont int32) {
	frames := c.a.conts[cont]
	if !c.a.inName[cont] && !c.a.inText[cont] {
		c.push(frames...)
		return
	}
	for _, f := range frames {
		switch {
		case c.a.isTyping(f.pc):
			c.endText(f, true)
		case c.a.isNaming(f.pc):
			c.named(f, rest)
		default:
			c.push(f)
		}
	}
}

func (c *closure) call(rule int32, back []frame) { c.calls[rule] = append(c.calls[rule], back...) }

// run appends the threads that begin here to those that go on.
func (c *closure) run(threads []thread) (all []thread, complete, open bool) {
	for {
		for len(c.work) > 0 {
			if len(c.seen) > maxFrames {
				c.a.err = errFull
				return nil, false, false
			}
			f := c.work[len(c.work)-1]
			c.work = c.work[:len(c.work)-1]
			c.follow(f)
		}
		if len(c.calls) == 0 {
			break
		}
		first := int32(-1)
		for r := range c.calls {
			if first < 0 || c.a.p.rank[r] < c.a.p.rank[first] {
				first = r
			}
		}
		back := c.calls[first]
		delete(c.calls, first)
		c.push(frame{c.a.p.entry[first], c.a.cont(back)})
	}
	for r, frames := range c.lexemes {
		threads = append(threads, thread{r, c.a.cont(frames)})
	}
	return threads, c.complete, c.complete && c.open
}

func (c *closure) follow(f frame) {
	if f.pc == endOfText {
		c.complete = true
		return
	}
	p := c.a.p
	if f.pc >= distinctly {
		c.distinctStrings(f)
		return
	}
	if f.pc >= dynamic {
		c.list(f)
		return
	}
	if p.dist[f.pc] >= never {
		return
	}
	switch i := p.code[f.pc]; i.op {
	case iLexeme:
		r := regex.ID(i.a)
		if r != regex.Epsilon {
			c.lexemes[r] = append(c.lexemes[r], c.back(f)...)
		}
		if c.a.set.Nullable(r) {
			c.push(frame{f.pc + 1, f.cont})
		}
	case iOpen:
		c.open = true
		c.push(frame{f.pc + 1, f.cont})
	case iCall:
		c.call(i.a, c.back(f))
	case iMembers:
		if first := c.a.first(i.a); first >= 0 {
			c.push(frame{first, f.cont})
		}
	case iDistinct:
		if first := c.a.distinctPlace(distinctKey{list: i.a, from: -1}); first >= 0 {
			c.push(frame{first, f.cont})
		}
	case iFork:
		for _, t := range p.targets[i.a:i.b] {
			c.push(frame{t, f.cont})
		}
	case iJump:
		c.push(frame{i.a, f.cont})
	case iReturn:
		c.push(c.a.conts[f.cont]...)
	}
}

// back returns the frames that follow the instruction at f. Where its rule ends
// there, these are the rule's own, so that repetitions by recursion do not grow.
func (c *closure) back(f frame) []frame {
	pc := f.pc + 1
	for c.a.p.code[pc].op == iJump {
		pc = c.a.p.code[pc].a
	}
	if c.a.p.code[pc].op == iReturn {
		return c.a.conts[f.cont]
	}
	return []frame{{pc, f.cont}}
}
