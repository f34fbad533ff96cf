package openai

// EmbeddingRequest is the body of POST /v1/embeddings.
type EmbeddingRequest struct {
	Model            string `json:"model"`
	Input            Prompt `json:"input"` // a text or token ids, or several of either
	EncodingFormat   string `json:"encoding_format,omitempty"`
	Dimensions       *int   `json:"dimensions,omitempty"`
	AddSpecialTokens *bool  `json:"add_special_tokens,omitempty"`
	Priority         *int   `json:"priority,omitempty"`
}

// Embeddings is the answer of POST /v1/embeddings.
type Embeddings struct {
	Object string         `json:"object"` // list
	Data   []Embedding    `json:"data"`
	Model  string         `json:"model"`
	Usage  EmbeddingUsage `json:"usage"`
}

// Embedding is the vector of one text, of length 1: an array of numbers, or as
// base64 the bytes of 32-bit floats, the lowest first.
type Embedding struct {
	Object    string `json:"object"` // embedding
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

// EmbeddingUsage counts the tokens of all texts, under two names.
type EmbeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}
