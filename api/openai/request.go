package openai

import (
	"encoding/json"
	"errors"

	"github.com/penstock-llm/penstock/api/sampling"
)

// Sampling are the request fields that completions and chat completions share.
type Sampling struct {
	sampling.Fields
	Model         string         `json:"model"`
	Stream        bool           `json:"stream,omitempty"`
	StreamOptions *StreamOptions `json:"stream_options,omitempty"`
	N             *int           `json:"n,omitempty"`
	MaxTokens     *int           `json:"max_tokens,omitempty"`
	NPredict      *int           `json:"n_predict,omitempty"` // llama-server's name of the same

	IncludeStop       bool  `json:"include_stop_str_in_output,omitempty"`
	SkipSpecialTokens *bool `json:"skip_special_tokens,omitempty"`
	AddSpecialTokens  *bool `json:"add_special_tokens,omitempty"`
	Priority          *int  `json:"priority,omitempty"`
}

// StreamOptions say what a stream carries besides text.
type StreamOptions struct {
	IncludeUsage         bool `json:"include_usage,omitempty"`
	ContinuousUsageStats bool `json:"continuous_usage_stats,omitempty"` // not supported
}

// CompletionRequest is the body of POST /v1/completions.
type CompletionRequest struct {
	Sampling
	Prompt   Prompt `json:"prompt"`
	Suffix   string `json:"suffix,omitempty"`
	BestOf   *int   `json:"best_of,omitempty"` // answers of which the N best are sent
	Echo     bool   `json:"echo,omitempty"`
	Logprobs *int   `json:"logprobs,omitempty"`
}

// ChatRequest is the body of POST /v1/chat/completions.
type ChatRequest struct {
	Sampling
	Conversation
	MaxCompletionTokens *int `json:"max_completion_tokens,omitempty"`
	Logprobs            bool `json:"logprobs,omitempty"`
	TopLogprobs         *int `json:"top_logprobs,omitempty"`
	ReturnProgress      bool `json:"return_progress,omitempty"`
	Thinking
	Legacy
}

// Thinking are vLLM's and llama-server's fields about what the model thinks before
// it answers.
type Thinking struct {
	IncludeReasoning     *bool   `json:"include_reasoning,omitempty"`
	ReasoningFormat      *string `json:"reasoning_format,omitempty"`
	ThinkingTokenBudget  *int    `json:"thinking_token_budget,omitempty"`
	ThinkingBudgetTokens *int    `json:"thinking_budget_tokens,omitempty"` // llama-server's name of it
}

// Hidden reports whether the answer is to be without what the model thought.
func (t *Thinking) Hidden() bool { return t.IncludeReasoning != nil && !*t.IncludeReasoning }

// Legacy are the names that tools had before there were tools.
type Legacy struct {
	Functions    json.RawMessage `json:"functions,omitempty"`
	FunctionCall json.RawMessage `json:"function_call,omitempty"`
}

// Conversation are the fields of a chat request that become its prompt.
type Conversation struct {
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools,omitempty"`
	ToolChoice          json.RawMessage `json:"tool_choice,omitempty"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls,omitempty"`
	AddGenerationPrompt *bool           `json:"add_generation_prompt,omitempty"`
	ContinueFinal       bool            `json:"continue_final_message,omitempty"`
	TemplateArgs        json.RawMessage `json:"chat_template_kwargs,omitempty"`
	ReasoningEffort     *string         `json:"reasoning_effort,omitempty"`
}

// Stop is one stop string or several.
type Stop = sampling.Stop

// Prompt is the prompt of a completion: exactly one of its fields is set, and
// Many tells that it was an array, which gets one choice for each element.
type Prompt struct {
	Texts  []string
	Tokens [][]int32
	Many   bool
}

// Wanted describes the forms in an error.
func (*Prompt) Wanted() string {
	return "a string, an array of strings, of token ids, or of arrays of token ids"
}

// UnmarshalJSON reads a string, an array of strings, an array of token ids or
// an array of such arrays.
func (p *Prompt) UnmarshalJSON(data []byte) error {
	*p = Prompt{}
	if string(data) == "null" {
		return nil
	}
	if data[0] == '"' {
		p.Texts = make([]string, 1)
		return json.Unmarshal(data, &p.Texts[0])
	}
	var first []json.RawMessage
	if err := json.Unmarshal(data, &first); err != nil {
		return err
	}
	p.Many = true
	if len(first) == 0 {
		return nil
	}
	switch first[0][0] {
	case '"':
		for _, text := range first {
			if text[0] != '"' {
				return errElement
			}
		}
		return json.Unmarshal(data, &p.Texts)
	case '[':
		for _, one := range first {
			ids, err := tokenIDs(one)
			if err != nil {
				return err
			}
			p.Tokens = append(p.Tokens, ids)
		}
		return nil
	}
	p.Many = false
	ids, err := tokenIDs(data)
	p.Tokens = [][]int32{ids}
	return err
}

var errElement = errors.New("an element of prompt is of another kind than the others")

// tokenIDs reads an array of token ids. A null is none of them.
func tokenIDs(data []byte) ([]int32, error) {
	var elements []*int32
	if data[0] != '[' {
		return nil, errElement
	}
	if err := json.Unmarshal(data, &elements); err != nil {
		return nil, err
	}
	ids := make([]int32, len(elements))
	for i, id := range elements {
		if id == nil {
			return nil, errElement
		}
		ids[i] = *id
	}
	return ids, nil
}

// MarshalJSON writes the form that was read.
func (p Prompt) MarshalJSON() ([]byte, error) {
	switch {
	case p.Many && p.Tokens != nil:
		return json.Marshal(p.Tokens)
	case p.Many:
		return json.Marshal(p.Texts)
	case len(p.Tokens) == 1:
		return json.Marshal(p.Tokens[0])
	case len(p.Texts) == 1:
		return json.Marshal(p.Texts[0])
	}
	return []byte("null"), nil
}
