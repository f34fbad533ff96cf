// Package llamaserver holds the wire types of llama-server's own HTTP API as far
// as Penstock speaks it: /completion, /infill, /embedding, /tokenize,
// /detokenize, /apply-template, /props and /slots.
//
// There is no logic here. Optional request fields are pointers: absent and zero
// are different things. The server decodes these types; Go clients may encode
// them.
package llamaserver

import (
	"encoding/json"

	"github.com/penstock-llm/penstock/api/sampling"
)

// Generation are the fields that the requests for text share.
type Generation struct {
	sampling.Fields
	Model           string   `json:"model,omitempty"` // which model; the only one if absent
	NPredict        *int     `json:"n_predict,omitempty"`
	MaxTokens       *int     `json:"max_tokens,omitempty"` // OpenAI's name of the same
	Stream          bool     `json:"stream,omitempty"`
	NProbs          *int     `json:"n_probs,omitempty"`
	ReturnTokens    bool     `json:"return_tokens,omitempty"`
	TimingsPerToken bool     `json:"timings_per_token,omitempty"`
	ReturnProgress  bool     `json:"return_progress,omitempty"`
	ResponseFields  []string `json:"response_fields,omitempty"`

	PostSamplingProbs bool `json:"post_sampling_probs,omitempty"`
}

// CompletionRequest is the body of POST /completion.
type CompletionRequest struct {
	Generation
	Prompt json.RawMessage `json:"prompt"` // text, token ids, an array of both, or an array of prompts
}

// InfillRequest is the body of POST /infill.
type InfillRequest struct {
	Generation
	InputPrefix *string       `json:"input_prefix"`
	InputSuffix *string       `json:"input_suffix"`
	InputExtra  []InfillExtra `json:"input_extra,omitempty"`
	Prompt      string        `json:"prompt,omitempty"` // what the answer begins with, after the prefix
}

// InfillExtra is another file that the model is shown.
type InfillExtra struct {
	Filename string `json:"filename"`
	Text     string `json:"text"`
}

// Completion is the answer of POST /completion, and each event of its stream.
type Completion struct {
	Index              int             `json:"index"`
	Content            string          `json:"content"`
	Tokens             []int32         `json:"tokens"`
	IDSlot             int             `json:"id_slot"`
	Stop               bool            `json:"stop"`
	Model              string          `json:"model,omitempty"`
	TokensPredicted    int             `json:"tokens_predicted"`
	TokensEvaluated    int             `json:"tokens_evaluated"`
	GenerationSettings *Settings       `json:"generation_settings,omitempty"`
	Prompt             *string         `json:"prompt,omitempty"`
	HasNewLine         *bool           `json:"has_new_line,omitempty"`
	Truncated          *bool           `json:"truncated,omitempty"`
	StopType           string          `json:"stop_type,omitempty"` // none, eos, limit or word
	StoppingWord       *string         `json:"stopping_word,omitempty"`
	TokensCached       *int            `json:"tokens_cached,omitempty"`
	Timings            *Timings        `json:"timings,omitempty"`
	Probabilities      []TokenLogprobs `json:"completion_probabilities,omitempty"`
}

