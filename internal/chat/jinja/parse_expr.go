package jinja

import "fmt"

const (
	maxNesting = 200     // of expressions and blocks, as written
	maxSource  = 1 << 20 // bytes of a template
)

// parser builds the tree of a template. Like the evaluator it panics with a
// failure; Parse recovers it.
type parser struct {
	tokens []token
	pos    int
	depth  int
	macros []*macroDef // enclosing ones, for varargs, kwargs and caller
	loops  int
}

func (p *parser) cur() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (p *parser) errorf(format string, a ...any) {
	fail("line %d: %s", p.cur().line, fmt.Sprintf(format, a...))
}

func (p *parser) isOp(op string) bool {
	t := p.cur()
	return t.kind == tokOp && t.text == op
}

func (p *parser) isName(name string) bool {
	t := p.cur()
	return t.kind == tokName && t.text == name
}

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expectOp(op string) {
	if !p.skipOp(op) {
		p.errorf("expected '%s', got %s", op, p.cur().describe())
	}
}

func (p *parser) expectName() string {
	if p.cur().kind != tokName {
		p.errorf("expected a name, got %s", p.cur().describe())
	}
	return p.next().text
}

func (t token) describe() string {
	switch t.kind {
	case tokEOF:
		return "end of template"
	case tokVarEnd, tokBlockEnd:
		return "end of tag"
	case tokInt, tokFloat:
		return "number"
	}
	return fmt.Sprintf("%q", t.text)
}

func (p *parser) nest() {
	if p.depth++; p.depth > maxNesting {
		p.errorf("nested too deeply")
	}
}

func (p *parser) unnest() { p.depth-- }

// expression parses a conditional expression.
func (p *parser) expression() expr {
	p.nest()
	defer p.unnest()
	e := p.or()
	for p.skipName("if") {
		c := condExpr{test: p.or(), then: e}
		if p.skipName("else") {
			c.els = p.expression()
		}
		e = c
	}
	return e
}

