package schema

import "github.com/penstock-llm/penstock/internal/grammar/regex"

// The parts of the format regex. They are the expressions that ECMA-262, Python and Go agree about, but for lookaheads, which Go has not: no back
// references, no named groups, and no ranges of which it would have to be computed that they ascend.
const (
	literalChar = `[^\x00-\x1f\\^$.*+?()[{|]`
	classChar   = `[^\x00-\x1f\\^[\]-]`
	charEscape  = `\\(?:[dDwWsStnrfv]|[!-/:-@[-^{-~]|x[0-9A-Fa-f]{2})`
	boundary    = `[\^$]|\\[bB]`
	quantifier  = `(?:[*+?]|\{(?:\d{1,3}|\d{1,3},|\d,[1-9]\d{1,2}|[1-9]\d,[1-9]\d\d|` + ascending + `)\})\??`
	// From one digit to one, or from two to two.
	ascending = `0,\d|1,[1-9]|2,[2-9]|3,[3-9]|4,[4-9]|5,[5-9]|6,[6-9]|7,[7-9]|8,[89]|9,9|` +
		`1\d,[2-9]\d|2\d,[3-9]\d|3\d,[4-9]\d|4\d,[5-9]\d|5\d,[6-9]\d|6\d,[7-9]\d|7\d,[89]\d|8\d,9\d`
)

// maxGroups is how deep the groups of an expression may be nested.
const maxGroups = 4

// expression is the format regex.
func (c *compiler) expression() regex.ID {
	part := func(pattern string) regex.ID {
		id, err := c.set.Whole(pattern)
		if err != nil {
			panic(err)
		}
		return id
	}
	s := c.set
	text := s.Literal
	var ranges []regex.ID
	for _, r := range []string{"09", "AZ", "az"} {
		for lo := r[0]; lo <= r[1]; lo++ {
			ranges = append(ranges, s.Concat(text(string(lo)+"-"), s.ByteRange(lo, r[1])))
		}
	}
	element := s.Or(append(ranges, part(classChar), part(charEscape))...)
	dash := s.Opt(text("-"))
	class := s.Concat(text("["), s.Opt(text("^")), dash, s.Plus(element), dash, text("]"))
	atom := s.Or(part(literalChar), text("."), part(charEscape), class)
	assertion, repeat := part(boundary), s.Opt(part(quantifier))
	out := regex.Epsilon
	for range maxGroups + 1 {
		group := regex.Empty
		look := regex.Empty
		if out != regex.Epsilon {
			group = s.Concat(text("("), s.Opt(text("?:")), out, text(")"))
			look = s.Concat(s.Or(text("(?="), text("(?!")), out, text(")"))
		}
		out = s.Star(s.Or(assertion, look, text("|"), s.Concat(s.Or(atom, group), repeat)))
	}
	return out
}
