package jinja

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits bound what one rendering may cost. Zero fields take the defaults.
type Limits struct {
	Steps  int64 // evaluated nodes, loop turns and 64-byte scans; 2 million
	Memory int64 // bytes of all values made, freed or not; 128 MiB
	Output int64 // bytes of the result; 32 MiB
	Depth  int   // nested evaluations, macro calls included; 3000
}

// ErrLimit is wrapped by the error of a rendering that exceeded its limits.
var ErrLimit = errors.New("template exceeds its limits")

// RaisedError is the message of a raise_exception call in the template: the
// template refuses these messages.
type RaisedError struct{ Message string }

func (e *RaisedError) Error() string { return e.Message }

// Options of a rendering.
type Options struct {
	Limits Limits
	Now    func() time.Time // for strftime_now; time.Now when nil
}

// interp is the state of one rendering.
type interp struct {
	out    []byte
	sc     *scope
	limits Limits
	steps  int64 // left
	memory int64 // left
	depth  int
	now    func() time.Time
}

// scope holds the variables of a template, loop body, macro or block.
type scope struct {
	parent *scope
	names  []string
	vals   []Value
	shared bool // a macro keeps it: it must not be reused
}

func (s *scope) set(name string, v Value) {
	for i, n := range s.names {
		if n == name {
			s.vals[i] = v
			return
		}
	}
	s.names = append(s.names, name)
	s.vals = append(s.vals, v)
}

func (s *scope) get(name string) (Value, bool) {
	for ; s != nil; s = s.parent {
		for i, n := range s.names {
			if n == name {
				return s.vals[i], true
			}
		}
	}
	return nil, false
}

// Render runs the template with the given variables.
func (t *Template) Render(vars *Dict, o Options) (text string, err error) {
	in := &interp{limits: o.Limits, now: o.Now}
	in.limits.fill()
	in.steps, in.memory = in.limits.Steps, in.limits.Memory
	if in.now == nil {
		in.now = time.Now
	}
	root := &scope{names: make([]string, 0, vars.Len()), vals: make([]Value, 0, vars.Len())}
	for i, k := range vars.keys {
		if name, ok := k.(string); ok {
			root.names = append(root.names, name)
			root.vals = append(root.vals, vars.vals[i])
		}
	}
	in.sc = &scope{parent: root}
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			text, err = "", f.err
		}
	}()
	in.run(t.body)
	return string(in.out), nil
}

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

// enter accounts for one step, one level deeper; leave undoes the level.
func (in *interp) enter() {
	in.steps--
	in.depth++
	if in.steps < 0 || in.depth > in.limits.Depth {
		in.exceeded("steps or depth")
	}
}

func (in *interp) leave() { in.depth-- }

func (in *interp) exceeded(what string) {
	panic(failure{fmt.Errorf("%w: %s", ErrLimit, what)})
}

// charge accounts for n bytes that are about to be made.
func (in *interp) charge(n int) {
	in.memory -= int64(n)
	if n < 0 || in.memory < 0 {
		in.exceeded("memory")
	}
	in.scan(n)
}

// scan accounts for the time that looking at n bytes takes.
func (in *interp) scan(n int) {
	in.steps -= int64(n) / 64
	if in.steps < 0 {
		in.exceeded("steps")
	}
}

// chargeMany is charge(size*count) without overflow.
func (in *interp) chargeMany(size int, count int64) {
	if count > 0 && int64(size) > math.MaxInt32*int64(64)/count {
		in.exceeded("memory")
	}
	in.charge(size * int(max(count, 0)))
}

func (in *interp) write(s string) {
	if int64(len(in.out)+len(s)) > in.limits.Output {
		in.exceeded("output")
	}
	in.out = append(in.out, s...)
}

// eval evaluates one node.
func (in *interp) eval(e expr) Value {
	in.enter()
	v := e.eval(in)
	in.leave()
	return v
}

// run executes statements until one of them jumps.
func (in *interp) run(body []stmt) control {
	for _, s := range body {
		in.enter()
		c := s.exec(in)
		in.leave()
		if c != proceed {
			return c
		}
	}
	return proceed
}

// inScope runs body in a new scope below parent.
func (in *interp) inScope(parent *scope, body []stmt) control {
	outer := in.sc
	in.sc = &scope{parent: parent}
	c := in.run(body)
	in.sc = outer
	return c
}

// capture returns what f writes instead of writing it.
func (in *interp) capture(f func()) string {
	start := len(in.out)
	f()
	in.charge(len(in.out) - start)
	s := string(in.out[start:])
	in.out = in.out[:start]
	return s
}

func (s textStmt) exec(in *interp) control {
	in.write(s.text)
	return proceed
}

func (s outputStmt) exec(in *interp) control {
	in.write(in.str(in.eval(s.value)))
	return proceed
}

func (s ifStmt) exec(in *interp) control {
	for i, test := range s.tests {
		if truth(in.eval(test)) {
			return in.run(s.bodies[i])
		}
	}
	return in.run(s.els)
}

func (s setStmt) exec(in *interp) control {
	in.bind(s.target, in.eval(s.value))
	return proceed
}

func (s setBlockStmt) exec(in *interp) control {
	text := in.capture(func() { in.inScope(in.sc, s.body) })
	in.bind(s.target, in.applyChain(s.filter, text))
	return proceed
}

// applyChain applies a chain of filters that has no input of its own.
func (in *interp) applyChain(chain expr, v Value) Value {
	f, ok := chain.(filterExpr)
	if !ok {
		return v
	}
	return in.filter(f.name, in.applyChain(f.in, v), in.args(f.args))
}

func (s withStmt) exec(in *interp) control {
	outer := in.sc
	inner := &scope{parent: outer}
	for i, t := range s.targets {
		v := in.eval(s.values[i])
		in.sc = inner
		in.bind(t, v)
		in.sc = outer
	}
	in.sc = inner
	c := in.run(s.body)
	in.sc = outer
	return c
}

func (s filterStmt) exec(in *interp) control {
	text := in.capture(func() { in.inScope(in.sc, s.body) })
	in.write(in.str(in.applyChain(s.filter, text)))
	return proceed
}

func (s scopeStmt) exec(in *interp) control { return in.inScope(in.sc, s.body) }

func (s jumpStmt) exec(*interp) control { return s.to }

// bind assigns v to a target in the current scope.
func (in *interp) bind(t target, v Value) {
	switch {
	case t.parts != nil:
		items := in.iterate(v)
		if len(items) != len(t.parts) {
			fail("cannot unpack %d values into %d names", len(items), len(t.parts))
		}
		for i, part := range t.parts {
			in.bind(part, items[i])
		}
	case t.attr != "":
		obj, _ := in.sc.get(t.name)
		ns, ok := obj.(*namespace)
		if !ok {
			fail("cannot assign attribute on non-namespace object")
		}
		in.assign(ns.attrs, t.attr, v)
	default:
		in.charge(32)
		in.sc.set(t.name, v)
	}
}
