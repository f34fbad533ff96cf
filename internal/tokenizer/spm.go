package tokenizer

import (
	"math"
	"strings"
	"sync"
	"unicode/utf8"
)

// blankMark is how SentencePiece writes a space.
const blankMark = "▁"

// spm is SentencePiece's BPE. It begins with single characters. Of all neighbours
// whose joined text is a token, it joins the two whose token has the highest
// score, until no two can be joined. A character that is no token becomes the
// tokens of its bytes.
type spm struct {
	tokens  map[string]int32
	ranks   []uint32 // [tokens] the higher the score, the lower the rank
	longest int      // bytes of the longest token
	spelled [256]int32
	mergers sync.Pool

	beforeBlank [256]bool // bytes that stand before a ▁ in some token
}

func newSPM(texts []string, scores []float32, unknown int32) *spm {
	s := &spm{tokens: make(map[string]int32, len(texts)), ranks: make([]uint32, len(texts))}
	s.mergers.New = func() any { return new(merger) }
	for id, text := range texts {
		s.tokens[text] = int32(id)
		s.longest = max(s.longest, len(text))
		s.ranks[id] = rankOf(scores[id])
		for i := 1; i < len(text); i++ {
			if strings.HasPrefix(text[i:], blankMark) {
				s.beforeBlank[text[i-1]] = true
			}
		}
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
func (s *spm) encode(dst []int32, text string, most int) []int32 {
	text = strings.ReplaceAll(text, " ", blankMark)
	m := s.mergers.Get().(*merger)
	for len(text) > 0 && len(dst) <= most {
		n := s.island(text)
		dst = s.merge(dst, text[:n], m)
		text = text[n:]
	}
	m.release(&s.mergers)
	return dst
}

// island returns the length of a beginning of text that no token can join with
// what follows: it ends before a ▁ whose left neighbour stands before a ▁ in no
// token. Islands can be merged one by one with the same result in less time.
func (s *spm) island(text string) int {
	for from := 1; ; {
		i := strings.Index(text[from:], blankMark)
		if i < 0 {
			return len(text)
		}
		if from += i; !s.beforeBlank[text[from-1]] {
			return from
		}
		from += len(blankMark)
	}
}

// merge appends the tokens of an island.
func (s *spm) merge(dst []int32, text string, m *merger) []int32 {
	m.reset()
	for i := 0; i < len(text); {
		_, width := utf8.DecodeRuneInString(text[i:])
		m.add(noSymbol, i)
		i += width
	}
	m.run(text, s)
	for id, symbol := range m.all(text) {
		dst = s.token(dst, id, symbol)
	}
	return dst
}

// token appends the token of a symbol. id is noSymbol if the symbol is a single
// character that was never joined.
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
