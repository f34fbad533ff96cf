package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Scenario is the work that every layer does: a number of requests with a prompt and generated tokens, a bounded number at once.
type Scenario struct {
	Model        string       `json:"model"`
	Tier         string       `json:"tier"`
	Threads      int          `json:"threads"`
	MaxBatch     int          `json:"max_batch"`
	Ctx          int          `json:"ctx"`
	Requests     int          `json:"requests"`
	Concurrency  int          `json:"concurrency"`
	Gen          int          `json:"gen"`
	PromptTokens int          `json:"prompt_tokens"` // 0: as many as the prompt happens to have
	Prompt       string       `json:"prompt"`
	Temperature  float64      `json:"temperature"`
	KV           model.KVType `json:"kv_type"`
}

// Check returns an error for a scenario that can't be measured.
func (s *Scenario) Check() error {
	switch {
	case s.Model == "":
		return errors.New("set --model")
	case s.Requests < 1 || s.Concurrency < 1 || s.Gen < 1 || s.MaxBatch < 1:
		return errors.New("requests, concurrency, gen and max-batch must be at least 1")
	case s.PromptTokens < 0 || s.Prompt == "":
		return errors.New("the prompt is empty")
	case !(s.Temperature >= 0 && s.Temperature <= 100): // written so that NaN is refused, too
		return fmt.Errorf("a temperature of %g", s.Temperature)
	case s.Ctx < 0 || s.Threads < 0:
		return errors.New("context or threads is negative")
	case s.Ctx > 0 && s.Ctx < s.PromptTokens+s.Gen:
		return fmt.Errorf("a context of %d can't hold %d prompt tokens and %d generated ones", s.Ctx, s.PromptTokens, s.Gen)
	}
	return nil
}

// batch is the number of sequences that run together.
func (s *Scenario) batch() int { return min(s.Concurrency, s.MaxBatch, s.Requests) }

// open loads the model as the server would, but without the cache of prefixes: all requests have the same prompt, and a hit would
// skip the work that is to be measured. Nor are tokens guessed ahead, which would have the layers do different work.
func (s *Scenario) open() (*instance.Instance, error) {
	tier, err := cpu.ParseTier(s.Tier)
	if err != nil {
		return nil, err
	}
	instance.Tune(s.Threads)
	return instance.Open(s.Model, instance.Options{Tier: tier, Threads: s.Threads, Context: s.Ctx, MaxBatch: s.MaxBatch,
		MaxQueue: max(256, s.Concurrency), KV: s.KV, NoPrefix: true, NoGuesses: true})
}

// text makes the prompt for a caller that has not loaded the model.
func (s *Scenario) text() (string, error) {
	f, err := gguf.Open(s.Model)
	if err != nil {
		return "", err
	}
	defer f.Close()
	tok, err := tokenizer.New(f)
	if err != nil {
		return "", err
	}
	text, _, err := s.prompt(tok)
	return text, err
}

// encoder is the part of a tokenizer that prompt needs.
type encoder interface {
	Encode(text string, addBOS, parseSpecial bool) []int32
}

// prompt makes the text that every request sends, and its tokens. The scenario's prompt is repeated and cut until it has the wanted
// number of tokens, or the closest smaller number that a cut between characters gives.
func (s *Scenario) prompt(t encoder) (string, []int32, error) {
	if s.PromptTokens == 0 {
		return s.Prompt, t.Encode(s.Prompt, true, true), nil
	}
	text, n, err := longest(s.Prompt, s.PromptTokens, func(text string) (int, error) { return len(t.Encode(text, true, true)), nil })
	if err != nil {
		return "", nil, err
	}
	if n == 0 || n > s.PromptTokens {
		return "", nil, fmt.Errorf("no prompt of %d tokens can be made from %q", s.PromptTokens, s.Prompt)
	}
	return text, t.Encode(text, true, true), nil
}

// longest repeats a text and cuts it until it has as many tokens as wanted, or the closest smaller number that a cut between characters
// gives. When even one character has more tokens than wanted, it returns that character.
func longest(seed string, want int, count func(string) (int, error)) (string, int, error) {
	text := seed
	n, err := count(text)
	for err == nil && n < want {
		var longer int
		if longer, err = count(text + seed); err == nil && longer <= n {
			return "", 0, fmt.Errorf("the prompt %q does not get longer by being repeated", seed)
		}
		text, n = text+seed, longer
	}
	runes := []rune(text)
	for err == nil && n > want && len(runes) > 1 {
		runes = runes[:len(runes)-1]
		text = strings.TrimRight(string(runes), " ") // a blank at the end would be a token of its own
		n, err = count(text)
	}
	return text, n, err
}

// fingerprint identifies a model file by its size and a hash of its first and last megabyte, which hold the header and the last weights.
func fingerprint(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	const part = 1 << 20
	for _, at := range []int64{0, max(0, info.Size()-part)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, part)); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
	}
	return fmt.Sprintf("%d bytes, %s", info.Size(), hex.EncodeToString(h.Sum(nil))[:16]), nil
}

// PlainPrompt is an English sentence for measurements to which the content of a prompt does not matter.
const PlainPrompt = "The water runs from the lake through the long pipe down to the wheel in the valley, and what is lost on the way turns nothing. "
