// Package native holds the wire types of cLLM's HTTP API, which Penstock keeps:
// /generate, /generate_stream, /encode, /benchmark, /model/info, / and /health.
//
// There is no logic here. Optional request fields are pointers: absent and zero
// are different things. The server decodes these types; Go clients may encode
// them.
package native

import "github.com/penstock-llm/penstock/api/sampling"

// Envelope is the form of every answer but the stream's.
type Envelope struct {
	Success bool   `json:"success"`
	Data    any    `json:"data,omitempty"`
	Error   string `json:"error,omitempty"`
}

// GenerateRequest is the body of POST /generate and /generate_stream.
type GenerateRequest struct {
	sampling.Fields
	Model     string  `json:"model,omitempty"` // which model; the only one if absent
	Prompt    *string `json:"prompt"`
	MaxTokens *int    `json:"max_tokens,omitempty"` // 100
	Stream    bool    `json:"stream,omitempty"`
}

// Generated is the data of POST /generate.
type Generated struct {
	ID              string  `json:"id"`
	Text            string  `json:"text"`
	ResponseTime    float64 `json:"response_time"` // seconds
	TokensPerSecond float64 `json:"tokens_per_second"`
	GeneratedTokens int     `json:"generated_tokens"`
	PromptTokens    int     `json:"prompt_tokens"`
	MaxTokens       int     `json:"max_tokens"`
	FinishReason    string  `json:"finish_reason"`
}

// StreamEvent is one event of POST /generate_stream; the last has Done and the
// number of tokens.
type StreamEvent struct {
	ID              string `json:"id"`
	Token           string `json:"token"`
	Done            bool   `json:"done"`
	GeneratedTokens *int   `json:"generated_tokens,omitempty"`
	FinishReason    string `json:"finish_reason,omitempty"`
}

// StreamError is the last event of a POST /generate_stream that failed.
type StreamError struct {
	ID    string `json:"id"`
	Error string `json:"error"`
	Done  bool   `json:"done"` // true
}

// EncodeRequest is the body of POST /encode.
type EncodeRequest struct {
	Model string  `json:"model,omitempty"` // which model; the only one if absent
	Text  *string `json:"text"`
}

// Encoded is the data of POST /encode.
type Encoded struct {
	Tokens []int32 `json:"tokens"`
	Length int     `json:"length"`
}

// BenchmarkRequest is the body of POST /benchmark.
type BenchmarkRequest struct {
	Model       string   `json:"model,omitempty"`       // which model; the only one if absent
	Requests    *int     `json:"requests,omitempty"`    // 40
	Concurrency *int     `json:"concurrency,omitempty"` // 8
	MaxTokens   *int     `json:"max_tokens,omitempty"`  // 50
	Prompt      *string  `json:"prompt,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"` // 0.7
}

// Benchmark is the data of POST /benchmark. Times are in seconds.
type Benchmark struct {
	TotalRequests        int     `json:"total_requests"`
	SuccessfulRequests   int     `json:"successful_requests"`
	FailedRequests       int     `json:"failed_requests"`
	AvgResponseTime      float64 `json:"avg_response_time"`
	MinResponseTime      float64 `json:"min_response_time"`
	MaxResponseTime      float64 `json:"max_response_time"`
	AvgThroughput        float64 `json:"avg_throughput"`         // generated tokens by total_time
	AvgTokensPerSecond   float64 `json:"avg_tokens_per_second"`  // the same
	TotalTokensProcessed int     `json:"total_tokens_processed"` // prompt and generated
	AvgGeneratedTokens   float64 `json:"avg_generated_tokens"`
	TotalTime            float64 `json:"total_time"`
}

// Index is the answer of GET /.
type Index struct {
	Name      string     `json:"name"`
	Version   string     `json:"version"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is one route.
type Endpoint struct {
	Method      string `json:"method"`
	Path        string `json:"path"`
	Description string `json:"description"`
}

// ModelInfo is the data of GET /model/info.
type ModelInfo struct {
	ModelPath         string  `json:"model_path"`
	ModelName         string  `json:"model_name"`
	ModelFamily       string  `json:"model_family"`
	ModelType         string  `json:"model_type"`
	VocabSize         int     `json:"vocab_size"`
	HiddenSize        int     `json:"hidden_size"`
	NumLayers         int     `json:"num_layers"`
	NumHeads          int     `json:"num_attention_heads"`
	NumKVHeads        int     `json:"num_key_value_heads"`
	HeadDim           int     `json:"head_dim"`
	MaxSequenceLength int     `json:"max_sequence_length"`
	TrainedLength     int     `json:"trained_sequence_length"`
	IntermediateSize  int     `json:"intermediate_size"`
	RopeTheta         float64 `json:"rope_theta"`
	RMSNormEps        float64 `json:"rms_norm_eps"`
	Parameters        int64   `json:"parameters"`
	WeightBytes       int64   `json:"weight_bytes"`

	Quantization Quantization `json:"quantization"`
}

// Quantization is the number format of the weights.
type Quantization struct {
	Enabled bool   `json:"enabled"` // the weights are not floating-point numbers
	Type    string `json:"type"`    // such as Q8_0
}

// Health is the answer of GET /health, for clients of cLLM and of llama-server.
type Health struct {
	Success bool         `json:"success"`
	Status  string       `json:"status"` // ok or unavailable
	Data    HealthData   `json:"data"`
	Error   *HealthError `json:"error,omitempty"`
}

// HealthError is what llama-server's clients read while it is not ready.
type HealthError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Type    string `json:"type"`
}

// HealthData is what cLLM reports. Details come with ?level=detailed, Memory
// and Engine with ?level=full.
type HealthData struct {
	Status      string         `json:"status"` // healthy, loading or draining
	ModelLoaded bool           `json:"model_loaded"`
	Model       string         `json:"model,omitempty"`
	Version     string         `json:"version,omitempty"`
	Uptime      float64        `json:"uptime_seconds,omitempty"`
	CPU         string         `json:"cpu,omitempty"`
	Threads     int            `json:"threads,omitempty"`
	Engine      map[string]any `json:"engine,omitempty"`
	Memory      map[string]any `json:"memory,omitempty"`
}
