package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// bpe is byte pair encoding over bytes: GPT-2's and its successors'. How a text is
// split before is an expression in tokenizer.json; GGUF has names for those that are
// known.
func (f *folder) bpe(t *tokenizer) error {
	pre, err := t.split()
	if err != nil {
		return err
	}
	merges := make([]string, len(t.Model.Merges))
	for i, m := range t.Model.Merges {
		merges[i] = string(m)
	}
	f.meta = append(f.meta,
		gguf.KV{Key: "tokenizer.ggml.model", Value: "gpt2"},
		gguf.KV{Key: "tokenizer.ggml.pre", Value: pre},
		gguf.KV{Key: "tokenizer.ggml.merges", Value: merges})
	return nil
}

// step is one of the steps that split a text.
type step struct {
	Type    string `json:"type"`
	Digits  bool   `json:"individual_digits"`
	Pattern struct {
		Regex string `json:"Regex"`
	} `json:"pattern"`
	Steps []step `json:"pretokenizers"`
}

const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	rest         = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// split names the way in which a text is split.
func (t *tokenizer) split() (string, error) {
	var s step
	if err := json.Unmarshal(t.Pre, &s); err != nil {
		return "", fmt.Errorf("tokenizer.json: pre_tokenizer: %w", err)
	}
	steps := s.Steps
	if s.Type != "Sequence" {
		steps = []step{s}
	}
	var kinds []string
	for _, s := range steps {
		kind := s.Type
		if s.Type == "Digits" && s.Digits {
			kind = "Digit"
		}
		if s.Type == "Split" {
			kind = s.Pattern.Regex
		}
		kinds = append(kinds, kind)
	}
	switch strings.Join(kinds, " ; ") {
	case "ByteLevel":
		return "gpt-2", nil
	case "Digit ; ByteLevel":
		return "smollm", nil
	case contractions + `\p{N}` + rest + " ; ByteLevel":
		return "qwen2", nil
	case contractions + `\p{N}{1,3}` + rest + " ; ByteLevel":
		return "llama-bpe", nil
	}
	return "", errors.New("tokenizer.json: the way in which texts are split is not known: use a GGUF file of the model")
}

// sentencePiece reads tokenizer.model, which has what tokenizer.json lacks of a
// SentencePiece vocabulary: the tokens' scores and types.
func (f *folder) sentencePiece(s *settings) error {
	data, err := f.read("tokenizer.model")
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("tokenizer.model is missing, which has the tokens' scores")
	}
	if err != nil {
		return err
	}
	pieces, err := readPieces(data)
	if err != nil {
		return fmt.Errorf("tokenizer.model: %w", err)
	}
	tokens, types, scores := make([]string, len(pieces)), make([]int32, len(pieces)), make([]float32, len(pieces))
	for i, p := range pieces {
		tokens[i], types[i], scores[i] = p.text, p.kind, p.score
	}
	f.meta = append(f.meta,
		gguf.KV{Key: "tokenizer.ggml.model", Value: "llama"},
		gguf.KV{Key: "tokenizer.ggml.pre", Value: "default"},
		gguf.KV{Key: "tokenizer.ggml.tokens", Value: tokens},
		gguf.KV{Key: "tokenizer.ggml.token_type", Value: types},
		gguf.KV{Key: "tokenizer.ggml.scores", Value: scores},
		gguf.KV{Key: "tokenizer.ggml.add_space_prefix", Value: f.config.arch != "gemma3"})
	f.roles(s, tokens)
	return f.template(s)
}
