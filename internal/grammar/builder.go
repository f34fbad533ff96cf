package grammar

import (
	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// Limits bound what a grammar may grow to. Zero means the default.
type Limits struct {
	Instructions int // of the compiled rules: 1 << 19
	Expressions  int // regular expressions while the rules are built: 1 << 17
	Work         int // of making the rules and compiling them, see regex.Set.Spend: 1,000,000, at most 200 ms
	Memory       int // bytes of states and masks that are kept: 64 MB
}

func (l Limits) withDefaults() Limits {
	def := func(v, d int) int {
		if v <= 0 {
			return d
		}
		return v
	}
	return Limits{def(l.Instructions, 1<<19), def(l.Expressions, 1<<17), def(l.Work, 1_000_000), def(l.Memory, 64<<20)}
}

// Node is a part of a rule: what a method of its Builder returned.
type Node int32

// Rule names a rule of a Builder. Rules may call each other and themselves,
// except as the first thing that they match (left recursion).
type Rule int32

// Builder collects the rules of a grammar. A lexeme may end wherever its regular
// expression allows: all ways of reading a text are followed at once, so there is
// no longest match. White space is matched only where a rule says so.
type Builder struct {
	limits   Limits
	set      *regex.Set
	nodes    []expr
	rules    []ruleDef
	members  []Members
	distinct []Distinct
}

type op uint8

const (
	opLexeme op = iota // aux[0]: the regular expression
	opCall             // aux[0]: the rule
	opSeq
	opChoice
	opRepeat   // aux: from, to
	opMembers  // aux[0]: which of the Builder's members
	opDistinct // aux[0]: which of the Builder's lists of distinct strings
	opOpen
)

type expr struct {
	op   op
	aux  [2]int32
	args []Node
}

type ruleDef struct {
	name    string
	body    Node
	defined bool
}

// NewBuilder returns a Builder without rules.
func NewBuilder(limits Limits) *Builder {
	limits = limits.withDefaults()
	set := regex.NewSet(limits.Expressions)
	set.SetBudget(limits.Work)
	return &Builder{limits: limits, set: set}
}

// Regex returns the Set to make lexemes with.
func (b *Builder) Regex() *regex.Set { return b.set }

func (b *Builder) add(e expr) Node {
	b.nodes = append(b.nodes, e)
	return Node(len(b.nodes) - 1)
}

// Lexeme matches a regular expression of Regex().
func (b *Builder) Lexeme(r regex.ID) Node { return b.add(expr{op: opLexeme, aux: [2]int32{int32(r)}}) }

// Literal matches one string.
func (b *Builder) Literal(text string) Node { return b.Lexeme(b.set.Literal(text)) }

// Nothing matches the empty string.
func (b *Builder) Nothing() Node { return b.add(expr{op: opSeq}) }

// Open matches the empty string, and says that a text which is complete here may as well
// be cut: a matcher that has to keep to a number of tokens lets it go on to the last one.
// Elsewhere the last one is kept for the end.
func (b *Builder) Open() Node { return b.add(expr{op: opOpen}) }

// Seq matches its parts one after the other.
func (b *Builder) Seq(parts ...Node) Node { return b.add(expr{op: opSeq, args: parts}) }

// Choice matches any of its parts.
func (b *Builder) Choice(parts ...Node) Node { return b.add(expr{op: opChoice, args: parts}) }

// Optional matches a part or nothing.
func (b *Builder) Optional(part Node) Node { return b.Repeat(part, 0, 1) }

// Repeat matches a part at least low and at most high times; high may be
// regex.Unbounded. The part is copied for each counted time: make it a Call of a
// rule where it is large.
func (b *Builder) Repeat(part Node, low, high int) Node {
	return b.add(expr{op: opRepeat, aux: [2]int32{int32(low), int32(high)}, args: []Node{part}})
}

// Rule makes a rule whose body Define gives, before or after it is called.
func (b *Builder) Rule(name string) Rule {
	b.rules = append(b.rules, ruleDef{name: name})
	return Rule(len(b.rules) - 1)
}

// Define gives a rule its body.
func (b *Builder) Define(r Rule, body Node) { b.rules[r].body, b.rules[r].defined = body, true }

// Call matches what a rule matches.
func (b *Builder) Call(r Rule) Node { return b.add(expr{op: opCall, aux: [2]int32{int32(r)}}) }
