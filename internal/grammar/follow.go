package grammar

import "slices"

// Follower has a text obey a grammar while a model writes it, token by token: it is
// what an engine asks for the tokens that may come next, and tells what came.
type Follower struct {
	m      *Matcher
	encode func(text []byte) []int32
	mask   []uint64 // nil: any token
}

// Follow begins a text. encode is the tokenizer for what only one way leads on from,
// the same one for all texts of a Vocabulary; nil has every token chosen by the model.
func (g *Grammar) Follow(v *Vocabulary, encode func(text []byte) []int32) *Follower {
	return &Follower{m: g.Matcher(v), encode: encode}
}

// Prepare finds the tokens that may come next if left more may be generated.
func (f *Follower) Prepare(left int) (err error) {
	f.m.reserve()
	f.mask, err = f.m.Allowed(left)
	f.open()
	return err
}

// open forgets a mask that allows every token, which spares the engine the masking.
func (f *Follower) open() {
	if slices.Equal(f.mask, f.m.v.all) {
		f.mask = nil
	}
}

// Allowed returns what Prepare or Quick found; nil allows every token.
func (f *Follower) Allowed() []uint64 { return f.mask }

// Any returns the tokens that a text may have, and those that end it.
func (f *Follower) Any() []uint64 { return f.m.v.all }

// Accept takes a token, and returns those that must follow it. Where any token may
// come, one without text changes nothing.
func (f *Follower) Accept(token int32) (forced []int32, err error) {
	if f.mask != nil || hasBit(f.m.v.all, token) {
		if err := f.m.Accept(token); err != nil {
			return nil, err
		}
	}
	if f.encode == nil {
		return nil, nil
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

// Quick is Accept and Prepare in one, where it takes no work: the states behind the
// token, what must follow it and the mask behind that are known, because a text of the
// grammar has been there. Else it does nothing, and returns false. It waits for nobody
// and allocates nothing.
func (f *Follower) Quick(token int32, left int) (forced []int32, ok bool) {
	if f.mask == nil && !hasBit(f.m.v.all, token) {
		return nil, false
	}
	forced, mask, ok := f.m.quick(token, left, f.encode != nil)
	if ok {
		f.mask = mask
		f.open()
	}
	return forced, ok
}
