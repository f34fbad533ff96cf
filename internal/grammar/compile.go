package grammar

import (
	"fmt"
	"strings"
	"sync"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// never is the distance to the end of a text where there is no way to it.
const never = 1 << 28

type instrOp uint8

const (
	iLexeme   instrOp = iota // a lexeme of the regular expression a, then the next instruction
	iCall                    // the rule a, then the next instruction
	iFork                    // any of targets[a:b]
	iJump                    // a
	iReturn                  // the rule ends
	iMembers                 // the members of lists[a], then the next instruction
	iDistinct                // the strings of distinct[a], then the next instruction
	iOpen                    // nothing, see Builder.Open, then the next instruction
)

type instr struct {
	op   instrOp
	a, b int32
}

// program is the rules as instructions for a machine that follows all ways at once.
type program struct {
	code     []instr
	targets  []int32
	lists    []memberList
	distinct []distinctList
	tags     map[string]int32 // of the members' names
	quote    regex.ID         // a quotation mark
	dist     []int32          // [code] least bytes from there to the end of its rule
	entry    []int32          // [rules]
	rank     []int32          // [rules] a rule comes before those that can begin it
	start    int32
}

// Grammar is a compiled grammar. It may be used by many goroutines at a time.
type Grammar struct {
	program
	set    *regex.Set // the lexemes; not changed any more
	limits Limits

	mu     sync.Mutex
	arenas map[*Vocabulary]*arena
}

// Compile makes a Grammar whose texts are those of the rule start. Its error says
// which rule is at fault, or which bound is too small. The Builder must not be
// used afterwards.
func (b *Builder) Compile(start Rule) (*Grammar, error) {
	c := &compiler{b: b, program: program{start: int32(start), tags: map[string]int32{}, quote: b.set.Literal(`"`)}}
	for i, r := range b.rules {
		if !r.defined {
			return nil, fmt.Errorf("the rule %.60q is used but not defined", r.name)
		}
		c.entry = append(c.entry, int32(len(c.code)))
		if !c.emit(r.body) || !c.push(instr{op: iReturn}) {
			return nil, fmt.Errorf("the grammar has more than %d parts (at rule %.60q): use fewer or smaller repetitions", b.limits.Instructions, b.rules[i].name)
		}
	}
	if err := b.set.Err(); err != nil {
		return nil, err
	}
	c.distances()
	for i := range c.lists {
		c.seal(&c.lists[i])
	}
	if err := b.set.Err(); err != nil {
		return nil, err
	}
	if c.dist[c.entry[start]] >= never {
		return nil, fmt.Errorf("no text matches the grammar: the rule %.60q never ends or contradicts itself", b.rules[start].name)
	}
	if err := c.order(); err != nil {
		return nil, err
	}
	return &Grammar{program: c.program, set: b.set, limits: b.limits, arenas: map[*Vocabulary]*arena{}}, nil
}

type compiler struct {
	program
	b     *Builder
	state []int8 // [rules] of the walk of order: 0 unseen, 1 begun, 2 done
	trail []int32
	done  []int32
}

func (c *compiler) push(i instr) bool {
	c.code = append(c.code, i)
	return len(c.code) <= c.b.limits.Instructions && len(c.targets) <= c.b.limits.Instructions
}

// emit appends the instructions of a node. It returns false if they are too many.
func (c *compiler) emit(n Node) bool {
	e := &c.b.nodes[n]
	switch e.op {
	case opLexeme:
		return c.push(instr{op: iLexeme, a: e.aux[0]})
	case opOpen:
		return c.push(instr{op: iOpen})
	case opCall:
		return c.push(instr{op: iCall, a: e.aux[0]})
	case opSeq:
		for _, a := range e.args {
			if !c.emit(a) {
				return false
			}
		}
		return true
	case opChoice:
		return c.emitChoice(e.args)
	case opMembers:
		return c.emitMembers(&c.b.members[e.aux[0]])
	case opDistinct:
		return c.emitDistinct(c.b.distinct[e.aux[0]])
	default:
		return c.emitRepeat(e.args[0], int(e.aux[0]), int(e.aux[1]))
	}
}

func (c *compiler) emitChoice(args []Node) bool {
	if len(args) == 1 {
		return c.emit(args[0])
	}
	from := len(c.targets)
	c.targets = append(c.targets, make([]int32, len(args))...)
	if !c.push(instr{op: iFork, a: int32(from), b: int32(len(c.targets))}) {
		return false
	}
	jumps := make([]int, 0, len(args))
	for i, a := range args {
		c.targets[from+i] = int32(len(c.code))
		if !c.emit(a) {
			return false
		}
		jumps = append(jumps, len(c.code))
		if !c.push(instr{op: iJump}) {
			return false
		}
	}
	for _, j := range jumps {
		c.code[j].a = int32(len(c.code))
	}
	return true
}

func (c *compiler) emitRepeat(part Node, low, high int) bool {
	for range low {
		if !c.emit(part) {
			return false
		}
	}
	var exits []int // targets to fill in with the end
	fork := func() bool {
		n := int32(len(c.targets))
		c.targets = append(c.targets, int32(len(c.code)+1), 0)
		exits = append(exits, int(n)+1)
		return c.push(instr{op: iFork, a: n, b: n + 2})
	}
	if high == regex.Unbounded {
		loop := int32(len(c.code))
		if !fork() || !c.emit(part) || !c.push(instr{op: iJump, a: loop}) {
			return false
		}
	}
	for i := low; i < high; i++ {
		if !fork() || !c.emit(part) {
			return false
		}
	}
	for _, t := range exits {
		c.targets[t] = int32(len(c.code))
	}
	return true
}

// distances fills dist, rule by rule. When a rule's own distance falls, the rules
// that call it are looked at again.
func (c *compiler) distances() {
	c.dist = make([]int32, len(c.code)+1)
	for i := range c.dist {
		c.dist[i] = never
	}
	ends := append(append([]int32{}, c.entry[1:]...), int32(len(c.code)))
	callers := make([][]int32, len(c.entry))
	for r, from := range c.entry {
		for _, i := range c.code[from:ends[r]] {
			if i.op != iCall {
				continue
			}
			if n := len(callers[i.a]); n == 0 || callers[i.a][n-1] != int32(r) {
				callers[i.a] = append(callers[i.a], int32(r))
			}
		}
	}
	queued := make([]bool, len(c.entry))
	var work []int32
	for r := range c.entry { // the last rule is taken first
		work, queued[r] = append(work, int32(r)), true
	}
	for len(work) > 0 {
		r := work[len(work)-1]
		work, queued[r] = work[:len(work)-1], false
		before := c.dist[c.entry[r]]
		for changed := true; changed && c.b.set.Err() == nil; {
			changed = false
			c.b.set.Spend(1 + int(ends[r]-c.entry[r])/12)
			for pc := int(ends[r]) - 1; pc >= int(c.entry[r]); pc-- {
				if d := c.distance(pc); d < c.dist[pc] {
					c.dist[pc], changed = d, true
				}
			}
		}
		if c.dist[c.entry[r]] < before {
			for _, o := range callers[r] {
				if !queued[o] {
					work, queued[o] = append(work, o), true
				}
			}
		}
	}
}

func (c *compiler) distance(pc int) int32 {
	switch i := c.code[pc]; i.op {
	case iLexeme:
		return min(never, c.dist[pc+1]+int32(c.b.set.Dist(regex.ID(i.a))))
	case iCall:
		return min(never, c.dist[pc+1]+c.dist[c.entry[i.a]])
	case iOpen:
		return c.dist[pc+1]
	case iJump:
		return c.dist[i.a]
	case iMembers:
		l := &c.lists[i.a]
		c.price(l)
		return min(never, c.dist[pc+1]+l.whole())
	case iDistinct:
		return min(never, c.dist[pc+1]+c.distinct[i.a].whole())
	case iFork:
		d := int32(never)
		for _, t := range c.targets[i.a:i.b] {
			d = min(d, c.dist[t])
		}
		return d
	default:
		return 0
	}
}

// order ranks the rules, and refuses left recursion.
func (c *compiler) order() error {
	c.state = make([]int8, len(c.entry))
	c.rank = make([]int32, len(c.entry))
	for r := range c.entry {
		if err := c.visit(int32(r)); err != nil {
			return err
		}
	}
	for i, r := range c.done {
		c.rank[r] = int32(len(c.done) - i)
	}
	return nil
}

func (c *compiler) visit(r int32) error {
	if c.state[r] == 2 {
		return nil
	}
	if c.state[r] == 1 {
		var names []string
		for i := len(c.trail) - 1; i >= 0; i-- {
			names = append(names, c.b.rules[c.trail[i]].name)
			if c.trail[i] == r {
				break
			}
		}
		return fmt.Errorf("the rule %.60q begins with itself (left recursion, by way of %.80s): write it as a repetition", c.b.rules[r].name, strings.Join(names, ", "))
	}
	c.state[r] = 1
	c.trail = append(c.trail, r)
	seen := map[int32]bool{}
	work := []int32{c.entry[r]}
	for len(work) > 0 {
		pc := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[pc] || c.dist[pc] >= never {
			continue
		}
		seen[pc] = true
		switch i := c.code[pc]; i.op {
		case iLexeme:
			if c.b.set.Nullable(regex.ID(i.a)) {
				work = append(work, pc+1)
			}
		case iCall:
			if err := c.visit(i.a); err != nil {
				return err
			}
			if c.dist[c.entry[i.a]] == 0 {
				work = append(work, pc+1)
			}
		case iMembers, iDistinct, iOpen:
			work = append(work, pc+1)
		case iJump:
			work = append(work, i.a)
		case iFork:
			work = append(work, c.targets[i.a:i.b]...)
		}
	}
	c.trail = c.trail[:len(c.trail)-1]
	c.state[r] = 2
	c.done = append(c.done, r)
	return nil
}
