package grammar

import "errors"

// Regex makes the grammar of the texts that an ECMA-262 pattern matches from
// beginning to end.
func Regex(pattern string, limits Limits) (*Grammar, error) {
	b := NewBuilder(limits)
	r, err := b.set.Whole(pattern)
	if err != nil {
		return nil, err
	}
	start := b.Rule("pattern")
	b.Define(start, b.Lexeme(r))
	return b.Compile(start)
}

// Choice makes the grammar of some texts.
func Choice(texts []string, limits Limits) (*Grammar, error) {
	if len(texts) == 0 {
		return nil, errors.New("there is nothing to choose from")
	}
	b := NewBuilder(limits)
	start := b.Rule("choice")
	b.Define(start, b.Lexeme(b.set.Literals(texts)))
	return b.Compile(start)
}