// Settings are the parameters that a completion ran with. Each may be sent as it
// is here.
type Settings struct {
	NPredict            int      `json:"n_predict"`
	Seed                uint32   `json:"seed"`
	Temperature         float64  `json:"temperature"`
	DynatempRange       float64  `json:"dynatemp_range"`
	DynatempExponent    float64  `json:"dynatemp_exponent"`
	TopK                int      `json:"top_k"`
	TopP                float64  `json:"top_p"`
	MinP                float64  `json:"min_p"`
	TopNSigma           float64  `json:"top_n_sigma"`
	XTCProbability      float64  `json:"xtc_probability"`
	XTCThreshold        float64  `json:"xtc_threshold"`
	TypicalP            float64  `json:"typical_p"`
	RepeatLastN         int      `json:"repeat_last_n"`
	RepeatPenalty       float64  `json:"repeat_penalty"`
	PresencePenalty     float64  `json:"presence_penalty"`
	FrequencyPenalty    float64  `json:"frequency_penalty"`
	DryMultiplier       float64  `json:"dry_multiplier"`
	DryBase             float64  `json:"dry_base"`
	DryAllowedLength    int      `json:"dry_allowed_length"`
	DryPenaltyLastN     int      `json:"dry_penalty_last_n"`
	DrySequenceBreakers []string `json:"dry_sequence_breakers"`
	Samplers            []string `json:"samplers"`
	MinKeep             int      `json:"min_keep"`
	LogitBias           []Bias   `json:"logit_bias"`
	MinTokens           int      `json:"min_tokens"`
	BadWords            []string `json:"bad_words"`
	AllowedTokenIDs     []int32  `json:"allowed_token_ids,omitempty"` // absent: all
	Stop                []string `json:"stop"`
	StopTokenIDs        []int32  `json:"stop_token_ids"`
	IgnoreEOS           bool     `json:"ignore_eos"`
	TMaxPredictMS       int      `json:"t_max_predict_ms"`
	CachePrompt         bool     `json:"cache_prompt"`
	Stream              bool     `json:"stream"`
	NProbs              int      `json:"n_probs"`
	PostSamplingProbs   bool     `json:"post_sampling_probs"`
	ReturnTokens        bool     `json:"return_tokens"`
	TimingsPerToken     bool     `json:"timings_per_token"`
	ReturnProgress      bool     `json:"return_progress"`
	ResponseFields      []string `json:"response_fields,omitempty"` // absent: all
}

// Bias is one element of logit_bias: a token's id, and what is added to its
// logit, or false where the token may never come.
type Bias [2]any

// TokenLogprobs is one token with its likeliest alternatives.
type TokenLogprobs struct {
	TokenLogprob
	TopLogprobs []TokenLogprob `json:"top_logprobs,omitzero"`
	TopProbs    []TokenLogprob `json:"top_probs,omitzero"` // in their place with post_sampling_probs
}

// TokenLogprob is a token and how likely it was: by the model's own probability,
// or with post_sampling_probs by the one that it was drawn with.
type TokenLogprob struct {
	ID      int32    `json:"id"`
	Token   string   `json:"token"`
	Bytes   []int    `json:"bytes"`
	Logprob *float32 `json:"logprob,omitempty"`
	Prob    *float32 `json:"prob,omitempty"`
}

// Progress is how much of a prompt is computed, as streams tell it.
type Progress struct {
	Total     int   `json:"total"`     // tokens of the prompt
	Cache     int   `json:"cache"`     // of which the cache had so many
	Processed int   `json:"processed"` // and so many are computed, the cached ones included
	TimeMS    int64 `json:"time_ms"`
}

// Timings are in milliseconds.
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

// TokenizeRequest is the body of POST /tokenize. Content makes it llama-server's;
// Prompt or Messages make it vLLM's.
type TokenizeRequest struct {
	Model        string          `json:"model,omitempty"`   // which model; the only one if absent
	Content      json.RawMessage `json:"content,omitempty"` // text, or an array of texts and token ids
	AddSpecial   bool            `json:"add_special,omitempty"`
	ParseSpecial *bool           `json:"parse_special,omitempty"` // true
	WithPieces   bool            `json:"with_pieces,omitempty"`

	Prompt              *string         `json:"prompt,omitempty"`
	AddSpecialTokens    *bool           `json:"add_special_tokens,omitempty"` // true for a prompt
	ReturnTokenStrs     bool            `json:"return_token_strs,omitempty"`
	Messages            json.RawMessage `json:"messages,omitempty"`
	Tools               json.RawMessage `json:"tools,omitempty"`
	AddGenerationPrompt *bool           `json:"add_generation_prompt,omitempty"` // true
	ContinueFinal       bool            `json:"continue_final_message,omitempty"`
	TemplateArgs        json.RawMessage `json:"chat_template_kwargs,omitempty"`
}

// TokenizeResponse is llama-server's answer: ids, or TokenPiece with with_pieces.
type TokenizeResponse struct {
	Tokens any `json:"tokens"`
}

// CountedTokens is vLLM's answer.
type CountedTokens struct {
	Count       int      `json:"count"`
	MaxModelLen int      `json:"max_model_len"`
	Tokens      []int32  `json:"tokens"`
	TokenStrs   []string `json:"token_strs"` // null unless asked for
}

