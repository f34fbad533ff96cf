// Package page holds the wire types of the routes that the page at /ui/ has for
// itself: Markdown that is rendered while it is written, and the live view.
package page

// RenderRequest is the body of POST /ui/render.
type RenderRequest struct {
	Text string `json:"text"`
	Done bool   `json:"done,omitempty"` // no more text will follow
}

// Rendered is Markdown as HTML that is safe to show.
type Rendered struct {
	Closed []Block  `json:"closed"` // blocks that no further text can change
	Open   []string `json:"open"`   // HTML of each block of the text after them
}

// Block is one block.
type Block struct {
	HTML   string `json:"html"`
	Length int    `json:"length"` // of its text, in units of UTF-16
}

// Live is one event of GET /ui/live. Times are in milliseconds.
type Live struct {
	State     string     `json:"state"` // loaded, loading, unloading, unloaded, restarting or draining
	Model     string     `json:"model"`
	Time      int64      `json:"time"` // of the server, since 1970
	Step      Step       `json:"step"`
	Sequences []Sequence `json:"sequences"`
	Waiting   []Waiting  `json:"waiting"`
	Queued    int        `json:"queued"` // of which Waiting are the first
	Limits    Limits     `json:"limits"`
	Blocks    [][]uint64 `json:"blocks"` // runs of blocks in the same use: how many, 0 free, 1 cached, 2 and more held by all but one of that number; numbers of the sequences that hold them
	Totals    Totals     `json:"totals"`
	First     Histogram  `json:"ttft"`
	Between   Histogram  `json:"itl"`
	Memory    Memory     `json:"memory"`
	Recent    []Recent   `json:"recent"` // requests that have ended, the oldest first
}

// Step is the engine's last step.
type Step struct {
	Number  int64   `json:"number"`
	Rows    int     `json:"rows"`
	Decode  int     `json:"decode"` // rows of these that belong to sequences that were decoding
	Age     float64 `json:"age"`    // since it began
	Whole   float64 `json:"whole"`
	Forward float64 `json:"forward"`
	Sample  float64 `json:"sample"`
}

// Sequence is a request that takes part in the steps.
type Sequence struct {
	Number   uint64  `json:"number"`
	Phase    string  `json:"phase"` // prefill or decode
	Prompt   int     `json:"prompt"`
	Computed int     `json:"computed"`
	Cached   int     `json:"cached"`
	Decoded  int     `json:"decoded"`
	Limit    int     `json:"limit"`
	Blocks   int     `json:"blocks"`
	Rows     int     `json:"rows"` // in the last step
	Age      float64 `json:"age"`  // since it was submitted
	Preempts int     `json:"preemptions"`
}

// Waiting is a request that has not begun, or lost its place.
type Waiting struct {
	Number    uint64  `json:"number"`
	Prompt    int     `json:"prompt"`
	Age       float64 `json:"age"`
	Preempted bool    `json:"preempted"`
}

// Limits are the engine's sizes.
type Limits struct {
	Batch       int `json:"batch"`   // sequences at once
	Rows        int `json:"rows"`    // of a step
	Context     int `json:"context"` // tokens of a sequence
	Blocks      int `json:"blocks"`
	BlockTokens int `json:"block_tokens"`
}

// Totals only grow.
type Totals struct {
	Steps       uint64 `json:"steps"`
	PromptRows  uint64 `json:"prompt_rows"` // computed rows of prompts
	Prompt      uint64 `json:"prompt_tokens"`
	Hits        uint64 `json:"prefix_hits"` // prompt tokens that the cache had
	Generated   uint64 `json:"generated"`
	Preemptions uint64 `json:"preemptions"`
	Evictions   uint64 `json:"evictions"`
	Refused     uint64 `json:"refused"`
}

// Histogram has the counts below each bound, in seconds, and above the last.
type Histogram struct {
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"`
}

// Memory is in bytes.
type Memory struct {
	Process uint64 `json:"process"` // that the process holds; 0: the system does not say
	Weights uint64 `json:"weights"` // of the model
	Cache   uint64 `json:"cache"`   // keys and values of all sequences, when all blocks are used
	Heap    uint64 `json:"heap"`
}

// Recent is a request that has ended, and where its time went.
type Recent struct {
	Number     uint64  `json:"number"`
	Reason     string  `json:"reason"`
	Prompt     int     `json:"prompt"`
	Cached     int     `json:"cached"`
	Completion int     `json:"completion"`
	Queue      float64 `json:"queue"`
	First      float64 `json:"ttft"` // 0: it got no token
	Prefill    float64 `json:"prefill"`
	Decode     float64 `json:"decode"`
	Forward    float64 `json:"forward"` // in the model
	Sample     float64 `json:"sample"`
	Between    float64 `json:"between"` // between its steps
	Total      float64 `json:"total"`
	Steps      int     `json:"steps"`
	Age        float64 `json:"age"` // since it ended
}
