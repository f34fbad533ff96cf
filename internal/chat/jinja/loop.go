package jinja

// loopContext is the loop variable of a for statement, and its iterator.
type loopContext struct {
	items  []Value // not visited yet
	filter func(Value) bool
	index0 int64
	total  int64 // -1 until it is asked for

	current, before Value
	after           Value
	peeked, hasNext bool // after is valid; it exists

	changedArgs Value
	changedSet  bool
	recurse     func(items Value, depth0 int64) Value // nil unless recursive
	depth0      int64
}

// pull removes and returns the next item that passes the loop's condition.
func (l *loopContext) pull() (Value, bool) {
	for len(l.items) > 0 {
		v := l.items[0]
		l.items = l.items[1:]
		if l.filter == nil || l.filter(v) {
			return v, true
		}
	}
	return nil, false
}

func (l *loopContext) next() bool {
	v, ok := l.peek()
	l.peeked = false
	if !ok {
		return false
	}
	l.index0++
	l.before, l.current = l.current, v
	return true
}

// peek evaluates the loop's condition one item ahead, as Python does only
// when loop.last or loop.nextitem is asked for.
func (l *loopContext) peek() (Value, bool) {
	if !l.peeked {
		l.after, l.hasNext = l.pull()
		l.peeked = true
	}
	return l.after, l.hasNext
}

func (l *loopContext) length() int64 {
	if l.total >= 0 {
		return l.total
	}
	rest := l.items
	if l.filter != nil {
		rest = nil
		for v, ok := l.pull(); ok; v, ok = l.pull() {
			rest = append(rest, v)
		}
		l.filter = nil
	}
	l.items = rest
	l.total = int64(len(rest)) + l.index0 + 1
	if l.peeked && l.hasNext {
		l.total++
	}
	return l.total
}

func (l *loopContext) rest() []Value {
	var items []Value
	for l.next() {
		items = append(items, tuple(l.current, l))
	}
	return items
}

// attr returns a property of the loop variable.
func (l *loopContext) attr(name string) (Value, bool) {
	switch name {
	case "index":
		return l.index0 + 1, true
	case "index0":
		return l.index0, true
	case "revindex":
		return l.length() - l.index0, true
	case "revindex0":
		return l.length() - l.index0 - 1, true
	case "first":
		return l.index0 == 0, true
	case "last":
		_, more := l.peek()
		return !more, true
	case "length":
		return l.length(), true
	case "depth":
		return l.depth0 + 1, true
	case "depth0":
		return l.depth0, true
	case "previtem":
		if l.index0 == 0 {
			return &Undefined{"there is no previous item"}, true
		}
		return l.before, true
	case "nextitem":
		if v, ok := l.peek(); ok {
			return v, true
		}
		return &Undefined{"there is no next item"}, true
	case "cycle", "changed":
		return boundMethod{l, name}, true
	}
	return nil, false
}

// loopMethod calls loop.cycle or loop.changed.
func (in *interp) loopMethod(l *loopContext, name string, a *args) Value {
	if name == "cycle" {
		if len(a.pos) == 0 {
			fail("no items for cycling given")
		}
		return a.pos[l.index0%int64(len(a.pos))]
	}
	given := tuple(a.pos...)
	if l.changedSet && in.equal(l.changedArgs, given) {
		return false
	}
	l.changedArgs, l.changedSet = given, true
	return true
}

func (s forStmt) exec(in *interp) control {
	return in.loop(&s, in.eval(s.in), 0)
}

// loop runs a for statement over items. A break or continue ends here.
func (in *interp) loop(s *forStmt, items Value, depth0 int64) control {
	outer := in.sc
	l := &loopContext{items: in.iterate(items), index0: -1, total: -1, depth0: depth0}
	if s.test != nil {
		l.filter = func(v Value) bool {
			caller := in.sc
			in.sc = &scope{parent: outer}
			in.enter()
			in.bind(s.target, v)
			ok := truth(in.eval(s.test))
			in.leave()
			in.sc = caller
			return ok
		}
	} else {
		l.total = int64(len(l.items))
	}
	if s.recursive {
		l.recurse = func(items Value, depth0 int64) Value {
			caller := in.sc
			in.sc = outer
			t := in.capture(func() { in.loop(s, items, depth0) })
			in.sc = caller
			return t.value()
		}
	}
	ran := in.turns(s, l, outer)
	in.sc = outer
	if !ran {
		return in.inScope(outer, s.els)
	}
	return proceed
}

// turns runs the loop's body for each item and tells whether it came to its end once. Jinja notes that at the end of the body, so that a loop
// whose turns all end with continue, or whose first one ends with break, has its else run, too.
func (in *interp) turns(s *forStmt, l *loopContext, outer *scope) (ran bool) {
	body := &scope{parent: outer}
	for l.next() {
		if body.shared {
			body = &scope{parent: outer}
		}
		body.clear()
		in.sc = body
		body.set("loop", l)
		in.bind(s.target, l.current)
		switch in.run(s.body) {
		case breakLoop:
			return ran
		case proceed:
			ran = true
		}
	}
	return ran
}
