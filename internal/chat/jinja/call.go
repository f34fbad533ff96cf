package jinja

// args are the evaluated arguments of a call.
type args struct {
	pos   []Value
	names []string
	named []Value

	client bool // some of the names came from a client
}

// key returns the i-th name as a value.
func (a *args) key(i int) Value {
	if a.client {
		return Client(a.names[i])
	}
	return a.names[i]
}

func (in *interp) args(c callArgs) *args {
	a := &args{}
	if n := len(c.pos); n > 0 {
		a.pos = make([]Value, 0, n)
	}
	for _, e := range c.pos {
		a.pos = append(a.pos, in.eval(e))
	}
	if c.star != nil {
		items := in.iterate(in.eval(c.star))
		in.charge(16 * len(items))
		a.pos = append(a.pos, items...)
	}
	for i, e := range c.named {
		a.name(c.names[i], in.eval(e))
	}
	if c.starKw != nil {
		d, ok := in.eval(c.starKw).(*Dict)
		if !ok {
			fail("argument after ** must be a mapping")
		}
		in.charge(32 * d.Len())
		for i, k := range d.keys {
			name, ok := look(k)
			if !ok {
				fail("keywords must be strings")
			}
			if t, isText := k.(*text); isText && len(t.marks) > 0 {
				a.client = true
			}
			a.name(name, d.vals[i])
		}
	}
	return a
}

func (a *args) name(name string, v Value) {
	for _, n := range a.names {
		if n == name {
			fail("got multiple values for keyword argument '%s'", name)
		}
	}
	a.names = append(a.names, name)
	a.named = append(a.named, v)
}

// pop takes the named argument out.
func (a *args) pop(name string) (Value, bool) {
	for i, n := range a.names {
		if n == name {
			v := a.named[i]
			a.names = append(a.names[:i:i], a.names[i+1:]...)
			a.named = append(a.named[:i:i], a.named[i+1:]...)
			return v, true
		}
	}
	return nil, false
}

// absent stands for an argument that was not given.
type absent struct{}

// bind matches the arguments with the parameters of a built-in, of which the
// first required must be given; the others are absent{} when they are not.
func (a *args) bind(fn string, required int, params ...string) []Value {
	if len(a.pos) > len(params) {
		fail("%s() takes at most %d arguments (%d given)", fn, len(params), len(a.pos))
	}
	vals := make([]Value, len(params))
	copy(vals, a.pos)
	used := 0
	for i, p := range params {
		given := i < len(a.pos)
		for j, n := range a.names {
			if n != p {
				continue
			}
			if given {
				fail("%s() got multiple values for argument '%s'", fn, p)
			}
			vals[i], given = a.named[j], true
			used++
		}
		if !given && i < required {
			fail("%s() missing argument '%s'", fn, p)
		}
		if !given {
			vals[i] = absent{}
		}
	}
	if used < len(a.names) {
		fail("%s() got an unexpected keyword argument", fn)
	}
	for i, v := range vals {
		vals[i] = plain(v)
	}
	return vals
}

func (in *interp) strOr(v Value, def, what string) string {
	if _, ok := v.(absent); ok {
		return def
	}
	if s, ok := in.read(v); ok {
		return s
	}
	need(v)
	fail("%s must be a string, not %s", what, typeName(v))
	return ""
}

func intOr(v Value, def int64, what string) int64 {
	switch v := v.(type) {
	case absent:
		return def
	case bool, int64:
		i, _, _, _ := number(v)
		return i
	}
	need(v)
	fail("%s must be an integer, not %s", what, typeName(v))
	return 0
}

func boolOr(v Value, def bool) bool {
	if _, ok := v.(absent); ok {
		return def
	}
	return truth(v)
}

func (e callExpr) eval(in *interp) Value {
	fn := in.eval(e.fn)
	return in.call(fn, in.args(e.args))
}

func (in *interp) call(fn Value, a *args) Value {
	switch f := fn.(type) {
	case boundMethod:
		return in.method(f.self, f.name, a)
	case *builtin:
		in.visitArgs(a)
		return in.marked(func() Value { return f.call(in, a) })
	case *macro:
		return in.callMacro(f, a)
	case *loopContext:
		if f.recurse == nil {
			fail("the loop must have the 'recursive' marker to be called recursively")
		}
		return f.recurse(a.bind("loop", 1, "iterable")[0], f.depth0+1)
	}
	need(fn)
	fail("'%s' object is not callable", typeName(fn))
	return nil
}

// macro is a macro, or the body of a call block, with the scope it sees.
type macro struct {
	def *macroDef
	sc  *scope
}

func (in *interp) closure(def *macroDef) *macro {
	for s := in.sc; s != nil && !s.shared; s = s.parent {
		s.shared = true
	}
	return &macro{def, in.sc}
}

func (s macroStmt) exec(in *interp) control {
	in.sc.set(s.def.name, in.closure(s.def))
	return proceed
}

func (s callStmt) exec(in *interp) control {
	fn := in.eval(s.call.fn)
	a := in.args(s.call.args)
	a.name("caller", in.closure(s.def))
	in.write(in.str(in.call(fn, a)))
	return proceed
}

func (in *interp) callMacro(m *macro, a *args) Value {
	def := m.def
	inner := &scope{parent: m.sc}
	vals := make([]Value, len(def.params))
	for i, p := range def.params {
		vals[i] = absent{}
		if i < len(a.pos) {
			vals[i] = a.pos[i]
		} else if v, ok := a.pop(p); ok {
			vals[i] = v
		}
	}
	in.extras(def, inner, a)
	caller := in.sc
	in.sc = inner
	for i, p := range def.params {
		v := vals[i]
		if _, ok := v.(absent); ok {
			v = &Undefined{"parameter '" + p + "' was not provided"}
			if d := i - (len(def.params) - len(def.defaults)); d >= 0 {
				v = in.eval(def.defaults[d])
			}
		}
		inner.set(p, v)
	}
	t := in.capture(func() { in.run(def.body) })
	in.sc = caller
	return t.value()
}

// extras sets caller, kwargs and varargs if the body uses them. Arguments that
// neither a parameter nor one of these three takes are an error.
func (in *interp) extras(def *macroDef, inner *scope, a *args) {
	explicit := false
	for _, p := range def.params {
		explicit = explicit || p == "caller"
	}
	if def.usesCaller && !explicit {
		v, ok := a.pop("caller")
		if !ok || v == nil {
			v = &Undefined{"No caller defined"}
		}
		inner.set("caller", v)
	}
	if def.usesKwargs {
		d := &Dict{}
		for i := range a.names {
			in.assign(d, a.key(i), a.named[i])
		}
		inner.set("kwargs", d)
	} else if len(a.names) > 0 {
		fail("macro '%s' takes no keyword argument '%s'", def.name, a.names[0])
	}
	extra := a.pos[min(len(def.params), len(a.pos)):]
	if def.usesArgs {
		inner.set("varargs", tuple(extra...))
	} else if len(extra) > 0 {
		fail("macro '%s' takes not more than %d argument(s)", def.name, len(def.params))
	}
}
