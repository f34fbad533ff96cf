// Package anthropic holds the wire types of the Anthropic Messages API as
// Penstock speaks it: messages with text, tools and thinking, and the counting
// of their tokens.
//
// There is no logic here. Fields that may have several forms stay JSON texts,
// which the server's package of the same name reads. The server decodes these
// types; Go clients may encode them.
package anthropic

import "encoding/json"

// Conversation are the fields of a request that become its prompt. They are the
// whole body of POST /v1/messages/count_tokens.
type Conversation struct {
	Model      string          `json:"model"`
	Messages   []Message       `json:"messages"`
	System     json.RawMessage `json:"system,omitempty"` // a string, or blocks of text
	Tools      []Tool          `json:"tools,omitempty"`
	ToolChoice *ToolChoice     `json:"tool_choice,omitempty"`
	Thinking   *Thinking       `json:"thinking,omitempty"`
	Output     *OutputConfig   `json:"output_config,omitempty"`
}

// MessagesRequest is the body of POST /v1/messages.
type MessagesRequest struct {
	Conversation
	MaxTokens     *int            `json:"max_tokens"`
	Stream        bool            `json:"stream,omitempty"`
	Temperature   *float64        `json:"temperature,omitempty"`
	TopP          *float64        `json:"top_p,omitempty"`
	TopK          *int            `json:"top_k,omitempty"`
	StopSequences []string        `json:"stop_sequences,omitempty"`
	OutputFormat  json.RawMessage `json:"output_format,omitempty"` // an older place of output_config.format
}

// Message is one turn. Its content is a string or an array of blocks.
type Message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// Tool is a function that the model may call. A Type other than custom is a tool
// that Anthropic's own servers run.
type Tool struct {
	Type        string          `json:"type,omitempty"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema,omitempty"`
	Strict      bool            `json:"strict,omitempty"`
}

// OutputConfig is what an answer is to be like.
type OutputConfig struct {
	Format json.RawMessage `json:"format,omitempty"` // {"type": "json_schema", "schema": {…}}
	Effort *string         `json:"effort,omitempty"` // low, medium, high, xhigh, max
}

// ToolChoice is whether a tool is called.
type ToolChoice struct {
	Type            string `json:"type"` // auto, any, tool, none
	Name            string `json:"name,omitempty"`
	DisableParallel bool   `json:"disable_parallel_tool_use,omitempty"`
}

// Thinking is whether the model thinks before it answers, and for how long.
type Thinking struct {
	Type         string `json:"type"` // enabled, disabled, adaptive
	BudgetTokens *int   `json:"budget_tokens,omitempty"`
}

// Block is a piece of a message's content, in a request or in an answer.
type Block struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	Thinking  string          `json:"thinking,omitempty"`
	Signature string          `json:"signature,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   json.RawMessage `json:"content,omitempty"` // of a tool_result: a string or blocks
	IsError   bool            `json:"is_error,omitempty"`
}

// MessageResponse is the answer, and in a stream the message that begins it.
type MessageResponse struct {
	ID           string  `json:"id"`
	Type         string  `json:"type"` // message
	Role         string  `json:"role"` // assistant
	Model        string  `json:"model"`
	Content      []any   `json:"content"` // TextBlock, ThinkingBlock, ToolUseBlock
	StopReason   *string `json:"stop_reason"`
	StopSequence *string `json:"stop_sequence"`
	Usage        Usage   `json:"usage"`
}

// TextBlock is text of an answer.
type TextBlock struct {
	Type string `json:"type"` // text
	Text string `json:"text"`
}

// ThinkingBlock is what the model thought.
type ThinkingBlock struct {
	Type      string `json:"type"` // thinking
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

// ToolUseBlock is a call.
type ToolUseBlock struct {
	Type  string          `json:"type"` // tool_use
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

// Usage counts tokens. Those read from the cache are not among InputTokens.
type Usage struct {
	InputTokens  int `json:"input_tokens"`
	CacheCreated int `json:"cache_creation_input_tokens"`
	CacheRead    int `json:"cache_read_input_tokens"`
	OutputTokens int `json:"output_tokens"`
}

// CountResponse is the answer of POST /v1/messages/count_tokens.
type CountResponse struct {
	InputTokens int `json:"input_tokens"`
}

// ErrorResponse is the body of every error, and an event of a stream that fails.
type ErrorResponse struct {
	Type      string `json:"type"` // error
	Error     Error  `json:"error"`
	RequestID string `json:"request_id,omitempty"`
}

// Error is an error.
type Error struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}
