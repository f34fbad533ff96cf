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
	"math"
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
	unknown     int32 // what stands for text without a token; -1: nothing
	first, last int32 // what Encode puts around a text; -1: nothing
	infill      Infill
	eog         []int32
	spacePrefix bool // Encode puts a space before text that no text precedes
	stripsSpace bool // decoders take it away again
}

// algorithm is how text without special tokens is encoded.
type algorithm interface {
	// encode appends the tokens of text to dst. It may stop when dst has more than
	// most tokens.
	encode(dst []int32, text string, most int) []int32
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
	ids, _ := t.encode(&source{text: text, controls: parseSpecial}, addBOS, 0)
	return ids
}

// EncodeLimit is Encode for a text that may be too long: as soon as it is certain
// that there are more than limit tokens, it stops with a *LimitError.
func (t *Tokenizer) EncodeLimit(text string, addBOS, parseSpecial bool, limit int) ([]int32, error) {
	return t.encode(&source{text: text, controls: parseSpecial}, addBOS, limit)
}

// EncodePair returns the tokens of two texts as models read them that score pairs:
// each text ends with the token that ends texts; vocabularies of the XLM-RoBERTa kind
// have another one between the two. Control tokens in the texts are text.
func (t *Tokenizer) EncodePair(first, second string, limit int) ([]int32, error) {
	ids, err := t.encode(&source{text: first}, true, limit)
	if err != nil {
		return nil, err
	}
	if _, unigram := t.algorithm.(*unigram); unigram && t.last >= 0 {
		ids = append(ids, t.last)
	}
	after, err := t.encode(&source{text: second}, false, limit)
	if err != nil {
		return nil, err
	}
	ids = append(ids, after...)
	if t.last >= 0 {
		ids = append(ids, t.last)
	}
	return ids, nil
}

// EncodeMarked returns the tokens of a rendered conversation, of which clients
// wrote the given parts, in ascending order. The tokens are those of Encode with
// parseSpecial, except that no control token is recognised if any of its bytes is
// a client's. The tokens of type user-defined are, but for those named <|…|> or
// <｜…｜>, which some files give that type and which make turns all the same.
//
// Most templates write the token that begins a text; where one does not and the
// model wants it, it is added.
//
// As soon as it is certain that there are more than limit tokens, EncodeMarked
// stops with a *LimitError. There is no limit if it is 0.
func (t *Tokenizer) EncodeMarked(text string, client []Range, limit int) ([]int32, error) {
	ids, err := t.encode(&source{text: text, controls: true, client: client}, false, limit)
	if err == nil && t.first >= 0 && (len(ids) == 0 || ids[0] != t.first) {
		ids = slices.Insert(ids, 0, t.first)
	}
	if limit > 0 && len(ids) > limit {
		return nil, &LimitError{limit}
	}
	return ids, err
}

// LimitError is the error of a text that has more tokens than it may.
type LimitError struct{ Limit int }

func (e *LimitError) Error() string { return fmt.Sprintf("more than %d tokens", e.Limit) }

func (t *Tokenizer) encode(in *source, addBOS bool, limit int) ([]int32, error) {
	most := math.MaxInt
	if limit > 0 {
		most = limit
	}
	ids := make([]int32, 0, min(len(in.text)/3+4, most))
	if addBOS && t.first >= 0 {
		ids = append(ids, t.first)
	}
	afterToken := true
	t.specials.split(in, func(raw string) bool {
		if t.spacePrefix && afterToken {
			raw = " " + raw
		}
		from := len(ids)
		ids = t.algorithm.encode(ids, raw, most)
		if len(in.client) > 0 {
			ids = t.spellReserved(ids, from)
		}
		afterToken = false
		return len(ids) <= most
	}, func(id int32) bool {
		ids = append(ids, id)
		afterToken = true
		return len(ids) <= most
	})
	if addBOS && t.last >= 0 {
		ids = append(ids, t.last)
	}
	if len(ids) > most {
		return nil, &LimitError{limit}
	}
	return ids, nil
}

// spellReserved replaces the reserved tokens among ids[from:] by the tokens of
// their characters. Pieces of ordinary text can join to the text of a control
// token in vocabularies that know it as a piece.
func (t *Tokenizer) spellReserved(ids []int32, from int) []int32 {
	isReserved := func(id int32) bool { return t.attrs[id]&reserved != 0 && id != t.unknown }
	if !slices.ContainsFunc(ids[from:], isReserved) {
		return ids
	}
	joined := slices.Clone(ids[from:])
	ids = ids[:from]
	for _, id := range joined {
		if !isReserved(id) {
			ids = append(ids, id)
			continue
		}
		for _, r := range t.spellings.of(id) {
			ids = t.algorithm.encode(ids, string(r), math.MaxInt)
		}
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
