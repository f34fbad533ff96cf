package grammar

import (
	"errors"
	"fmt"
	"slices"
)

// ErrRefused is what Accept and AcceptBytes return for what may not come next.
var ErrRefused = errors.New("the grammar does not allow this here")

// Matcher is the state of one text that a grammar restricts. It is used by one
// goroutine at a time.
type Matcher struct {
	g      *Grammar
	v      *Vocabulary
	a      *arena
	text   []byte
	states []int32 // [len(text)+1] in the arena
	ended  bool    // by a token of Vocabulary.ends
	bits   []uint64
}

// Matcher returns a matcher at the beginning of a text. Without a vocabulary it
// takes bytes only.
func (g *Grammar) Matcher(v *Vocabulary) *Matcher {
	if v == nil {
		v = noTokens
	}
	m := &Matcher{g: g, v: v, bits: make([]uint64, v.words)}
	m.a = g.arena(v, nil)
	m.states = append(m.states, initial)
	return m
}

var noTokens = NewVocabulary(nil, nil)

// arena returns the arena for a vocabulary, a new one if the newest is old.
func (g *Grammar) arena(v *Vocabulary, old *arena) *arena {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.arenas[v]
	if a == nil || a == old {
		a = g.newArena(v)
		g.arenas[v] = a
	}
	return a
}

// maxWork bounds the work of one call of a matcher, in the units of
// regex.Set.Spend: a second or two, a thousand times what a mask usually takes.
const maxWork = 1 << 24

// run calls f with the arena locked. If the arena is full it moves to a new one
// and calls f again.
func (m *Matcher) run(f func(a *arena) error) error {
	for fresh := false; ; fresh = true {
		m.a.mu.Lock()
		m.a.set.SetBudget(maxWork)
		err := m.a.full()
		if err == nil {
			if err = f(m.a); m.a.err != nil {
				err = m.a.err
			}
		}
		m.a.mu.Unlock()
		if !errors.Is(err, errFull) || fresh {
			return err
		}
		if err := m.move(); err != nil {
			return err
		}
	}
}

// move takes the text to a new arena.
func (m *Matcher) move() error {
	m.a = m.g.arena(m.v, m.a)
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	m.a.set.SetBudget(maxWork)
	for i, b := range m.text {
		m.states[i+1] = m.a.advance(m.a.configs[m.states[i]].threads, b) // without a row: most are not walked again
	}
	return m.a.full()
}

func (m *Matcher) state() int32 { return m.states[len(m.states)-1] }

// Allowed is the set of tokens that may come next if left more tokens may be
// generated, bit t%64 of word t/64 for token t. With a negative left there is no
// bound; otherwise only such tokens are allowed behind which the text can still
// be complete in time (or, if it is too late for that, as soon as possible), together
// with the token that ends it unless the text may be cut (Builder.Open). The set is
// valid until the matcher's next call, and is not to be changed.
func (m *Matcher) Allowed(left int) (bits []uint64, err error) {
	if m.ended {
		clear(m.bits)
		return m.bits, nil
	}
	err = m.run(func(a *arena) error {
		e := a.maskOf(m.state(), m.bits)
		if limit := m.inTime(left); left >= 0 && int(e.worst) > limit {
			a.within(m.state(), int32(max(limit, -1)), m.bits)
			bits = m.bits
			return nil
		}
		bits = m.bitsOf(e)
		return nil
	})
	return bits, err
}

// Accept takes a token.
func (m *Matcher) Accept(token int32) error {
	if token < 0 || int(token) >= len(m.v.pieces) || m.ended {
		return fmt.Errorf("token %d: %w", token, ErrRefused)
	}
	if slices.Contains(m.v.ends, token) {
		if !m.Complete() {
			return fmt.Errorf("token %d ends the text: %w", token, ErrRefused)
		}
		m.ended = true
		return nil
	}
	p := m.v.pieces[token]
	if len(p) == 0 || len(p) > maxPiece {
		return fmt.Errorf("token %d is no text: %w", token, ErrRefused)
	}
	if err := m.AcceptBytes(p); err != nil {
		return fmt.Errorf("token %d, %.40q: %w", token, p, err)
	}
	return nil
}

