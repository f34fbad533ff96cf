package jinja

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Limits bound what one rendering may cost. Zero fields take the defaults.
type Limits struct {
	Steps  int64 // evaluated nodes, values visited, and 64 bytes looked at or made; 2 million
	Memory int64 // bytes of all values made, freed or not; 128 MiB
	Output int64 // bytes of the result; 32 MiB
	Depth  int   // nested evaluations, macro calls included; 3000
}

// ErrLimit is wrapped by the error of a rendering that exceeded its limits.
var ErrLimit = errors.New("template exceeds its limits")

func (l *Limits) fill() {
	if l.Steps == 0 {
		l.Steps = 2_000_000
	}
	if l.Memory == 0 {
		l.Memory = 128 << 20
	}
	if l.Output == 0 {
		l.Output = 32 << 20
	}
	if l.Depth == 0 {
		l.Depth = 3000
	}
}

// budget is what is left of the limits of a rendering. Whatever takes time or
// memory is charged here, before it is done: nodes and visited values by enter,
// bytes that are looked at by scan, bytes that are made by charge.
type budget struct {
	ctx    context.Context
	limits Limits
	steps  int64 // left
	memory int64 // left
	depth  int
	check  int64 // ctx is asked when steps have come down to this
}

// checkEvery is the number of steps between two looks at the context: some
// tenths of a millisecond.
const checkEvery = 4096

func newBudget(ctx context.Context, l Limits) budget {
	l.fill()
	return budget{ctx: ctx, limits: l, steps: l.Steps, memory: l.Memory, check: l.Steps}
}

// enter charges one step, one level deeper; leave undoes the level.
func (b *budget) enter() {
	b.depth++
	if b.depth > b.limits.Depth {
		b.exceeded("depth")
	}
	b.spend(1)
}

func (b *budget) leave() { b.depth-- }

// spend charges n steps.
func (b *budget) spend(n int64) {
	b.steps -= n
	if b.steps > b.check {
		return
	}
	if b.steps < 0 {
		b.exceeded("steps")
	}
	b.check = b.steps - checkEvery
	if err := b.ctx.Err(); err != nil {
		panic(failure{err})
	}
}

func (b *budget) exceeded(what string) {
	panic(failure{fmt.Errorf("%w: %s", ErrLimit, what)})
}

// scan charges for looking at n bytes.
func (b *budget) scan(n int) { b.spend(int64(n) / 64) }

// charge charges for n bytes that are about to be made.
func (b *budget) charge(n int) {
	b.memory -= int64(n)
	if n < 0 || b.memory < 0 {
		b.exceeded("memory")
	}
	b.scan(n)
}

// chargeMany is charge(size*count) without overflow.
func (b *budget) chargeMany(size int, count int64) {
	if count > 0 && int64(size) > math.MaxInt32*int64(64)/count {
		b.exceeded("memory")
	}
	b.charge(size * int(max(count, 0)))
}

// visit charges for handing v to a filter, a method or a test, which looks at
// all of a string and at every item of a list.
func (b *budget) visit(v Value) {
	switch v := v.(type) {
	case string:
		b.scan(len(v))
	case *text:
		b.scan(len(v.s))
	case *List:
		b.scan(16 * len(v.Items))
	case *Dict:
		b.scan(32 * len(v.keys))
	case *iterable:
		b.scan(16 * len(v.items))
	}
}

func (b *budget) visitArgs(a *args) {
	for _, v := range a.pos {
		b.visit(v)
	}
	for _, v := range a.named {
		b.visit(v)
	}
}
