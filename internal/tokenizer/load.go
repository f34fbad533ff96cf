package tokenizer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// load reads the vocabulary of a file and builds what its model asks for.
func load(f *gguf.File) (*Tokenizer, error) {
	v, err := readVocabulary(f)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{attrs: v.attrs}
	model, _ := f.Str("tokenizer.ggml.model")
	switch model {
	case "gpt2", "gemma4":
		err = t.loadBPE(v, model)
	case "llama":
		t.loadSPM(v)
	case "bert":
		t.loadWordPiece(v)
	case "t5":
		err = t.loadUnigram(v)
	case "test", "none", "no_vocab":
		t.loadPieces(v)
	default:
		err = fmt.Errorf("tokenizer.ggml.model %q is not supported", model)
	}
	if err != nil {
		return nil, err
	}
	t.specials = newSpecials(v.texts, v.attrs)
	t.bos, t.eos, t.unknown, t.eog = v.bos, v.eos, v.unknown, v.eog
	t.infill = v.infill
	return t, nil
}

func (t *Tokenizer) loadBPE(v *vocabulary, model string) error {
	name, _ := v.file.Str("tokenizer.ggml.pre")
	if model == "gemma4" {
		name = model
	}
	s, err := schemeOf(name)
	if err != nil {
		return err
	}
	merges, ok := v.file.Strs("tokenizer.ggml.merges")
	if !ok && name != "kimi-k2" {
		return errors.New("tokenizer.ggml.merges is missing")
	}
	v.assignRoles(roles{bos: -1, eos: -1, separator: -1, unknown: -1})
	t.surround(v, s.addBOS || s.forceBOS, false)
	if s.forceBOS {
		t.first = v.bos
	}
	t.spellings = v.spell(func(dst []byte, text string) []byte {
		if s.rawText {
			return appendUnmarked(dst, text)
		}
		n := len(dst)
		dst, ok := appendBytes(dst, text)
		if !ok {
			dst = append(dst[:n], text...)
		}
		return dst
	})
	t.algorithm = newBPE(t.keys(v, &s), merges, s)
	return nil
}

// keys returns what the tokens look like in a piece of text.
func (t *Tokenizer) keys(v *vocabulary, s *scheme) []string {
	if s.rawText {
		return v.texts
	}
	keys := make([]string, len(v.texts))
	var buf []byte
	for id, text := range v.texts {
		var ok bool
		if buf, ok = appendBytes(buf[:0], text); !ok {
			continue
		}
		if keys[id] = t.spellings.of(int32(id)); keys[id] != string(buf) {
			keys[id] = string(buf)
		}
	}
	return keys
}

func (t *Tokenizer) loadSPM(v *vocabulary) {
	v.assignRoles(roles{bos: 1, eos: 2, separator: -1, unknown: 0})
	t.surround(v, true, false)
	t.spacePrefix = v.flag("add_space_prefix", true)
	t.stripsSpace = t.spacePrefix
	t.spellings = v.spell(appendUnmarked)
	t.algorithm = newSPM(v.texts, v.scores, v.unknown)
}

func (t *Tokenizer) loadWordPiece(v *vocabulary) {
	v.assignRoles(roles{bos: 101, eos: -1, separator: 102, unknown: 100})
	t.first, t.last = v.bos, v.separator
	t.stripsSpace = true
	t.spellings = v.spell(appendUnmarked)
	t.algorithm = newWordPiece(v)
}

func (t *Tokenizer) loadUnigram(v *vocabulary) error {
	// The algorithm knows its tokens by what the file says they are.
	u, err := newUnigram(v)
	if err != nil {
		return err
	}
	v.assignRoles(roles{bos: -1, eos: 1, separator: -1, unknown: 2})
	t.surround(v, false, true)
	u.unknown = v.unknown
	t.stripsSpace = u.prefix
	t.spellings = v.spell(appendUnmarked)
	t.algorithm = u
	return nil
}

// surround sets what Encode puts around a text.
func (t *Tokenizer) surround(v *vocabulary, addBOS, addEOS bool) {
	t.first, t.last = -1, -1
	if v.flag("add_bos_token", addBOS) {
		t.first = v.bos
	}
	if v.flag("add_eos_token", addEOS) {
		t.last = v.eos
	}
}

func appendUnmarked(dst []byte, text string) []byte {
	return append(dst, strings.ReplaceAll(text, blankMark, " ")...)
}
