package serving

import (
	"math"

	"github.com/penstock-llm/penstock/internal/sample"
)

// Range is which numbers a parameter may have on some routes. Outside of it they
// are a 400.
type Range struct {
	Name      string
	On        Routes
	Low, High float64 // infinite: no limit
}

// strict are the routes that refuse numbers which OpenAI's documentation excludes.
// On llama-server's and Ollama's routes such a number counts as the nearest one
// that is allowed.
const strict = onOpenAI | OnGenerate

var none = math.Inf(1)

// Ranges are the limits that the handlers check: /openapi.json shows them, and a
// test sends the numbers on both sides of each limit.
var Ranges = []Range{
	{"temperature", strict | OnMessages | OnResponses | OnBenchmark, 0, 2},
	{"top_p", strict | OnMessages | OnResponses, 0, 1},
	{"top_k", strict | OnMessages, -1, none},
	{"min_p", strict, 0, 1},
	{"typical_p", strict, 0, 1},
	{"xtc_probability", strict, 0, 1},
	{"xtc_threshold", strict, 0, 1},
	{"dynatemp_range", strict, 0, 1000},
	{"dynatemp_exponent", strict, 0, 100},
	{"presence_penalty", strict | OnResponses, -2, 2},
	{"frequency_penalty", strict | OnResponses, -2, 2},
	{"repeat_penalty", onAll, 0.01, 10},
	{"repetition_penalty", onAll, 0.01, 10},
	{"repeat_last_n", onAll, -1, none},
	{"dry_multiplier", strict, 0, 1000},
	{"dry_base", strict, 0, 1000},
	{"dry_allowed_length", onAll, 0, none},
	{"dry_penalty_last_n", onAll, -1, none},
	{"min_keep", onAll, 0, none},
	{"min_tokens", onAll, 0, none},
	{"n", onOpenAI, 1, 128},
	{"best_of", OnText, 1, 128},
	{"max_tokens", OnText, 0, none},
	{"max_tokens", OnChat | OnGenerate | OnMessages | OnBenchmark, 1, none},
	{"max_completion_tokens", OnChat, 1, none},
	{"max_output_tokens", OnResponses, 1, none},
	{"n_predict", onOpenAI, -1, none},
	{"n_predict", onLlama, -2, none},
	{"max_tokens", onLlama, -1, none},
	{"n_probs", onLlama, 0, sample.MaxTop},
	{"logprobs", OnText, 0, 20},
	{"top_logprobs", OnChat | onOllama, 0, 20},
	{"requests", OnBenchmark, 1, 10_000},
	{"concurrency", OnBenchmark, 1, 256},
	{"embd_normalize", OnEmbedding, -1, 64},
	{"top_n", OnRerank, 0, MaxInputs},
}

// RangeOf is the range of a parameter on a route.
func RangeOf(name string, on Routes) (Range, bool) {
	for _, r := range Ranges {
		if r.Name == name && r.On&on != 0 {
			return r, true
		}
	}
	return Range{}, false
}
