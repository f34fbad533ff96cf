// Package ollama holds the wire types of the Ollama HTTP API as Penstock speaks
// it: generating, chatting, and what clients ask about models.
//
// There is no logic here. Durations are nanoseconds, times RFC 3339. The server
// decodes these types; Go clients may encode them.
package ollama

import (
	"encoding/json"

	"github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/api/sampling"
)

// Common are the fields of both requests for text.
type Common struct {
	Model     string          `json:"model"`
	Stream    *bool           `json:"stream,omitempty"` // default true
	Format    json.RawMessage `json:"format,omitempty"` // json, or a JSON Schema
	Options   *Options        `json:"options,omitempty"`
	KeepAlive json.RawMessage `json:"keep_alive,omitempty"` // seconds, or a duration as a text
	Think     json.RawMessage `json:"think,omitempty"`      // a boolean, or low, medium, high

	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs *int `json:"top_logprobs,omitempty"` // with Logprobs only
}

// Options are how tokens are chosen. Besides those of Fields there are Ollama's own.
type Options struct {
	sampling.Fields
	NumPredict *int     `json:"num_predict,omitempty"`
	NumCtx     *int     `json:"num_ctx,omitempty"`
	Mirostat   *float64 `json:"mirostat,omitempty"`
}

// GenerateRequest is the body of POST /api/generate.
type GenerateRequest struct {
	Common
	Prompt   string          `json:"prompt"`
	System   string          `json:"system,omitempty"`
	Raw      bool            `json:"raw,omitempty"`
	Context  []int32         `json:"context,omitempty"`
	Suffix   string          `json:"suffix,omitempty"`
	Images   json.RawMessage `json:"images,omitempty"`
	Template json.RawMessage `json:"template,omitempty"`
}

// ChatRequest is the body of POST /api/chat.
type ChatRequest struct {
	Common
	Messages []Message       `json:"messages"`
	Tools    json.RawMessage `json:"tools,omitempty"`
}

// Message is a turn of a conversation.
type Message struct {
	Role       string          `json:"role"`
	Content    string          `json:"content"`
	Thinking   string          `json:"thinking,omitempty"`
	ToolCalls  []ToolCall      `json:"tool_calls,omitempty"`
	ToolName   string          `json:"tool_name,omitempty"`
	ToolCallID string          `json:"tool_call_id,omitempty"`
	Images     json.RawMessage `json:"images,omitempty"`
}

// ToolCall is a call. Its arguments are an object, not a text.
type ToolCall struct {
	ID       string `json:"id,omitempty"`
	Function struct {
		Index     int             `json:"index"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

// Metrics are part of the last message.
type Metrics struct {
	TotalDuration      int64 `json:"total_duration"`
	LoadDuration       int64 `json:"load_duration"`
	PromptEvalCount    int   `json:"prompt_eval_count"`
	PromptEvalDuration int64 `json:"prompt_eval_duration"`
	EvalCount          int   `json:"eval_count"`
	EvalDuration       int64 `json:"eval_duration"`
}

// GenerateResponse is an answer, or a piece of one.
type GenerateResponse struct {
	Model      string  `json:"model"`
	CreatedAt  string  `json:"created_at"`
	Response   string  `json:"response"`
	Thinking   string  `json:"thinking,omitempty"`
	Done       bool    `json:"done"`
	DoneReason string  `json:"done_reason,omitempty"`
	Context    []int32 `json:"context,omitempty"`
	*Metrics
	Logprobs []openai.TokenLogprob `json:"logprobs,omitempty"`
}

// ChatResponse is an answer, or a piece of one.
type ChatResponse struct {
	Model      string  `json:"model"`
	CreatedAt  string  `json:"created_at"`
	Message    Message `json:"message"`
	Done       bool    `json:"done"`
	DoneReason string  `json:"done_reason,omitempty"`
	*Metrics
	Logprobs []openai.TokenLogprob `json:"logprobs,omitempty"`
}

// Details describe a model in short.
type Details struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"` // gguf
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

// Model is an entry of GET /api/tags and, with the last three fields, of GET /api/ps.
type Model struct {
	Name          string  `json:"name"`
	Model         string  `json:"model"`
	ModifiedAt    string  `json:"modified_at,omitempty"`
	Size          int64   `json:"size"`
	Digest        string  `json:"digest"`
	Details       Details `json:"details"`
	ExpiresAt     string  `json:"expires_at,omitempty"`
	SizeVRAM      *int64  `json:"size_vram,omitempty"`
	ContextLength int     `json:"context_length,omitempty"`
}

// Models is the answer of GET /api/tags and GET /api/ps.
type Models struct {
	Models []Model `json:"models"`
}

// NameRequest is the body of the routes that take the name of a model. Older
// clients call it name.
type NameRequest struct {
	Model  string `json:"model"`
	Name   string `json:"name,omitempty"`
	Stream *bool  `json:"stream,omitempty"`
}

// CopyRequest is the body of POST /api/copy.
type CopyRequest struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// ShowResponse is the answer of POST /api/show.
type ShowResponse struct {
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters"`
	Template     string         `json:"template"`
	License      string         `json:"license,omitempty"`
	Details      Details        `json:"details"`
	ModelInfo    map[string]any `json:"model_info"`
	Capabilities []string       `json:"capabilities"`
	ModifiedAt   string         `json:"modified_at"`
}

// Version is the answer of GET /api/version.
type Version struct {
	Version string `json:"version"`
}

// Status is a line of POST /api/pull.
type Status struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// EmbedRequest is the body of POST /api/embed.
type EmbedRequest struct {
	Model      string          `json:"model"`
	Input      sampling.Texts  `json:"input"`              // a text, or several
	Truncate   *bool           `json:"truncate,omitempty"` // texts that are too long lose their end
	Dimensions *int            `json:"dimensions,omitempty"`
	Options    *EmbedOptions   `json:"options,omitempty"`
	KeepAlive  json.RawMessage `json:"keep_alive,omitempty"`
}

// EmbedOptions are the options that matter for embeddings.
type EmbedOptions struct {
	NumCtx *int `json:"num_ctx,omitempty"`
}

// EmbedResponse is the answer of POST /api/embed.
type EmbedResponse struct {
	Model           string      `json:"model"`
	Embeddings      [][]float32 `json:"embeddings"` // of length 1
	TotalDuration   int64       `json:"total_duration"`
	LoadDuration    int64       `json:"load_duration"`
	PromptEvalCount int         `json:"prompt_eval_count"`
}

// VectorRequest is the body of POST /api/embeddings, which came before /api/embed.
type VectorRequest struct {
	Model     string          `json:"model"`
	Prompt    string          `json:"prompt"`
	Options   *EmbedOptions   `json:"options,omitempty"`
	KeepAlive json.RawMessage `json:"keep_alive,omitempty"`
}

// VectorResponse is its answer.
type VectorResponse struct {
	Embedding []float32 `json:"embedding"` // not normalised
}

// Error is the body of every error.
type Error struct {
	Error string `json:"error"`
}
