package tokenizer

import (
	"math"
	"strings"
	"sync"
)

// blankMark is how SentencePiece writes a space.
const blankMark = "▁"

// spm is SentencePiece's BPE: of all neighbours that are a token together, it
// joins those whose token has the highest score. What is left in no token is
// spelled in bytes.
type spm struct {
	tokens  map[string]int32
	ranks   []uint32 // [tokens] the higher the score, the lower the rank
	longest int      // bytes of the longest token
	spelled [256]int32
	mergers sync.Pool
}

func newSPM(texts []string, scores []float32, unknown int32) *spm {
	s := &spm{tokens: make(map[string]int32, len(texts)), ranks: make([]uint32, len(texts))}
	s.mergers.New = func() any { return new(merger) }
	for id, text := range texts {
		s.tokens[text] = int32(id)
		s.longest = max(s.longest, len(text))
		s.ranks[id] = rankOf(scores[id])
	}
	for i := range s.spelled {
		s.spelled[i] = unknown
		for _, name := range []string{string([]byte{byte(i)}), byteName(byte(i))} {
			if id, ok := s.tokens[name]; ok {
				s.spelled[i] = id
			}
		}
	}
	return s
}

// rankOf maps scores to ranks in descending order.
func rankOf(score float32) uint32 {
	bits := math.Float32bits(score + 0) // +0: no negative zero
	if bits>>31 != 0 {
		return bits
	}
	return math.MaxInt32 - bits
}

// encode appends the tokens of text.
func (s *spm) encode(dst []int32, text string) []int32 {
	text = strings.ReplaceAll(text, " ", blankMark)
	m := s.mergers.Get().(*merger)
	m.reset()
	for i := 0; i < len(text); i += charLen(text[i:]) {
		m.add(noSymbol, i)
	}
	m.run(text, s)
	for i := int32(0); i >= 0 && len(m.nodes) > 0; {
		n := &m.nodes[i]
		dst = s.token(dst, n.symbol, text[n.start:m.end(n, text)])
		i = n.next
	}
	m.release(&s.mergers)
	return dst
}

// token appends the token of a symbol, which may be one that never was joined.
func (s *spm) token(dst []int32, id int32, symbol string) []int32 {
	if id == noSymbol {
		var ok bool
		if id, ok = s.tokens[symbol]; !ok {
			for i := range len(symbol) {
				if b := s.spelled[symbol[i]]; b >= 0 {
					dst = append(dst, b)
				}
			}
			return dst
		}
	}
	return append(dst, id)
}

func (s *spm) join(_, _ int32, text string) (int32, uint32) {
	if len(text) > s.longest {
		return noSymbol, 0
	}
	if id, ok := s.tokens[text]; ok {
		return id, s.ranks[id]
	}
	return noSymbol, 0
}

// charLen is the length of the character that s begins with, judged by its
// first byte alone.
func charLen(s string) int {
	n := 1
	switch {
	case s[0] >= 0xf0:
		n = 4
	case s[0] >= 0xe0:
		n = 3
	case s[0] >= 0xc0:
		n = 2
	}
	return min(n, len(s))
}
