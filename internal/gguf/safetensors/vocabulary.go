package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// Token types as GGUF stores them.
const (
	normal  int32 = 1
	unknown int32 = 2
	control int32 = 3
	user    int32 = 4
	unused  int32 = 5
)

// tokenizer is tokenizer.json, as far as it is used.
type tokenizer struct {
	Added      []added         `json:"added_tokens"`
	Normalizer json.RawMessage `json:"normalizer"`
	Pre        json.RawMessage `json:"pre_tokenizer"`
	Model      struct {
		Type    string           `json:"type"`
		Vocab   map[string]int32 `json:"vocab"`
		Merges  []merge          `json:"merges"`
		Unknown string           `json:"unk_token"`
		Prefix  string           `json:"continuing_subword_prefix"`
		Bytes   bool             `json:"byte_fallback"`
	} `json:"model"`
}

type added struct {
	ID      int32  `json:"id"`
	Content string `json:"content"`
	Special bool   `json:"special"`
}

// merge is a pair of tokens that become one: "left right", or in newer files a list
// of two.
type merge string

func (m *merge) UnmarshalJSON(data []byte) error {
	var pair [2]string
	if err := json.Unmarshal(data, &pair); err == nil {
		*m = merge(pair[0] + " " + pair[1])
		return nil
	}
	return json.Unmarshal(data, (*string)(m))
}

// special is a token in tokenizer_config.json: its text, or an object with it.
type special string

func (s *special) UnmarshalJSON(data []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(data, &object); err == nil {
		*s = special(object.Content)
		return nil
	}
	var text string // null leaves it empty
	err := json.Unmarshal(data, &text)
	*s = special(text)
	return err
}

// settings are tokenizer_config.json.
type settings struct {
	BOS      special         `json:"bos_token"`
	EOS      special         `json:"eos_token"`
	CLS      special         `json:"cls_token"`
	SEP      special         `json:"sep_token"`
	Unknown  special         `json:"unk_token"`
	Pad      special         `json:"pad_token"`
	AddBOS   *bool           `json:"add_bos_token"`
	AddEOS   *bool           `json:"add_eos_token"`
	Lower    *bool           `json:"do_lower_case"`
	Template json.RawMessage `json:"chat_template"`
}

// maxVocabulary is more tokens than any vocabulary has.
const maxVocabulary = 1 << 24

// vocabulary adds the keys of the tokenizer.
func (f *folder) vocabulary() error {
	var s settings
	if err := f.optional("tokenizer_config.json", &s); err != nil {
		return err
	}
	var t tokenizer
	err := f.json("tokenizer.json", &t)
	if errors.Is(err, fs.ErrNotExist) {
		err = f.wordList(&t)
	}
	if err != nil {
		return err
	}
	tokens, types, err := t.list()
	if err != nil {
		return err
	}
	switch {
	case t.Model.Type == "WordPiece":
		err = f.wordPiece(&t, &s, tokens, types)
	case t.Model.Type == "BPE" && !t.Model.Bytes:
		err = f.bpe(&t)
	case t.Model.Type == "BPE":
		return f.sentencePiece(&s)
	default:
		err = fmt.Errorf("tokenizer.json: a tokenizer of type %q is not supported", brief(t.Model.Type))
	}
	if err != nil {
		return err
	}
	f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml.tokens", Value: tokens}, gguf.KV{Key: "tokenizer.ggml.token_type", Value: types})
	f.roles(&s, tokens)
	return f.template(&s)
}

// wordList reads vocab.txt, one token a line, where there is no tokenizer.json.
func (f *folder) wordList(t *tokenizer) error {
	data, err := f.read("vocab.txt")
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is neither tokenizer.json nor vocab.txt")
	}
	if err != nil {
		return err
	}
	t.Model.Type, t.Model.Prefix, t.Model.Vocab = "WordPiece", "##", map[string]int32{}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		t.Model.Vocab[line] = int32(i)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") && len(line) > 2 && !strings.HasPrefix(line, "[unused") {
			t.Added = append(t.Added, added{ID: int32(i), Content: line, Special: true})
		}
	}
	return nil
}

