package openai

import "encoding/json"

// Sampling are the request fields that completions and chat completions share.
type Sampling struct {
	Model            string             `json:"model"`
	Stream           bool               `json:"stream,omitempty"`
	StreamOptions    *StreamOptions     `json:"stream_options,omitempty"`
	N                *int               `json:"n,omitempty"`
	MaxTokens        *int               `json:"max_tokens,omitempty"`
	Temperature      *float64           `json:"temperature,omitempty"`
	TopP             *float64           `json:"top_p,omitempty"`
	TopK             *int               `json:"top_k,omitempty"`
	MinP             *float64           `json:"min_p,omitempty"`
	Seed             *int64             `json:"seed,omitempty"`
	Stop             Stop               `json:"stop,omitempty"`
	StopTokenIDs     []int32            `json:"stop_token_ids,omitempty"`
	IgnoreEOS        bool               `json:"ignore_eos,omitempty"`
	PresencePenalty  *float64           `json:"presence_penalty,omitempty"`
	FrequencyPenalty *float64           `json:"frequency_penalty,omitempty"`
	RepeatPenalty    *float64           `json:"repetition_penalty,omitempty"`
	LogitBias        map[string]float64 `json:"logit_bias,omitempty"`

	IncludeStop       bool  `json:"include_stop_str_in_output,omitempty"`
	SkipSpecialTokens *bool `json:"skip_special_tokens,omitempty"`
	AddSpecialTokens  *bool `json:"add_special_tokens,omitempty"`
	Priority          *int  `json:"priority,omitempty"`

	Unsupported
}

// StreamOptions say what a stream carries besides text.
type StreamOptions struct {
	IncludeUsage bool `json:"include_usage,omitempty"`
}

// Unsupported are fields that mean something in the protocol and that the
// server refuses unless they have the value that changes nothing.
type Unsupported struct {
	Functions         json.RawMessage `json:"functions,omitempty"`
	FunctionCall      json.RawMessage `json:"function_call,omitempty"`
	ResponseFormat    json.RawMessage `json:"response_format,omitempty"`
	StructuredOutputs json.RawMessage `json:"structured_outputs,omitempty"`
	GuidedJSON        json.RawMessage `json:"guided_json,omitempty"`
	GuidedRegex       json.RawMessage `json:"guided_regex,omitempty"`
	GuidedChoice      json.RawMessage `json:"guided_choice,omitempty"`
	GuidedGrammar     json.RawMessage `json:"guided_grammar,omitempty"`
	Grammar           json.RawMessage `json:"grammar,omitempty"`
	JSONSchema        json.RawMessage `json:"json_schema,omitempty"`
	Modalities        json.RawMessage `json:"modalities,omitempty"`
	Audio             json.RawMessage `json:"audio,omitempty"`
	Prediction        json.RawMessage `json:"prediction,omitempty"`
	WebSearch         json.RawMessage `json:"web_search_options,omitempty"`
	BestOf            json.RawMessage `json:"best_of,omitempty"`
	UseBeamSearch     json.RawMessage `json:"use_beam_search,omitempty"`
	MinTokens         json.RawMessage `json:"min_tokens,omitempty"`
	PromptLogprobs    json.RawMessage `json:"prompt_logprobs,omitempty"`
	TruncatePrompt    json.RawMessage `json:"truncate_prompt_tokens,omitempty"`
	Suffix            json.RawMessage `json:"suffix,omitempty"`
	ChatTemplate      json.RawMessage `json:"chat_template,omitempty"`
	Documents         json.RawMessage `json:"documents,omitempty"`
}

// CompletionRequest is the body of POST /v1/completions.
type CompletionRequest struct {
	Sampling
	Prompt   Prompt `json:"prompt"`
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
type Stop []string

// UnmarshalJSON reads a string, an array of strings or null.
func (s *Stop) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*s = nil
		if one != "" {
			*s = Stop{one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(s))
}

// Prompt is the prompt of a completion: exactly one of its fields is set, and
// Many tells that it was an array, which gets one choice for each element.
type Prompt struct {
	Texts  []string
	Tokens [][]int32
	Many   bool
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
		return json.Unmarshal(data, &p.Texts)
	case '[':
		return json.Unmarshal(data, &p.Tokens)
	}
	p.Many = false
	p.Tokens = make([][]int32, 1)
	return json.Unmarshal(data, &p.Tokens[0])
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
