// Package routers holds the wire types of what routers and balancers ask an
// inference server, as vLLM and SGLang answer it.
//
// There is no logic here.
package routers

// Version is the answer of GET /version.
type Version struct {
	Version string `json:"version"`
}

// ServerLoad is the answer of GET /load.
type ServerLoad struct {
	ServerLoad int `json:"server_load"` // requests that run or wait
}

// OneLoad is the answer of GET /get_load.
type OneLoad struct {
	DPRank         int `json:"dp_rank"`
	Load           int `json:"load"` // requests that run or wait
	NumReqs        int `json:"num_reqs"`
	NumWaitingReqs int `json:"num_waiting_reqs"`
	NumTokens      int `json:"num_tokens"` // that the blocks of running requests can hold
}

// Loads is the answer of GET /v1/loads.
type Loads struct {
	Timestamp   string `json:"timestamp"`
	Version     string `json:"version"`
	DPRankCount int    `json:"dp_rank_count"`
	Loads       []Load `json:"loads"`
}

// Load is what one engine has to do.
type Load struct {
	DPRank             int     `json:"dp_rank"`
	NumRunningReqs     int     `json:"num_running_reqs"`
	NumWaitingReqs     int     `json:"num_waiting_reqs"`
	NumTotalReqs       int     `json:"num_total_reqs"`
	NumUsedTokens      int     `json:"num_used_tokens"` // that the blocks of running requests can hold
	MaxTotalNumTokens  int     `json:"max_total_num_tokens"`
	TokenUsage         float64 `json:"token_usage"`    // 0 to 1
	GenThroughput      float64 `json:"gen_throughput"` // tokens a second, since the answer before
	CacheHitRate       float64 `json:"cache_hit_rate"` // of the tokens of all prompts so far
	Utilization        float64 `json:"utilization"`    // running requests of those that can run
	MaxRunningRequests int     `json:"max_running_requests"`
}

// ModelInfo is the answer of GET /get_model_info.
type ModelInfo struct {
	ModelPath        string   `json:"model_path"`
	TokenizerPath    string   `json:"tokenizer_path"` // the same file
	ServedModelName  string   `json:"served_model_name"`
	IsGeneration     bool     `json:"is_generation"`
	ModelType        string   `json:"model_type"`
	Architectures    []string `json:"architectures"`
	MaxContextLength int      `json:"max_context_length"`
	VocabSize        int      `json:"vocab_size"`
}

// ServerInfo is the answer of GET /server_info.
type ServerInfo struct {
	Version            string `json:"version"`
	ModelPath          string `json:"model_path"`
	ServedModelName    string `json:"served_model_name"`
	ContextLength      int    `json:"context_length"`
	MaxModelLen        int    `json:"max_model_len"` // vLLM's name of the same
	MaxTotalNumTokens  int    `json:"max_total_num_tokens"`
	PageSize           int    `json:"page_size"` // tokens of a block
	MaxRunningRequests int    `json:"max_running_requests"`
	MaxQueuedRequests  int    `json:"max_queued_requests"`
	TPSize             int    `json:"tp_size"`
	DPSize             int    `json:"dp_size"`
	DisableRadixCache  bool   `json:"disable_radix_cache"`
}

// Flushed is the answer of POST /flush_cache.
type Flushed struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
	Blocks  int    `json:"blocks"`
}
