package serving

import (
	"bytes"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// thinkingBudget limits how many tokens a model thinks for: after the last one,
// the only tokens that it may write are those that end its reasoning.
type thinkingBudget struct {
	left     int
	tok      *tokenizer.Tokenizer
	open     []byte  // the mark that begins reasoning
	shut     []byte  // the mark that ends it
	closing  []int32 // its tokens
	thinking bool
	over     bool   // the model does not think, or no longer
	tail     []byte // what was written last, as much as may be part of a mark
	forced   int    // tokens of closing that were written because the budget was used up
	mask     []uint64
}

func newThinkingBudget(tokens int, t *tokenizer.Tokenizer, marks *answer.Reasoner, begun bool) *thinkingBudget {
	return &thinkingBudget{
		left: tokens, tok: t, open: []byte(marks.Open), shut: []byte(marks.Close), thinking: begun,
		closing: t.Encode(marks.Close, false, true), mask: make([]uint64, (t.Vocab()+63)/64),
	}
}

// Allowed leaves only the next token of the closing mark when the budget is used up.
func (b *thinkingBudget) Allowed() []uint64 {
	if !b.spent() {
		return nil
	}
	clear(b.mask)
	id := b.closing[b.forced]
	b.mask[id/64] |= 1 << (id % 64)
	return b.mask
}

// spent reports whether the model must stop thinking now. It may still complete a
// character that it has begun.
func (b *thinkingBudget) spent() bool {
	if b.over || !b.thinking || b.left > 0 {
		return false
	}
	last, _ := utf8.DecodeLastRune(b.tail)
	return b.forced > 0 || b.left <= -utf8.UTFMax || last != utf8.RuneError || len(b.tail) == 0
}

// Prepare has nothing to do: what is allowed is known without work.
func (b *thinkingBudget) Prepare(int) error { return nil }

// Accept counts a token of the reasoning, and notices where that begins and ends.
func (b *thinkingBudget) Accept(token int32) (forced []int32, err error) {
	if b.over {
		return nil, nil
	}
	if b.spent() {
		b.forced++
		b.over = b.forced == len(b.closing)
		return nil, nil
	}
	b.tail = append(b.tail, b.tok.Piece(token)...)
	if !b.thinking {
		b.begin()
		return nil, nil
	}
	b.left--
	if b.over = bytes.Contains(b.tail, b.shut); b.over {
		return nil, nil
	}
	b.keep(b.tail[max(0, len(b.tail)-len(b.shut)):])
	return nil, nil
}

// begin finds out whether the answer begins with reasoning. One that begins with
// anything else has none. White space in front says nothing and is forgotten.
func (b *thinkingBudget) begin() {
	b.keep(bytes.TrimLeft(b.tail, " \t\r\n"))
	b.thinking = bytes.HasPrefix(b.tail, b.open)
	b.over = !b.thinking && !bytes.HasPrefix(b.open, b.tail)
}

// keep drops all of the tail but its end, in place, so that it never grows.
func (b *thinkingBudget) keep(end []byte) { b.tail = b.tail[:copy(b.tail, end)] }