func (p *parser) or() expr {
	e := p.and()
	for p.skipName("or") {
		e = orExpr{e, p.and()}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.skipName("and") {
		e = andExpr{e, p.not()}
	}
	return e
}

func (p *parser) not() expr {
	if !p.skipName("not") {
		return p.compare()
	}
	p.nest()
	defer p.unnest()
	return notExpr{p.not()}
}

func (p *parser) compare() expr {
	c := compareExpr{first: p.sum()}
	for {
		op := ""
		switch t := p.cur(); {
		case t.kind == tokOp:
			switch t.text {
			case "==", "!=", "<", "<=", ">", ">=":
				op = t.text
			}
		case p.isName("in"):
			op = "in"
		case p.isName("not") && p.tokens[p.pos+1].kind == tokName && p.tokens[p.pos+1].text == "in":
			op = "not in"
			p.pos++
		}
		if op == "" {
			break
		}
		p.pos++
		c.ops = append(c.ops, op)
		c.rest = append(c.rest, p.sum())
	}
	if len(c.ops) == 0 {
		return c.first
	}
	return c
}

func (p *parser) sum() expr {
	e := p.concat()
	for {
		switch {
		case p.skipOp("+"):
			parts := []expr{e, p.concat()}
			for p.skipOp("+") {
				parts = append(parts, p.concat())
			}
			e = sumExpr{parts}
		case p.skipOp("-"):
			e = binExpr{"-", e, p.concat()}
		default:
			return e
		}
	}
}

func (p *parser) concat() expr {
	parts := []expr{p.product()}
	for p.skipOp("~") {
		parts = append(parts, p.product())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return concatExpr{parts}
}

func (p *parser) product() expr {
	e := p.power()
	for p.isOp("*") || p.isOp("/") || p.isOp("//") || p.isOp("%") {
		op := p.next().text
		e = binExpr{op, e, p.power()}
	}
	return e
}

func (p *parser) power() expr {
	e := p.unary(true)
	for p.skipOp("**") {
		e = binExpr{"**", e, p.unary(true)}
	}
	return e
}

func (p *parser) unary(filters bool) expr {
	var e expr
	switch {
	case p.isOp("-"), p.isOp("+"):
		p.nest()
		if p.next().text == "-" {
			e = negExpr{p.unary(false)}
		} else {
			e = posExpr{p.unary(false)}
		}
		p.unnest()
	default:
		e = p.primary()
	}
	e = p.postfix(e)
	if filters {
		e = p.filtersAndTests(e)
	}
	return e
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case tokName:
		return p.name(t.text)
	case tokString:
		text := t.text
		for p.cur().kind == tokString {
			text += p.next().text
		}
		return constant{text}
	case tokInt, tokFloat:
		return constant{t.val}
	case tokOp:
		switch t.text {
		case "(":
			e := p.tuple(true, true, nil)
			p.expectOp(")")
			return e
		case "[":
			return listExpr{p.items("]")}
		case "{":
			return p.dict()
		}
	}
	p.pos--
	p.errorf("unexpected %s", t.describe())
	return nil
}

func (p *parser) name(name string) expr {
	switch name {
	case "true", "True":
		return constant{true}
	case "false", "False":
		return constant{false}
	case "none", "None":
		return constant{nil}
	}
	for _, m := range p.macros {
		m.usesArgs = m.usesArgs || name == "varargs"
		m.usesKwargs = m.usesKwargs || name == "kwargs"
		m.usesCaller = m.usesCaller || name == "caller"
	}
	return nameExpr{name}
}

// items parses expressions up to the closing bracket.
func (p *parser) items(end string) []expr {
	var items []expr
	for !p.isOp(end) {
		if items != nil {
			p.expectOp(",")
			if p.isOp(end) {
				break
			}
		}
		items = append(items, p.expression())
	}
	p.expectOp(end)
	return items
}

func (p *parser) dict() expr {
	var d dictExpr
	for !p.isOp("}") {
		if d.keys != nil {
			p.expectOp(",")
			if p.isOp("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expression())
		p.expectOp(":")
		d.vals = append(d.vals, p.expression())
	}
	p.expectOp("}")
	return d
}

// tuple parses one expression, or several with commas between them as a tuple.
// stop tells whether a keyword ends it. Without cond, x if y is not parsed.
func (p *parser) tuple(parenthesised, cond bool, stop func() bool) expr {
	var items []expr
	isTuple := false
	for {
		if p.isOp(")") || p.cur().kind == tokVarEnd || p.cur().kind == tokBlockEnd || stop != nil && stop() {
			break
		}
		if cond {
			items = append(items, p.expression())
		} else {
			items = append(items, p.or())
		}
		if !p.skipOp(",") {
			break
		}
		isTuple = true
	}
	if !isTuple && len(items) == 1 {
		return items[0]
	}
	if !isTuple && !parenthesised {
		p.errorf("expected an expression, got %s", p.cur().describe())
	}
	return tupleExpr{items}
}

func (p *parser) postfix(e expr) expr {
	for {
		switch {
		case p.isOp("."):
			p.pos++
			switch t := p.next(); t.kind {
			case tokName:
				e = attrExpr{e, t.text}
			case tokInt:
				e = itemExpr{e, constant{t.val}}
			default:
				p.pos--
				p.errorf("expected name or number")
			}
		case p.skipOp("["):
			e = itemExpr{e, p.subscript()}
		case p.isOp("("):
			e = callExpr{e, p.arguments()}
		default:
			return e
		}
	}
}

// subscript parses what stands between brackets, and the closing one.
func (p *parser) subscript() expr {
	var parts []expr
	for !p.isOp("]") {
		if parts != nil {
			p.expectOp(",")
		}
		parts = append(parts, p.index())
	}
	p.expectOp("]")
	if len(parts) == 1 {
		return parts[0]
	}
	return tupleExpr{parts}
}

func (p *parser) index() expr {
	var s sliceExpr
	if !p.isOp(":") {
		e := p.expression()
		if !p.isOp(":") {
			return e
		}
		s.start = e
	}
	p.expectOp(":")
	ends := func() bool { return p.isOp("]") || p.isOp(",") || p.isOp(":") }
	if !ends() {
		s.stop = p.expression()
	}
	if p.skipOp(":") && !ends() {
		s.step = p.expression()
	}
	return s
}

func (p *parser) filtersAndTests(e expr) expr {
	for {
		switch {
		case p.isOp("|"):
			e = p.filters(e)
		case p.skipName("is"):
			e = p.test(e)
		case p.isOp("("):
			e = callExpr{e, p.arguments()}
		default:
			return e
		}
	}
}

// filters parses one or more "| name(args)".
func (p *parser) filters(e expr) expr {
	for p.skipOp("|") {
		e = p.filter(e)
	}
	return e
}

func (p *parser) filter(e expr) expr {
	f := filterExpr{in: e, name: p.dottedName()}
	if p.isOp("(") {
		f.args = p.arguments()
	}
	return f
}

func (p *parser) dottedName() string {
	name := p.expectName()
	for p.skipOp(".") {
		name += "." + p.expectName()
	}
	return name
}

func (p *parser) test(e expr) expr {
	negated := p.skipName("not")
	t := testExpr{in: e, name: p.dottedName()}
	switch c := p.cur(); {
	case p.isOp("("):
		t.args = p.arguments()
	case c.kind == tokName && c.text == "is":
		p.errorf("tests cannot be chained with is")
	case c.kind == tokName && c.text != "else" && c.text != "or" && c.text != "and",
		c.kind == tokString, c.kind == tokInt, c.kind == tokFloat, p.isOp("["), p.isOp("{"):
		t.args.pos = []expr{p.postfix(p.primary())}
	}
	if negated {
		return notExpr{t}
	}
	return t
}

// arguments parses a parenthesised argument list.
func (p *parser) arguments() callArgs {
	p.nest()
	defer p.unnest()
	var a callArgs
	p.expectOp("(")
	for first := true; !p.isOp(")"); first = false {
		if !first {
			p.expectOp(",")
			if p.isOp(")") {
				break
			}
		}
		p.argument(&a)
	}
	p.expectOp(")")
	return a
}

func (p *parser) argument(a *callArgs) {
	bad := func(is bool) {
		if is {
			p.errorf("invalid syntax for function call expression")
		}
	}
	t, after := p.cur(), p.tokens[min(p.pos+1, len(p.tokens)-1)]
	switch {
	case p.skipOp("*"):
		bad(a.star != nil || a.starKw != nil)
		a.star = p.expression()
	case p.skipOp("**"):
		bad(a.starKw != nil)
		a.starKw = p.expression()
	case t.kind == tokName && after.kind == tokOp && after.text == "=":
		bad(a.starKw != nil)
		p.pos += 2
		a.names = append(a.names, t.text)
		a.named = append(a.named, p.expression())
	default:
		bad(a.star != nil || a.starKw != nil || len(a.named) > 0)
		a.pos = append(a.pos, p.expression())
	}
}
