package openai

// Completion is the answer of POST /v1/completions, and each event of its stream.
type Completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"` // text_completion
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []CompletionChoice `json:"choices"`
	Usage   *Usage             `json:"usage,omitempty"`
	Timings *Timings           `json:"timings,omitempty"`
}

// CompletionChoice is one continuation.
type CompletionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	Logprobs     *CompletionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"` // stop or length
	StopReason   any                 `json:"stop_reason,omitempty"`
}

// CompletionLogprobs are parallel arrays over the tokens of a choice.
type CompletionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []*float32           `json:"token_logprobs"` // null for the first token of an echoed prompt
	TopLogprobs   []map[string]float32 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // in characters
}

// ChatCompletion is the answer of POST /v1/chat/completions.
type ChatCompletion struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"` // chat.completion
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []ChatChoice `json:"choices"`
	Usage   *Usage       `json:"usage,omitempty"`
	Timings *Timings     `json:"timings,omitempty"`
}

// ChatChoice is one answer.
type ChatChoice struct {
	Index        int           `json:"index"`
	Message      ChatMessage   `json:"message"`
	Logprobs     *ChatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
	StopReason   any           `json:"stop_reason,omitempty"`
}

// ChatMessage is the assistant's turn.
type ChatMessage struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	Refusal   *string    `json:"refusal"`

	FunctionCall *FunctionCall `json:"function_call,omitempty"` // in place of ToolCalls where the request had functions
}

// ToolCall is a call that the model made.
type ToolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"` // function
	Function FunctionCall `json:"function"`
}

// FunctionCall names a function and has its arguments as a JSON text.
type FunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// ChatChunk is one event of a chat stream.
type ChatChunk struct {
	ID      string            `json:"id"`
	Object  string            `json:"object"` // chat.completion.chunk
	Created int64             `json:"created"`
	Model   string            `json:"model"`
	Choices []ChatDeltaChoice `json:"choices"`
	Usage   *Usage            `json:"usage,omitempty"`

	PromptProgress *Progress `json:"prompt_progress,omitempty"` // llama-server's, with return_progress
}

// Progress is how much of a prompt is computed.
type Progress struct {
	Total     int   `json:"total"`     // tokens of the prompt
	Cache     int   `json:"cache"`     // of which the cache had so many
	Processed int   `json:"processed"` // and so many are computed, the cached ones included
	TimeMS    int64 `json:"time_ms"`   // since the first message of this kind
}

// ChatDeltaChoice is what an event adds to one answer.
type ChatDeltaChoice struct {
	Index        int           `json:"index"`
	Delta        ChatDelta     `json:"delta"`
	Logprobs     *ChatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

// ChatDelta is the part of a message that an event adds.
type ChatDelta struct {
	Role      string          `json:"role,omitempty"`
	Content   *string         `json:"content,omitempty"`
	Reasoning string          `json:"reasoning_content,omitempty"`
	ToolCalls []ToolCallDelta `json:"tool_calls,omitempty"`

	FunctionCall *FunctionCall `json:"function_call,omitempty"`
}

// ToolCallDelta is a piece of a call. The first one of a call has its id, type
// and name.
type ToolCallDelta struct {
	Index int `json:"index"`
	ToolCall
}

// ChatLogprobs are the log-probabilities of an answer's tokens.
type ChatLogprobs struct {
	Content []TokenLogprob `json:"content"`
}

// TokenLogprob is one token with its likeliest alternatives.
type TokenLogprob struct {
	Token       string       `json:"token"`
	Logprob     float32      `json:"logprob"`
	Bytes       []int        `json:"bytes"`
	TopLogprobs []TopLogprob `json:"top_logprobs"`
}

// TopLogprob is one alternative.
type TopLogprob struct {
	Token   string  `json:"token"`
	Logprob float32 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// Usage counts tokens.
type Usage struct {
	PromptTokens        int                 `json:"prompt_tokens"`
	CompletionTokens    int                 `json:"completion_tokens"`
	TotalTokens         int                 `json:"total_tokens"`
	PromptTokensDetails PromptTokensDetails `json:"prompt_tokens_details"`
}

// PromptTokensDetails says how many prompt tokens came out of the prefix cache.
type PromptTokensDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// Timings are llama-server's, in milliseconds.
type Timings struct {
	CacheN              int     `json:"cache_n"`
	PromptN             int     `json:"prompt_n"`
	PromptMS            float64 `json:"prompt_ms"`
	PromptPerTokenMS    float64 `json:"prompt_per_token_ms"`
	PromptPerSecond     float64 `json:"prompt_per_second"`
	PredictedN          int     `json:"predicted_n"`
	PredictedMS         float64 `json:"predicted_ms"`
	PredictedPerTokenMS float64 `json:"predicted_per_token_ms"`
	PredictedPerSecond  float64 `json:"predicted_per_second"`
	DraftN              *int    `json:"draft_n,omitempty"`          // tokens that were guessed ahead, if any
	DraftNAccepted      *int    `json:"draft_n_accepted,omitempty"` // and those that were right
}

// ModelList is the answer of GET /v1/models.
type ModelList struct {
	Object string  `json:"object"` // list
	Data   []Model `json:"data"`
	Models []any   `json:"models"` // always empty: see the server's handler

	// Anthropic's: all models are on one page.
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

// Model describes one model. What follows OwnedBy is vLLM's and llama-server's.
type Model struct {
	ID           string            `json:"id"`
	Object       string            `json:"object"` // model
	Created      int64             `json:"created"`
	OwnedBy      string            `json:"owned_by"`
	Root         string            `json:"root"`
	Parent       *string           `json:"parent"`
	MaxModelLen  int               `json:"max_model_len"`
	Meta         ModelMeta         `json:"meta"`
	Architecture ModelArchitecture `json:"architecture"`
	Status       ModelStatus       `json:"status"`

	// Anthropic's names.
	Type        string `json:"type"` // model
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

// ModelMeta is llama-server's meta object.
type ModelMeta struct {
	NVocab    int   `json:"n_vocab"`
	NCtx      int   `json:"n_ctx"`
	NCtxTrain int   `json:"n_ctx_train"`
	NEmbd     int   `json:"n_embd"`
	NParams   int64 `json:"n_params"`
	Size      int64 `json:"size"`
}

// ModelArchitecture names what goes in and out.
type ModelArchitecture struct {
	InputModalities  []string `json:"input_modalities"`
	OutputModalities []string `json:"output_modalities"`
}

// ModelStatus is loaded, loading or unloaded, as llama-server's router says it.
type ModelStatus struct {
	Value  string `json:"value"`
	Failed bool   `json:"failed,omitempty"` // it could not be loaded when that was last tried
	Error  string `json:"error,omitempty"`  // why
}

// ErrorResponse is every error's body, and the last event of a stream that failed.
type ErrorResponse struct {
	Error Error `json:"error"`
}

// Error is an error. NPromptTokens and NCtx come with a prompt that is too long.
type Error struct {
	Message       string  `json:"message"`
	Type          string  `json:"type"`
	Param         *string `json:"param"`
	Code          *string `json:"code"`
	NPromptTokens int     `json:"n_prompt_tokens,omitempty"`
	NCtx          int     `json:"n_ctx,omitempty"`
}

// Rendered is what the model would be given for a request.
type Rendered struct {
	RequestID string  `json:"request_id"`
	Model     string  `json:"model"`
	TokenIDs  []int32 `json:"token_ids"`
	Prompt    string  `json:"prompt"` // the same as text
}
