package jinja

import "fmt"

// Template is a parsed template. It is immutable and safe for concurrent use.
type Template struct {
	body   []stmt
	source string
}

// Source returns the text that the template was parsed from.
func (t *Template) Source() string { return t.source }

// Parse parses a chat template.
func Parse(source string) (t *Template, err error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("template of %d bytes exceeds %d", len(source), maxSource)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			t, err = nil, f.err
		}
	}()
	p := &parser{tokens: tokens}
	body, _ := p.statements()
	return &Template{body: body, source: source}, nil
}

// statements parses until one of the end tags, which is consumed up to its
// name and returned. Without end tags it parses to the end of the template.
func (p *parser) statements(ends ...string) (body []stmt, end string) {
	p.nest()
	defer p.unnest()
	for {
		switch t := p.next(); t.kind {
		case tokData:
			body = append(body, textStmt{t.text})
		case tokVarBegin:
			body = append(body, outputStmt{p.tuple(false, true, nil)})
			p.expectEnd(tokVarEnd)
		case tokBlockBegin:
			tag := p.expectName()
			for _, e := range ends {
				if tag == e {
					return body, tag
				}
			}
			body = append(body, p.statement(tag))
			p.expectEnd(tokBlockEnd)
		default:
			if len(ends) > 0 {
				p.errorf("unexpected end of template, looking for %q", ends)
			}
			return body, ""
		}
	}
}

func (p *parser) expectEnd(k kind) {
	if p.cur().kind != k {
		p.errorf("expected end of tag, got %s", p.cur().describe())
	}
	p.pos++
}

// block parses "%} … {% end" and returns the body and the end tag found.
func (p *parser) block(ends ...string) ([]stmt, string) {
	p.skipOp(":")
	p.expectEnd(tokBlockEnd)
	return p.statements(ends...)
}

func (p *parser) statement(tag string) stmt {
	switch tag {
	case "if":
		return p.ifTag()
	case "for":
		return p.forTag()
	case "set":
		return p.setTag()
	case "macro":
		return p.macroTag()
	case "call":
		return p.callTag()
	case "with":
		return p.withTag()
	case "filter":
		f := filterStmt{filter: p.filters(p.filter(nil))}
		f.body, _ = p.block("endfilter")
		return f
	case "generation":
		body, _ := p.block("endgeneration")
		return scopeStmt{body}
	case "autoescape":
		p.expression()
		body, _ := p.block("endautoescape")
		return scopeStmt{body}
	case "block":
		p.expectName()
		p.skipName("scoped")
		body, _ := p.block("endblock")
		if p.cur().kind == tokName {
			p.pos++
		}
		return scopeStmt{body}
	case "break", "continue":
		if p.loops == 0 {
			p.errorf("'%s' outside of a loop", tag)
		}
		if tag == "break" {
			return jumpStmt{breakLoop}
		}
		return jumpStmt{continueLoop}
	case "print":
		return p.printTag()
	}
	p.errorf("unknown tag '%s'", tag)
	return nil
}

func (p *parser) printTag() stmt {
	parts := []expr{p.expression()}
	for p.skipOp(",") {
		parts = append(parts, p.expression())
	}
	return outputStmt{concatExpr{parts}}
}

func (p *parser) ifTag() stmt {
	var s ifStmt
	for {
		s.tests = append(s.tests, p.tuple(false, false, nil))
		body, end := p.block("elif", "else", "endif")
		s.bodies = append(s.bodies, body)
		switch end {
		case "elif":
			continue
		case "else":
			s.els, _ = p.block("endif")
		}
		return s
	}
}

func (p *parser) forTag() stmt {
	var s forStmt
	s.target = p.assignTarget(false, func() bool { return p.isName("in") })
	if !p.skipName("in") {
		p.errorf("expected 'in', got %s", p.cur().describe())
	}
	s.in = p.tuple(false, false, func() bool { return p.isName("recursive") })
	if p.skipName("if") {
		s.test = p.expression()
	}
	s.recursive = p.skipName("recursive")
	p.loops++
	body, end := p.block("endfor", "else")
	p.loops--
	s.body = body
	if end == "else" {
		s.els, _ = p.block("endfor")
	}
	return s
}

func (p *parser) setTag() stmt {
	t := p.assignTarget(true, nil)
	if p.skipOp("=") {
		return setStmt{t, p.tuple(false, true, nil)}
	}
	s := setBlockStmt{target: t, filter: p.filters(nil)}
	s.body, _ = p.block("endset")
	return s
}

// assignTarget parses names with commas between them; stop ends the list.
func (p *parser) assignTarget(namespaces bool, stop func() bool) target {
	var parts []target
	isTuple := false
	for {
		if p.isOp(")") || p.isOp("=") || p.cur().kind == tokBlockEnd || stop != nil && stop() {
			break
		}
		parts = append(parts, p.oneTarget(namespaces))
		if !p.skipOp(",") {
			break
		}
		isTuple = true
	}
	if len(parts) == 0 {
		p.errorf("expected a name, got %s", p.cur().describe())
	}
	if len(parts) == 1 && !isTuple {
		return parts[0]
	}
	return target{parts: parts}
}

func (p *parser) oneTarget(namespaces bool) target {
	if p.skipOp("(") {
		p.nest()
		defer p.unnest()
		t := p.assignTarget(namespaces, nil)
		p.expectOp(")")
		return t
	}
	t := target{name: p.expectName()}
	switch t.name {
	case "true", "false", "none", "True", "False", "None":
		p.errorf("can't assign to '%s'", t.name)
	}
	if namespaces && p.skipOp(".") {
		t.attr = p.expectName()
	}
	return t
}

func (p *parser) withTag() stmt {
	var s withStmt
	for p.cur().kind != tokBlockEnd {
		if s.targets != nil {
			p.expectOp(",")
		}
		s.targets = append(s.targets, p.assignTarget(false, nil))
		p.expectOp("=")
		s.values = append(s.values, p.expression())
	}
	s.body, _ = p.block("endwith")
	return s
}

// signature parses a parenthesised list of parameters.
func (p *parser) signature(def *macroDef) {
	p.expectOp("(")
	for !p.isOp(")") {
		if len(def.params) > 0 {
			p.expectOp(",")
		}
		def.params = append(def.params, p.expectName())
		if p.skipOp("=") {
			def.defaults = append(def.defaults, p.expression())
		} else if len(def.defaults) > 0 {
			p.errorf("non-default argument follows default argument")
		}
	}
	p.expectOp(")")
}

func (p *parser) macroBody(def *macroDef, end string) {
	loops := p.loops
	p.loops = 0
	p.macros = append(p.macros, def)
	def.body, _ = p.block(end)
	p.macros = p.macros[:len(p.macros)-1]
	p.loops = loops
}

func (p *parser) macroTag() stmt {
	def := &macroDef{name: p.expectName()}
	p.signature(def)
	p.macroBody(def, "endmacro")
	return macroStmt{def}
}

func (p *parser) callTag() stmt {
	def := &macroDef{name: "caller"}
	if p.isOp("(") {
		p.signature(def)
	}
	call, ok := p.expression().(callExpr)
	if !ok {
		p.errorf("expected a call")
	}
	p.macroBody(def, "endcall")
	return callStmt{call, def}
}
