package grammar

// Follower has a text obey a grammar while a model writes it, token by token: it is
// what an engine asks for the tokens that may come next, and tells what came.
type Follower struct {
	m      *Matcher
	encode func(text []byte) []int32
	mask   []uint64
}

// Follow begins a text. encode is the tokenizer for what only one way leads on from;
// nil has every token chosen by the model.
func (g *Grammar) Follow(v *Vocabulary, encode func(text []byte) []int32) *Follower {
	return &Follower{m: g.Matcher(v), encode: encode}
}

// Prepare finds the tokens that may come next if left more may be generated.
func (f *Follower) Prepare(left int) (err error) {
	f.mask, err = f.m.Allowed(left)
	return err
}

// Allowed returns what Prepare found.
func (f *Follower) Allowed() []uint64 { return f.mask }

// Accept takes a token, and returns those that must follow it.
func (f *Follower) Accept(token int32) (forced []int32, err error) {
	if err := f.m.Accept(token); err != nil || f.encode == nil {
		return nil, err
	}
	if forced, err = f.m.ForcedTokens(f.encode); err != nil {
		return nil, err
	}
	for i, t := range forced {
		if f.m.Accept(t) != nil {
			return forced[:i], nil
		}
	}
	return forced, nil
}
