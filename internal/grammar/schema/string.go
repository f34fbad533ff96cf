package schema

import (
	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// text reads a keyword about strings as a language of their characters, before they are written as JSON.
func (c *compiler) text(n *node, keyword string) regex.ID {
	switch keyword {
	case "type":
		if ok, _ := declares(n, isString); ok {
			return regex.All
		}
		return regex.Empty
	case "enum", "const":
		var texts []string
		for _, v := range listed(n, keyword, isString) {
			texts = append(texts, v.text)
		}
		return c.set.Literals(texts)
	case "minLength":
		return c.set.Repeat(c.set.AnyRune(), count(n, keyword), regex.Unbounded)
	case "maxLength":
		return c.set.Repeat(c.set.AnyRune(), 0, count(n, keyword))
	case "pattern":
		return c.pattern(n, keyword, n.v.get(keyword))
	case "format":
		return c.format(n)
	}
	return regex.All
}

// pattern is the texts in which an expression is found.
func (c *compiler) pattern(n *node, keyword string, v *value) regex.ID {
	if v.kind != kindString {
		fail(n, keyword, "must be a string")
	}
	return c.patternText(n, keyword, v.text)
}

func (c *compiler) patternText(n *node, keyword, text string) regex.ID {
	if id, ok := c.patterns[text]; ok {
		return id
	}
	id, err := c.set.Pattern(text)
	if err != nil {
		fail(n, keyword, "%v", err)
	}
	c.patterns[text] = id
	return id
}

func (c *compiler) format(n *node) regex.ID {
	v := n.v.get("format")
	if v.kind != kindString {
		fail(n, "format", "must be a string")
	}
	expression, ok := formats[v.text]
	if contains(refusedFormats, v.text) {
		fail(n, "format", "%.40q is not served; use pattern", v.text)
	}
	if v.text == "regex" {
		return c.expression()
	}
	if !ok {
		return regex.All // the specification has unknown formats pass
	}
	id := c.patternText(n, "format", expression)
	if limit, ok := formatLength[v.text]; ok {
		id = c.set.And(id, c.set.Repeat(c.set.AnyRune(), 0, limit))
	}
	return id
}

// written is a string of a language of characters: of JSON, unless the notation has others.
func (c *compiler) written(texts regex.ID) regex.ID {
	if c.notation.Quote != "" {
		return c.fenced(texts)
	}
	quote := c.set.Literal(`"`)
	return c.set.Concat(quote, c.set.Quoted(c.set.And(c.set.Text(), texts)), quote)
}
