// Package responses holds the wire types of OpenAI's Responses API as Penstock
// speaks it.
//
// There is no logic here. Fields that may have several forms stay JSON texts,
// which the server's package of the same name reads.
package responses

import "encoding/json"

// Request is the body of POST /v1/responses, and, as far as its fields concern
// the prompt, of POST /v1/responses/input_tokens.
type Request struct {
	Model              string          `json:"model"`
	Input              json.RawMessage `json:"input,omitempty"` // a string or an array of items
	Instructions       *string         `json:"instructions,omitempty"`
	PreviousResponseID *string         `json:"previous_response_id,omitempty"`
	Tools              json.RawMessage `json:"tools,omitempty"`
	ToolChoice         json.RawMessage `json:"tool_choice,omitempty"`
	ParallelToolCalls  *bool           `json:"parallel_tool_calls,omitempty"`
	Reasoning          *Reasoning      `json:"reasoning,omitempty"`
	Text               *Text           `json:"text,omitempty"`
	Include            []string        `json:"include,omitempty"`
	Stream             bool            `json:"stream,omitempty"`
	Store              *bool           `json:"store,omitempty"`
	MaxOutputTokens    *int            `json:"max_output_tokens,omitempty"`
	Temperature        *float64        `json:"temperature,omitempty"`
	TopP               *float64        `json:"top_p,omitempty"`
	PresencePenalty    *float64        `json:"presence_penalty,omitempty"`
	CacheSalt          *string         `json:"cache_salt,omitempty"`
	FrequencyPenalty   *float64        `json:"frequency_penalty,omitempty"`
	Metadata           json.RawMessage `json:"metadata,omitempty"`
	User               *string         `json:"user,omitempty"`
	SafetyIdentifier   *string         `json:"safety_identifier,omitempty"`
	PromptCacheKey     *string         `json:"prompt_cache_key,omitempty"`
	MaxToolCalls       *int            `json:"max_tool_calls,omitempty"`
}

// Reasoning is how much the model thinks.
type Reasoning struct {
	Effort  *string `json:"effort"`
	Summary *string `json:"summary"`
}

// Text is what form the text has.
type Text struct {
	Format    json.RawMessage `json:"format"`
	Verbosity *string         `json:"verbosity,omitempty"`
}

// Item is an element of the input. Type says which of the fields it has.
type Item struct {
	Type      string          `json:"type"`
	ID        string          `json:"id"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"` // a string, or an array of Content
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Input     string          `json:"input"`
	Output    json.RawMessage `json:"output"` // a string, or an array of Content
	Summary   []Content       `json:"summary"`
	Encrypted *string         `json:"encrypted_content"`
}

// Content is a part of an item.
type Content struct {
	Type    string  `json:"type"`
	Text    *string `json:"text"`
	Refusal string  `json:"refusal,omitempty"`
}

// Tool is a tool as a request names it. Parameters are a function's, Format a
// custom tool's.
type Tool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
	Format      *struct {
		Type       string `json:"type"`
		Syntax     string `json:"syntax"`
		Definition string `json:"definition"`
	} `json:"format"`
}

// Response is the answer. Clients expect each of its fields.
type Response struct {
	ID                 string             `json:"id"`
	Object             string             `json:"object"` // response
	CreatedAt          int64              `json:"created_at"`
	CompletedAt        *int64             `json:"completed_at"`
	Status             string             `json:"status"`
	IncompleteDetails  *IncompleteDetails `json:"incomplete_details"`
	Model              string             `json:"model"`
	PreviousResponseID *string            `json:"previous_response_id"`
	Instructions       *string            `json:"instructions"`
	Output             []any              `json:"output"` // Message, ReasoningItem, FunctionCall, CustomCall
	Error              *Error             `json:"error"`
	Tools              json.RawMessage    `json:"tools"`
	ToolChoice         json.RawMessage    `json:"tool_choice"`
	Truncation         string             `json:"truncation"`
	ParallelToolCalls  bool               `json:"parallel_tool_calls"`
	Text               Text               `json:"text"`
	Temperature        float64            `json:"temperature"`
	TopP               float64            `json:"top_p"`
	PresencePenalty    float64            `json:"presence_penalty"`
	FrequencyPenalty   float64            `json:"frequency_penalty"`
	TopLogprobs        int                `json:"top_logprobs"`
	Reasoning          Reasoning          `json:"reasoning"`
	User               *string            `json:"user"`
	Usage              *Usage             `json:"usage"`
	MaxOutputTokens    *int               `json:"max_output_tokens"`
	MaxToolCalls       *int               `json:"max_tool_calls"`
	Store              bool               `json:"store"`
	Background         bool               `json:"background"`
	ServiceTier        string             `json:"service_tier"`
	Metadata           json.RawMessage    `json:"metadata"`
	SafetyIdentifier   *string            `json:"safety_identifier"`
	PromptCacheKey     *string            `json:"prompt_cache_key"`
}

// IncompleteDetails say why an answer was cut.
type IncompleteDetails struct {
	Reason string `json:"reason"`
}

// Error is why a response failed.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Usage counts tokens.
type Usage struct {
	InputTokens        int `json:"input_tokens"`
	InputTokensDetails struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens        int `json:"output_tokens"`
	OutputTokensDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

// Message is text of the answer.
type Message struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"` // message
	Status  string       `json:"status"`
	Role    string       `json:"role"` // assistant
	Content []OutputText `json:"content"`
}

// OutputText is the part of a message.
type OutputText struct {
	Type        string `json:"type"` // output_text
	Text        string `json:"text"`
	Annotations []any  `json:"annotations"`
	Logprobs    []any  `json:"logprobs"`
}

// ReasoningItem is what the model thought.
type ReasoningItem struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"` // reasoning
	Status    string          `json:"status"`
	Summary   []any           `json:"summary"`
	Content   []ReasoningText `json:"content"`
	Encrypted *string         `json:"encrypted_content,omitempty"`
}

// ReasoningText is the part of a ReasoningItem.
type ReasoningText struct {
	Type string `json:"type"` // reasoning_text
	Text string `json:"text"`
}

// FunctionCall is a call of a function.
type FunctionCall struct {
	ID        string `json:"id"`
	Type      string `json:"type"` // function_call
	Status    string `json:"status"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// CustomCall is a call of a tool that takes one text.
type CustomCall struct {
	ID     string `json:"id"`
	Type   string `json:"type"` // custom_tool_call
	Status string `json:"status"`
	CallID string `json:"call_id"`
	Name   string `json:"name"`
	Input  string `json:"input"`
}

// InputTokens is the answer of POST /v1/responses/input_tokens.
type InputTokens struct {
	Object      string `json:"object"` // response.input_tokens
	InputTokens int    `json:"input_tokens"`
}

// Deleted is the answer of DELETE /v1/responses/{id}.
type Deleted struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // response.deleted
	Deleted bool   `json:"deleted"`
}