// TokenPiece is a token with its text, or its bytes where they are no text.
type TokenPiece struct {
	ID    int32 `json:"id"`
	Piece any   `json:"piece"`
}

// DetokenizeRequest is the body of POST /detokenize.
type DetokenizeRequest struct {
	Model  string  `json:"model,omitempty"` // which model; the only one if absent
	Tokens []int32 `json:"tokens"`
}

// DetokenizeResponse is the answer: the text by llama-server's name and by vLLM's.
type DetokenizeResponse struct {
	Content string `json:"content"`
	Prompt  string `json:"prompt"`
}

// ApplyTemplateRequest is the body of POST /apply-template.
type ApplyTemplateRequest struct {
	Model               string          `json:"model,omitempty"` // which model; the only one if absent
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools,omitempty"`
	AddGenerationPrompt *bool           `json:"add_generation_prompt,omitempty"`
	TemplateArgs        json.RawMessage `json:"chat_template_kwargs,omitempty"`
}

// ApplyTemplateResponse is the answer.
type ApplyTemplateResponse struct {
	Prompt string `json:"prompt"`
}

// ModelRequest is the body of POST /models/load and /models/unload.
type ModelRequest struct {
	Model string `json:"model"` // empty: the one of requests that name none
}

// ModelDone is their answer.
type ModelDone struct {
	Success bool `json:"success"`
	Pending bool `json:"pending,omitempty"` // requests still use the model; it is unloaded after the last of them
}

// Props is the answer of GET /props.
type Props struct {
	DefaultGenerationSettings PropsSettings   `json:"default_generation_settings"`
	TotalSlots                int             `json:"total_slots"`
	ModelAlias                string          `json:"model_alias"`
	ModelPath                 string          `json:"model_path"`
	ChatTemplate              string          `json:"chat_template"`
	ChatTemplateCaps          map[string]bool `json:"chat_template_caps"`
	Modalities                map[string]bool `json:"modalities"`
	BOSToken                  string          `json:"bos_token"`
	EOSToken                  string          `json:"eos_token"`
	BuildInfo                 string          `json:"build_info"`
	IsSleeping                bool            `json:"is_sleeping"`
}

// PropsSettings are the defaults of a slot.
type PropsSettings struct {
	NCtx   int      `json:"n_ctx"`
	Params Settings `json:"params"`
}

// Slot is one element of the answer of GET /slots.
type Slot struct {
	ID           int       `json:"id"`
	IDTask       int       `json:"id_task"`
	NCtx         int       `json:"n_ctx"`
	Speculative  bool      `json:"speculative"`
	IsProcessing bool      `json:"is_processing"`
	Params       *Settings `json:"params,omitempty"`
	NextToken    NextToken `json:"next_token"`

	NPrompt          int `json:"n_prompt_tokens"`           // of a busy slot
	NPromptProcessed int `json:"n_prompt_tokens_processed"` // computed, without the cached ones
	NPromptCache     int `json:"n_prompt_tokens_cache"`
	NPast            int `json:"n_past"` // tokens that are computed or were generated
}

// NextToken is how far a slot has come.
type NextToken struct {
	HasNextToken bool `json:"has_next_token"`
	HasNewLine   bool `json:"has_new_line"`
	NRemain      int  `json:"n_remain"`
	NDecoded     int  `json:"n_decoded"`
}

// EmbeddingRequest is the body of POST /embedding: what to embed under either name.
type EmbeddingRequest struct {
	Model     string          `json:"model,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"` // like the prompt of a completion
	Content   json.RawMessage `json:"content,omitempty"`
	Normalize *int            `json:"embd_normalize,omitempty"` // see docs/api.md; 2
}

// Embedding is one element of its answer. Embedding has one vector.
type Embedding struct {
	Index     int         `json:"index"`
	Embedding [][]float32 `json:"embedding"`
}

// ErrorResponse is every error's body.
type ErrorResponse struct {
	Error Error `json:"error"`
}

// Error is an error. NPromptTokens and NCtx come with a prompt that is too long.
type Error struct {
	Code          int    `json:"code"`
	Message       string `json:"message"`
	Type          string `json:"type"`
	NPromptTokens int    `json:"n_prompt_tokens,omitempty"`
	NCtx          int    `json:"n_ctx,omitempty"`
}
