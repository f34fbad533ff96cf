package tokenizer

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// attr is a set of properties of a token.
type attr uint16

const (
	normalToken  attr = 1 << iota
	unknownToken      // stands for text that has no token
	controlToken      // has a meaning, and its text is only a name
	userToken         // is matched as a whole, before anything else
	unusedToken
	byteToken
	lstrip    // swallows the white space before it
	rstrip    // swallows the white space after it
	turnToken // of the user type, but it makes turns: clients must not write it
)

// hidden tokens are no part of the text that a model writes.
const hidden = controlToken | unknownToken

// reserved tokens are not recognised in the text of clients. The others that are
// matched as a whole are, such as <think> and <tool_call>: an earlier answer then
// becomes the tokens that the model wrote, and other text the ones it always had.
const reserved = hidden | turnToken

// vocabulary is what a file says about its tokens.
type vocabulary struct {
	file   *gguf.File
	texts  []string  // [tokens]
	attrs  []attr    // [tokens]
	scores []float32 // [tokens]

	roles
	infill Infill
	eog    []int32
}

// roles are the tokens that algorithms need to know, -1 for none.
type roles struct{ bos, eos, separator, unknown int32 }

// maxTokens is more tokens than any vocabulary has.
const maxTokens = 1 << 24

// readVocabulary reads the tokens of a file, their types and their scores.
func readVocabulary(f *gguf.File) (*vocabulary, error) {
	texts, _ := f.Strs("tokenizer.ggml.tokens")
	if model, _ := f.Str("tokenizer.ggml.model"); len(texts) == 0 && (model == "none" || model == "no_vocab") {
		texts = numbered(f)
	}
	if len(texts) == 0 || len(texts) > maxTokens {
		return nil, fmt.Errorf("tokenizer.ggml.tokens has %d entries", len(texts))
	}
	v := &vocabulary{file: f, texts: texts, attrs: make([]attr, len(texts)), scores: make([]float32, len(texts))}
	if slices.Contains(texts, "") {
		v.texts = slices.Clone(texts)
		for id, text := range texts {
			if text == "" {
				v.texts[id] = fmt.Sprintf("[EMPTY_%d]", id)
			}
		}
	}
	if err := v.readTypes(); err != nil {
		return nil, err
	}
	if scores, ok := f.Floats("tokenizer.ggml.scores"); ok {
		if len(scores) < len(texts) {
			return nil, fmt.Errorf("tokenizer.ggml.scores has %d entries for %d tokens", len(scores), len(texts))
		}
		copy(v.scores, scores)
	}
	return v, nil
}

// readTypes sets the attributes; without types all tokens are normal.
func (v *vocabulary) readTypes() error {
	attrOf := [...]attr{1: normalToken, 2: unknownToken, 3: controlToken, 4: userToken, 5: unusedToken, 6: byteToken}
	types, ok := v.file.Ints("tokenizer.ggml.token_type")
	if ok && len(types) < len(v.texts) {
		return fmt.Errorf("tokenizer.ggml.token_type has %d entries for %d tokens", len(types), len(v.texts))
	}
	for id := range v.attrs {
		switch {
		case !ok:
			v.attrs[id] = normalToken
		case types[id] > 0 && types[id] < int64(len(attrOf)):
			v.attrs[id] = attrOf[types[id]]
		}
		if v.attrs[id]&(hidden|userToken) != 0 && len(v.texts[id]) > maxSpecial {
			return fmt.Errorf("token %d is special and %d bytes long", id, len(v.texts[id]))
		}
	}
	return nil
}

// id reads the number of a token, or returns what it is otherwise.
func (v *vocabulary) id(key string, otherwise int32) int32 {
	id, ok := v.file.Uint("tokenizer.ggml." + key)
	if ok && id < uint64(len(v.texts)) {
		return int32(id)
	}
	if int(otherwise) >= len(v.texts) {
		return -1
	}
	return otherwise
}

// flag reads a switch, or returns what it is otherwise.
func (v *vocabulary) flag(key string, otherwise bool) bool {
	if value, ok := v.file.Bool("tokenizer.ggml." + key); ok {
		return value
	}
	return otherwise
}

// spellings is what every token contributes to a text.
type spellings struct {
	arena string
	ends  []uint32 // [tokens]
}

func (s *spellings) of(id int32) string {
	start := uint32(0)
	if id > 0 {
		start = s.ends[id-1]
	}
	return s.arena[start:s.ends[id]]
}

// spell works out the spellings; normal says what a normal token's is.
func (v *vocabulary) spell(normal func(dst []byte, text string) []byte) spellings {
	size := 0
	for _, text := range v.texts {
		size += len(text)
	}
	arena := make([]byte, 0, size)
	ends := make([]uint32, len(v.texts))
	for id, text := range v.texts {
		switch a := v.attrs[id]; {
		case a&(hidden|userToken) != 0:
			arena = append(arena, text...)
		case a&normalToken != 0:
			arena = normal(arena, text)
		case a&byteToken != 0:
			arena = append(arena, byteNamed(text)...)
		}
		ends[id] = uint32(len(arena))
	}
	return spellings{string(arena), ends}
}

// byteName is the name of the token of a byte.
func byteName(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// byteNamed is the inverse of byteName. Other names stand for themselves.
func byteNamed(name string) string {
	if len(name) == 6 && name[:3] == "<0x" && name[5] == '>' {
		if b, err := hex.DecodeString(name[3:5]); err == nil {
			return string(b)
		}
	}
	return name
}