// list brings the tokens into the order of their numbers.
func (t *tokenizer) list() (tokens []string, types []int32, err error) {
	n := int32(0)
	for text, id := range t.Model.Vocab {
		if id < 0 || id >= maxVocabulary {
			return nil, nil, fmt.Errorf("tokenizer.json: token %q has the number %d", brief(text), id)
		}
		n = max(n, id+1)
	}
	for _, a := range t.Added {
		if a.ID < 0 || a.ID >= maxVocabulary {
			return nil, nil, fmt.Errorf("tokenizer.json: token %q has the number %d", brief(a.Content), a.ID)
		}
		n = max(n, a.ID+1)
	}
	if most := len(t.Model.Vocab) + len(t.Added); int(n) > 2*most+1024 {
		return nil, nil, fmt.Errorf("tokenizer.json: a token with the number %d, among %d", n-1, most)
	}
	tokens, types = make([]string, n), make([]int32, n)
	for i := range types {
		tokens[i], types[i] = fmt.Sprintf("[PAD%d]", i), unused
	}
	for text, id := range t.Model.Vocab {
		if types[id] == normal {
			return nil, nil, fmt.Errorf("tokenizer.json: tokens %q and %q have the same number", brief(text), brief(tokens[id]))
		}
		tokens[id], types[id] = text, normal
	}
	for _, a := range t.Added {
		tokens[a.ID], types[a.ID] = a.Content, user
		if a.Special {
			types[a.ID] = control
		}
	}
	return tokens, types, nil
}

// wordPiece is BERT's: in GGUF the tokens that begin a word have ▁ before them, and
// the others no mark.
func (f *folder) wordPiece(t *tokenizer, s *settings, tokens []string, types []int32) error {
	for i, text := range tokens {
		switch {
		case types[i] != normal:
		case t.Model.Prefix != "" && strings.HasPrefix(text, t.Model.Prefix):
			tokens[i] = text[len(t.Model.Prefix):]
		default:
			tokens[i] = "▁" + text
		}
	}
	if i := slices.Index(tokens, string(s.Unknown)); i >= 0 && types[i] == control {
		types[i] = unknown
	}
	var n struct {
		Lower  *bool `json:"lowercase"`
		Strip  *bool `json:"strip_accents"`
		Chains []any `json:"normalizers"`
	}
	if len(t.Normalizer) > 0 && string(t.Normalizer) != "null" {
		if err := json.Unmarshal(t.Normalizer, &n); err != nil {
			return fmt.Errorf("tokenizer.json: normalizer: %w", err)
		}
		if n.Chains != nil {
			return errors.New("tokenizer.json: only BERT's own normalizer is supported")
		}
	} else {
		n.Lower = s.Lower
	}
	f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml.model", Value: "bert"}, gguf.KV{Key: "tokenizer.ggml.pre", Value: "default"})
	if n.Lower != nil {
		f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml.normalizer.lowercase", Value: *n.Lower})
	}
	if n.Strip != nil {
		f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml.normalizer.strip_accents", Value: *n.Strip})
	}
	if s.BOS == "" || s.CLS != "" {
		s.BOS = s.CLS
	}
	return nil
}

// roles names the tokens with a task.
func (f *folder) roles(s *settings, tokens []string) {
	for _, r := range []struct {
		key  string
		text special
	}{{"bos", s.BOS}, {"eos", s.EOS}, {"seperator", s.SEP}, {"unknown", s.Unknown}, {"padding", s.Pad}} { // the spelling is GGUF's
		if i := slices.Index(tokens, string(r.text)); r.text != "" && i >= 0 {
			f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml." + r.key + "_token_id", Value: uint32(i)})
		}
	}
	if s.AddBOS != nil {
		f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml.add_bos_token", Value: *s.AddBOS})
	}
	if s.AddEOS != nil {
		f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml.add_eos_token", Value: *s.AddEOS})
	}
}

// template adds the chat template, of the tokenizer's settings or in a file of its own.
func (f *folder) template(s *settings) error {
	text, err := f.read("chat_template.jinja")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		f.meta = append(f.meta, gguf.KV{Key: "tokenizer.chat_template", Value: string(text)})
		return nil
	}
	var one string
	if json.Unmarshal(s.Template, &one) == nil && one != "" {
		f.meta = append(f.meta, gguf.KV{Key: "tokenizer.chat_template", Value: one})
	}
	return nil
}
