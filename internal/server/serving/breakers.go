package serving

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/sample"
)

// usualBreakers are llama-server's.
var usualBreakers = []string{"\n", ":", `"`, "*"}

// Limits of breakers. A short text can stand for thousands of token sequences: one for
// each token that ends with its beginning. Like llama-server, we look at the beginning
// of a long text only.
const (
	maxBreakers    = 128
	maxBreakerText = 40      // bytes of a text that count
	maxBreakerRest = 20      // tokens of a sequence, behind its first
	maxSequences   = 1 << 18 // that all texts stand for
)

// breakerCache keeps the last breakers that were made: making them looks at every
// token of the vocabulary, and most requests have the same.
type breakerCache struct {
	mu    sync.Mutex
	texts []string
	made  *sample.Breakers
}

func (b *breakerCache) of(m *Deployment, c *Check, texts []string) *sample.Breakers {
	if !c.texts("dry_sequence_breakers", texts, maxBreakers, maxWordText) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.made == nil || !slices.Equal(b.texts, texts) {
		sequences, ok := breakerSequences(m, texts, maxSequences)
		if !ok {
			c.Fail(Bad("dry_sequence_breakers", "dry_sequence_breakers stand for too many token sequences: give fewer texts, or shorter ones"))
			return nil
		}
		b.texts, b.made = slices.Clone(texts), sample.NewBreakers(m.Tokenizer.Vocab(), sequences)
	}
	return b.made
}

// breakerSequences finds the token sequences in which a text may appear: a token that
// contains it, or one that ends with the beginning of it, and the tokens of the
// rest. It returns false if there are more than most.
func breakerSequences(m *Deployment, texts []string, most int) (sequences [][]int32, ok bool) {
	for _, text := range texts {
		text = beginning(text, maxBreakerText)
		rests := make([][]int32, len(text)) // tokens of text[n:]
		for n := 1; n < len(text); n++ {
			rest := m.Tokenizer.Encode(text[n:], false, false)
			rests[n] = rest[:min(len(rest), maxBreakerRest)]
		}
		for id := range int32(m.Tokenizer.Vocab()) {
			piece := string(m.Tokenizer.Piece(id))
			if strings.Contains(piece, text) {
				sequences = append(sequences, []int32{id})
				continue
			}
			for n := 1; n < len(text) && n <= len(piece); n++ {
				if strings.HasSuffix(piece, text[:n]) && len(rests[n]) > 0 {
					sequences = append(sequences, append([]int32{id}, rests[n]...))
				}
			}
		}
		if len(sequences) > most {
			return nil, false
		}
	}
	return sequences, true
}

// beginning is a text, or as many of its first characters as most bytes hold.
func beginning(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
