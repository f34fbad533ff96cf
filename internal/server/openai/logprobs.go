package openai

import (
	"math"
	"strings"
	"unicode/utf8"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// lowest stands for minus infinity, which JSON cannot express. OpenAI's own API
// uses this number.
const lowest = -9999

func finite(p float32) float32 {
	if math.IsInf(float64(p), 0) || math.IsNaN(float64(p)) || p < lowest {
		return lowest
	}
	return p
}

// piece is a token's text and its bytes. In the text, bytes that are not a whole
// character are replaced by U+FFFD.
func piece(m *serving.Deployment, id int32) (text string, raw []int) {
	b := m.Tokenizer.Piece(id)
	raw = make([]int, len(b))
	for i, x := range b {
		raw[i] = int(x)
	}
	return strings.ToValidUTF8(string(b), string(utf8.RuneError)), raw
}

func chatLogprobs(m *serving.Deployment, tokens []serving.TokenInfo) *api.ChatLogprobs {
	return &api.ChatLogprobs{Content: TokenLogprobs(m, tokens)}
}

// TokenLogprobs shows tokens with their log-probabilities.
func TokenLogprobs(m *serving.Deployment, tokens []serving.TokenInfo) []api.TokenLogprob {
	list := make([]api.TokenLogprob, len(tokens))
	for i, t := range tokens {
		text, raw := piece(m, t.ID)
		one := api.TokenLogprob{Token: text, Logprob: finite(t.Logprob), Bytes: raw, TopLogprobs: make([]api.TopLogprob, len(t.Top))}
		for k, top := range t.Top {
			text, raw := piece(m, top.Token)
			one.TopLogprobs[k] = api.TopLogprob{Token: text, Logprob: finite(top.Value), Bytes: raw}
		}
		list[i] = one
	}
	return list
}

// textLogprobs makes the log-probabilities of a completion, whose offsets are
// in characters of the whole text, an echoed prompt included.
type textLogprobs struct {
	m      *serving.Deployment
	prompt int       // characters of the echoed prompt
	begun  bool      // the first token of the prompt has been seen
	echoed charCount // of the prompt's tokens so far
	text   charCount // of the generated text
}

func newTextLogprobs(m *serving.Deployment, echoed string) *textLogprobs {
	return &textLogprobs{m: m, prompt: utf8.RuneCountInString(echoed)}
}

// ofPrompt is the offset of the next token of the prompt. A character may be
// spread over tokens: they all begin where it does.
func (l *textLogprobs) ofPrompt(id int32) int {
	at := l.echoed.at(len(l.echoed.chars))
	if l.m.Tokenizer.IsSpecial(id) {
		return min(at, l.prompt)
	}
	before := len(l.echoed.chars)
	l.echoed.add(l.m.Tokenizer.Piece(id))
	return min(l.echoed.at(before), l.prompt)
}

func (l *textLogprobs) add(tokens []serving.TokenInfo) *api.CompletionLogprobs {
	out := &api.CompletionLogprobs{
		Tokens:        make([]string, len(tokens)),
		TokenLogprobs: make([]*float32, len(tokens)),
		TopLogprobs:   make([]map[string]float32, len(tokens)),
		TextOffset:    make([]int, len(tokens)),
	}
	for i, t := range tokens {
		text, _ := piece(l.m, t.ID)
		out.Tokens[i] = text
		if t.Prompt {
			out.TextOffset[i] = l.ofPrompt(t.ID)
			if !l.begun {
				l.begun = true
				continue // nothing comes before the first token, so it has no probability
			}
		} else {
			out.TextOffset[i] = l.prompt + l.text.at(t.Offset)
		}
		p := finite(t.Logprob)
		out.TokenLogprobs[i] = &p
		top := make(map[string]float32, len(t.Top)+1)
		for _, alt := range t.Top {
			name, _ := piece(l.m, alt.Token)
			if _, taken := top[name]; !taken {
				top[name] = finite(alt.Value)
			}
		}
		if len(t.Top) > 0 {
			if _, taken := top[text]; !taken {
				top[text] = p
			}
		}
		out.TopLogprobs[i] = top
	}
	return out
}
