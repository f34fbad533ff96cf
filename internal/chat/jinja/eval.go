package jinja

import (
	"context"
	"time"
)

// RaisedError is the message of a raise_exception call in the template: the
// template refuses these messages.
type RaisedError struct{ Message string }

func (e *RaisedError) Error() string { return e.Message }

// Options of a rendering.
type Options struct {
	Limits Limits
	Now    func() time.Time // for strftime_now; time.Now when nil
}

// Result is a rendered text.
type Result struct {
	Text   string
	Client []Range // the parts of Text that came from Client values, ascending
}

// interp is the state of one rendering.
type interp struct {
	budget
	out      []byte
	marks    []Range // of out
	sc       *scope
	unmarked bool // marks were lost since interp.marked last asked
	now      func() time.Time
}

// scope holds the variables of a template, loop body, macro or block.
type scope struct {
	parent *scope
	names  []string
	vals   []Value
	index  map[string]int // positions of names, once there are many
	shared bool           // a macro keeps it: it must not be reused
}

// find returns the position of a name, or -1.
func (s *scope) find(name string) int {
	if s.index != nil {
		if i, ok := s.index[name]; ok {
			return i
		}
		return -1
	}
	for i, n := range s.names {
		if n == name {
			return i
		}
	}
	return -1
}

func (s *scope) set(name string, v Value) {
	if i := s.find(name); i >= 0 {
		s.vals[i] = v
		return
	}
	s.names = append(s.names, name)
	s.vals = append(s.vals, v)
	switch {
	case s.index != nil:
		s.index[name] = len(s.names) - 1
	case len(s.names) > 2*indexFrom:
		s.index = make(map[string]int, 2*len(s.names))
		for i, n := range s.names {
			s.index[n] = i
		}
	}
}

// clear makes the scope of one turn of a loop that of the next.
func (s *scope) clear() { s.names, s.vals, s.index = s.names[:0], s.vals[:0], nil }

func (s *scope) get(name string) (Value, bool) {
	for ; s != nil; s = s.parent {
		if i := s.find(name); i >= 0 {
			return s.vals[i], true
		}
	}
	return nil, false
}

// Render runs the template with the given variables. It ends early with the
// error of ctx when that is done.
func (t *Template) Render(ctx context.Context, vars *Dict, o Options) (r Result, err error) {
	in := &interp{budget: newBudget(ctx, o.Limits), now: o.Now}
	if in.now == nil {
		in.now = time.Now
	}
	root := &scope{}
	for i, k := range vars.keys {
		if name, ok := look(k); ok {
			root.set(name, vars.vals[i])
		}
	}
	in.sc = &scope{parent: root}
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(failure)
			if !ok {
				panic(p)
			}
			r, err = Result{}, f.err
		}
	}()
	in.run(t.body)
	return Result{string(in.out), in.marks}, nil
}

// write adds to the output.
func (in *interp) write(t text) {
	if int64(len(in.out)+len(t.s)) > in.limits.Output {
		in.exceeded("output")
	}
	in.marks = appendMarks(in.marks, len(in.out), t.marks)
	in.out = append(in.out, t.s...)
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
func (in *interp) capture(f func()) text {
	outer := in.marks
	start := len(in.out)
	in.marks = nil
	f()
	in.charge(len(in.out) - start)
	t := text{s: string(in.out[start:]), marks: in.marks}
	for i := range t.marks {
		t.marks[i].Start -= start
		t.marks[i].End -= start
	}
	in.out, in.marks = in.out[:start], outer
	return t
}

func (s textStmt) exec(in *interp) control {
	in.write(text{s: s.text})
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
	t := in.capture(func() { in.inScope(in.sc, s.body) })
	in.bind(s.target, in.applyChain(s.filter, t.value()))
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
	t := in.capture(func() { in.inScope(in.sc, s.body) })
	in.write(in.str(in.applyChain(s.filter, t.value())))
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
