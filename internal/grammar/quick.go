package grammar

import "slices"

// spare is how many bytes a text may grow by before a matcher needs more memory.
const spare = 256

// reserve makes room, so that quick needs none.
func (m *Matcher) reserve() {
	m.text = slices.Grow(m.text, spare)
	m.states = slices.Grow(m.states, spare)
}

// quick takes a token and what must follow it, and returns the mask behind that, if
// all of it is known. Otherwise the text stays as it is.
func (m *Matcher) quick(token int32, left int, force bool) (forced []int32, mask []uint64, ok bool) {
	a := m.a
	if m.ended || token < 0 || int(token) >= len(m.v.pieces) || !a.mu.TryLock() {
		return nil, nil, false
	}
	defer a.mu.Unlock()
	if a.full() != nil {
		return nil, nil, false
	}
	at := len(m.text)
	if ok = m.known(token); ok && force {
		forced, ok = a.configs[m.state()].forced.tokens()
		for i := 0; i < len(forced) && ok; i++ {
			ok = m.known(forced[i])
		}
	}
	if left -= len(forced); ok && left > 0 {
		mask, ok = m.knownMask(left)
	}
	if !ok {
		m.truncate(at)
		return nil, nil, false
	}
	return forced, mask, true
}

// known takes a token, if there is room and the states behind it are known. It may
// leave a part of it.
func (m *Matcher) known(token int32) bool {
	p := m.v.pieces[token]
	if n := len(p); n == 0 || len(m.text)+n > cap(m.text) || len(m.states)+n > cap(m.states) {
		return false
	}
	for _, b := range p {
		next := m.a.knownStep(m.state(), b)
		if next == unfound || next == dead {
			return false
		}
		m.text, m.states = append(m.text, b), append(m.states, next)
	}
	return true
}

// knownStep is step, or unfound where that has not been computed.
func (a *arena) knownStep(id int32, b byte) int32 {
	c := &a.configs[id]
	switch {
	case c.typing:
		if next, ok := a.distinct.steps[typedByte{id, b}]; ok {
			return next
		}
		return unfound
	case c.row == nil:
		return unfound
	}
	return c.row[c.classes.Of(b)]
}

// knownMask returns the mask of the text's state, if it is known and the text can end
// in time behind each of its tokens.
func (m *Matcher) knownMask(left int) ([]uint64, bool) {
	e := m.a.configs[m.state()].mask
	if e == nil || int(e.worst) > m.inTime(left) {
		return nil, false
	}
	return m.bitsOf(e), true
}

// inTime is how many bytes may follow the next token if left tokens may be generated.
func (m *Matcher) inTime(left int) int {
	limit := left - 1
	if len(m.v.ends) > 0 {
		limit-- // the token that ends the text
	}
	if m.a.configs[m.state()].open {
		limit = max(limit, 0) // it may be cut behind any token that leaves it complete
	}
	return limit
}

// bitsOf returns the bits of a mask.
func (m *Matcher) bitsOf(e *mask) []uint64 {
	if e.bits != nil {
		return e.bits
	}
	clear(m.bits)
	for _, t := range e.few {
		setBit(m.bits, t)
	}
	return m.bits
}

// run is what must follow a state, in tokens; nil: that is not known.
type run []int32

// tokens returns them, and whether they are known.
func (r *run) tokens() ([]int32, bool) {
	if r == nil {
		return nil, false
	}
	return *r, true
}
