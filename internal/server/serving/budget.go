package serving

import (
	"strings"

	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// thinkingBudget limits how many tokens a model thinks for: after the last one,
// the only tokens that it may write are those that end its reasoning.
type thinkingBudget struct {
	left     int
	tok      *tokenizer.Tokenizer
	marks    *answer.Reasoner
	thinking bool
	over     bool   // the model does not think, or no longer
	tail     string // what was written last, as much as may be part of a mark
	closing  []int32
	forced   int // tokens of closing that were written because the budget was used up
	mask     []uint64
}

func newThinkingBudget(tokens int, t *tokenizer.Tokenizer, marks *answer.Reasoner, begun bool) *thinkingBudget {
	return &thinkingBudget{
		left: tokens, tok: t, marks: marks, thinking: begun,
		closing: t.Encode(marks.Close, false, true), mask: make([]uint64, (t.Vocab()+63)/64),
	}
}

// Allowed leaves only the next token of the closing mark when the budget is used up.
func (b *thinkingBudget) Allowed() []uint64 {
	if b.over || !b.thinking || b.left > 0 {
		return nil
	}
	clear(b.mask)
	id := b.closing[b.forced]
	b.mask[id/64] |= 1 << (id % 64)
	return b.mask
}

// Prepare has nothing to do: what is allowed is known without work.
func (b *thinkingBudget) Prepare(int) error { return nil }

// Accept counts a token of the reasoning, and notices where that begins and ends.
func (b *thinkingBudget) Accept(token int32) (forced []int32, err error) {
	if b.over {
		return nil, nil
	}
	if b.thinking && b.left == 0 {
		b.forced++
		b.over = b.forced == len(b.closing)
		return nil, nil
	}
	b.tail += string(b.tok.Piece(token))
	if !b.thinking {
		written := strings.TrimLeft(b.tail, " \n")
		b.thinking = strings.HasPrefix(written, b.marks.Open)
		b.over = !b.thinking && !strings.HasPrefix(b.marks.Open, written) // an answer that does not begin with reasoning has none
		return nil, nil
	}
	b.left--
	if b.over = strings.Contains(b.tail, b.marks.Close); b.over {
		return nil, nil
	}
	b.tail = b.tail[max(0, len(b.tail)-len(b.marks.Close)):]
	return nil, nil
}