// AcceptBytes takes text. It takes all of it or, with an error, none.
func (m *Matcher) AcceptBytes(text []byte) error {
	if m.ended {
		return ErrRefused
	}
	at := len(m.text)
	err := m.run(func(a *arena) error {
		m.truncate(at)
		for _, b := range text {
			next := a.step(m.state(), b)
			if next == dead {
				return ErrRefused
			}
			m.text = append(m.text, b)
			m.states = append(m.states, next)
		}
		return nil
	})
	if err != nil {
		m.truncate(at)
	}
	return err
}

// truncate takes back all of the text but its first n bytes.
func (m *Matcher) truncate(n int) {
	m.text, m.states = m.text[:n], m.states[:n+1]
}

// Complete reports whether the text may end here.
func (m *Matcher) Complete() bool { return m.read(func(c *config) bool { return c.complete }) }

func (m *Matcher) read(f func(c *config) bool) bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	return f(&m.a.configs[m.state()])
}

// Least returns the number of bytes, and so at most the number of tokens, that
// complete the text.
func (m *Matcher) Least() (n int) {
	m.read(func(c *config) bool { n = int(c.dist); return true })
	return n
}

// maxForced is how many bytes Forced returns at most.
const maxForced = 1 << 12

// Forced returns the bytes that must come next, as far as there is one way on.
func (m *Matcher) Forced() (forced []byte, err error) {
	if m.ended {
		return nil, nil
	}
	err = m.run(func(a *arena) error {
		forced = forced[:0]
		for at := m.state(); len(forced) < maxForced; {
			b, next := a.only(at)
			if next == dead {
				break
			}
			forced, at = append(forced, b), next
		}
		return nil
	})
	return forced, err
}

// only returns the byte that must come next and the state behind it, or dead.
func (a *arena) only(id int32) (only byte, next int32) {
	if a.configs[id].complete {
		return 0, dead
	}
	classes := a.configs[id].classes
	for b := 0; b < 256; {
		end := classes.Next(b)
		if to := a.step(id, byte(b)); to != dead {
			if next != dead || end-b > 1 {
				return 0, dead
			}
			only, next = byte(b), to
		}
		b = end
	}
	return only, next
}

// ForcedTokens returns tokens that must come next, with encode as the tokenizer.
// Their text is certain: there is no other way on. Their spelling is the
// tokenizer's own of all that is forced, without what came before; of its last four
// tokens those are dropped at whose beginning a longer token could cross the end of
// what is forced, because the model might choose that one. A model that was asked
// for every token could spell the same text in another way.
//
// They are kept with the state. encode must be the same function for all texts of a
// Vocabulary.
func (m *Matcher) ForcedTokens(encode func(text []byte) []int32) (tokens []int32, err error) {
	if m.ended {
		return nil, nil
	}
	known := false
	m.read(func(c *config) bool { tokens, known = c.forced.tokens(); return known })
	if known {
		return tokens, nil
	}
	if tokens, err = m.forcedTokens(encode); err != nil {
		return nil, err
	}
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	m.a.configs[m.state()].forced = (*run)(&tokens)
	m.a.used += 4*len(tokens) + 32
	return tokens, nil
}

func (m *Matcher) forcedTokens(encode func(text []byte) []int32) ([]int32, error) {
	forced, err := m.Forced()
	if err != nil || len(forced) == 0 {
		return nil, err
	}
	tokens := encode(forced)
	n := 0
	for _, t := range tokens {
		if t < 0 || int(t) >= len(m.v.pieces) || len(m.v.pieces[t]) == 0 || !slices.Equal(forced[n:min(n+len(m.v.pieces[t]), len(forced))], m.v.pieces[t]) {
			return nil, nil // the tokenizer spells the text otherwise
		}
		n += len(m.v.pieces[t])
	}
	if n != len(forced) {
		return nil, nil
	}
	keep := len(tokens)
	for i := len(tokens) - 1; i >= 0 && i >= len(tokens)-4; i-- {
		n -= len(m.v.pieces[tokens[i]])
		if m.v.crosses(forced[n:]) {
			keep = i
		}
	}
	return tokens[:keep], nil
}

// Match reports whether text is a whole text of the grammar.
func (g *Grammar) Match(text []byte) bool {
	m := g.Matcher(nil)
	return m.AcceptBytes(text) == nil && m.Complete()
}
