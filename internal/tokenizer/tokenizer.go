// Package tokenizer turns text into the token ids of a model and back, exactly
// as llama.cpp does for the same GGUF file: byte-level BPE with all its
// pre-tokenizers, SentencePiece (BPE and unigram) and WordPiece.
//
// Encoding takes time linear in the text, but for a logarithm, whatever the
// text. Decoding can go token by token without ever splitting a character.
//
// The package knows nothing of messages and templates; chat builds prompts. The
// server and the command line encode prompts and decode answers with it, the
// engine asks it which tokens end an answer.
package tokenizer

import (
	"fmt"
	"slices"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// Tokenizer is the tokenizer of one model. It is safe for concurrent use.
type Tokenizer struct {
	algorithm algorithm
	specials  *specials
	spellings spellings
	attrs     []attr // [tokens]

	bos, eos    int32 // -1: none
	first, last int32 // what Encode puts around a text; -1: nothing
	eog         []int32
	spacePrefix bool // Encode puts a space before text that no text precedes
	stripsSpace bool // decoders take it away again
}

// algorithm is how text without special tokens is encoded.
type algorithm interface {
	// encode appends the tokens of text to dst.
	encode(dst []int32, text string) []int32
}

// New builds the tokenizer that a model file describes. The file may be closed
// afterwards.
func New(f *gguf.File) (*Tokenizer, error) {
	t, err := load(f)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", f.Path(), err)
	}
	return t, nil
}

// Encode returns the tokens of text. With addBOS it adds the tokens that the
// model wants at the beginning and at the end. With parseSpecial, control tokens
// in the text are recognised; without it they are text like any other, as those
// that users write should be.
func (t *Tokenizer) Encode(text string, addBOS, parseSpecial bool) []int32 {
	ids := make([]int32, 0, len(text)/3+4)
	if addBOS && t.first >= 0 {
		ids = append(ids, t.first)
	}
	afterToken := true
	t.specials.split(text, parseSpecial, func(raw string) {
		if t.spacePrefix && afterToken {
			raw = " " + raw
		}
		ids = t.algorithm.encode(ids, raw)
		afterToken = false
	}, func(id int32) {
		ids = append(ids, id)
		afterToken = true
	})
	if addBOS && t.last >= 0 {
		ids = append(ids, t.last)
	}
	return ids
}

// Decode returns the text of tokens, with the names of control tokens if special.
func (t *Tokenizer) Decode(ids []int32, special bool) string {
	d := t.NewDecoder(special)
	var text []byte
	for _, id := range ids {
		text = d.Append(text, id)
	}
	return string(d.Flush(text))
}

// Vocab returns the number of tokens.
func (t *Tokenizer) Vocab() int { return len(t.attrs) }

// BOS returns the token that begins a text, or -1.
func (t *Tokenizer) BOS() int32 { return t.bos }

// EOS returns the token that ends a text, or -1.
func (t *Tokenizer) EOS() int32 { return t.eos }

// AddsBOS says whether the model wants BOS at the beginning of every text.
func (t *Tokenizer) AddsBOS() bool { return t.first >= 0 }

// EOG returns the tokens that end an answer, in ascending order.
func (t *Tokenizer) EOG() []int32 { return slices.Clone(t.eog) }

// IsEOG says whether a token ends an answer.
func (t *Tokenizer) IsEOG(id int32) bool {
	_, found := slices.BinarySearch(t.eog, id)
	return found
}

// IsSpecial says whether a token is no text: a control token, or the unknown one.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.valid(id) && t.attrs[id]&hidden != 0 }

// Piece returns the bytes that a token contributes to a text, which need not be
// whole characters. For a special token that is its name.
func (t *Tokenizer) Piece(id int32) []byte {
	if !t.valid(id) {
		return nil
	}
	return []byte(t.spellings.of(id))
}

func (t *Tokenizer) valid(id int32) bool { return uint32(id) < uint32(len(t.attrs)) }
