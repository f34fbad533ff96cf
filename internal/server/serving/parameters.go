package serving

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Routes is a set of routes that take a JSON object.
type Routes uint32

// The routes, in the order of the documentation's columns.
const (
	OnChat       Routes = 1 << iota // POST /v1/chat/completions
	OnText                          // POST /v1/completions
	OnCompletion                    // POST /completion
	OnGenerate                      // POST /generate and /generate_stream
	OnBenchmark                     // POST /benchmark
	OnEncode                        // POST /encode
	OnTokenize                      // POST /tokenize
	OnDetokenize                    // POST /detokenize
	OnTemplate                      // POST /apply-template
	OnMessages                      // POST /v1/messages
	OnCount                         // POST /v1/messages/count_tokens
	OnResponses                     // POST /v1/responses and /v1/responses/input_tokens
	OnOllamaChat                    // POST /api/chat
	OnOllamaText                    // POST /api/generate
	OnOllamaName                    // POST /api/show and /api/pull, DELETE /api/delete
	OnInfill                        // POST /infill
	OnModel                         // POST /models/load and /models/unload
	OnOllamaCopy                    // POST /api/copy

	onOpenAI = OnChat | OnText
	onLlama  = OnCompletion | OnInfill         // llama-server's own
	onAll    = onOpenAI | onLlama | OnGenerate // that have all samplers
	onClaude = OnMessages | OnCount
	onPlain  = OnText | onLlama | OnGenerate // that know no conversation
	onOllama = OnOllamaChat | OnOllamaText
	onEvery  = OnModel | onAll | OnBenchmark | OnEncode | OnTokenize | OnDetokenize | OnTemplate | onClaude | OnResponses | onOllama | OnOllamaName
)

// RouteOf is the set of the one route with a path.
func RouteOf(path string) Routes {
	switch path {
	case "/v1/chat/completions", "/chat/completions", "/v1/chat/completions/render":
		return OnChat
	case "/v1/completions", "/v1/completions/render":
		return OnText
	case "/completion", "/completions":
		return OnCompletion
	case "/infill":
		return OnInfill
	case "/generate", "/generate_stream":
		return OnGenerate
	case "/benchmark":
		return OnBenchmark
	case "/encode":
		return OnEncode
	case "/tokenize":
		return OnTokenize
	case "/detokenize":
		return OnDetokenize
	case "/apply-template":
		return OnTemplate
	case "/v1/messages":
		return OnMessages
	case "/v1/messages/count_tokens":
		return OnCount
	case "/v1/responses", "/v1/responses/input_tokens":
		return OnResponses
	case "/api/chat":
		return OnOllamaChat
	case "/api/generate":
		return OnOllamaText
	case "/api/show", "/api/pull", "/api/delete":
		return OnOllamaName
	case "/api/copy":
		return OnOllamaCopy
	case "/models/load", "/models/unload":
		return OnModel
	case "/ui/render":
		return onRender
	}
	return embeddingRouteOf(path)
}

// Parameter is one field of requests, and what the routes do with it. A route
// that is in none of the sets does not know the field, and ignores it like any
// other field of no protocol.
type Parameter struct {
	Name     string
	Honoured Routes
	Ignored  Routes   // on purpose; Note has the reason
	Refused  Routes   // with 400, unless the value changes nothing: null, or one of Inert
	Inert    []string // JSON values
	Note     string   // for the documentation
}

// honoured, refused and ignored make the usual rows.
func honoured(on Routes, name, note string) Parameter {
	return Parameter{Name: name, Honoured: on, Note: note}
}

func refused(on Routes, name string, inert ...string) Parameter {
	return Parameter{Name: name, Refused: on, Inert: inert}
}

func ignored(on Routes, name, reason string) Parameter {
	return Parameter{Name: name, Ignored: on, Note: reason}
}

// keepAliveNote says what keep_alive does.
const keepAliveNote = "how long the model stays loaded after the answer: seconds, or a duration such as 10m; 0: not at all; negative: for ever; a model that is pinned or named on the command line stays"

// Parameters is the table of all parameters. Decoding refuses by it, the tests
// hold it against the request types, and docs/api.md and /openapi.json show it.
var Parameters = slices.Concat(withOptions([]Parameter{
	honoured(OnChat|OnTemplate|OnTokenize|onClaude|OnOllamaChat, "messages", "text contents only"),
	honoured(onClaude|OnOllamaText, "system", ""),
	{Name: "prompt", Honoured: onPlain | OnBenchmark | OnOllamaText | OnTokenize, Refused: OnResponses, Note: "/v1/completions and /completion take several, and token ids; /infill: what the answer begins with"},
	honoured(OnText|OnOllamaText, "suffix", "what follows the text that the model writes between it and the prompt"),
	honoured(OnInfill, "input_prefix", "the text before the gap"),
	honoured(OnInfill, "input_suffix", "the text after the gap"),
	honoured(OnInfill, "input_extra", "other files, as objects with filename and text"),
	honoured(OnResponses, "input", ""),
	honoured(OnResponses, "instructions", ""),
	honoured(OnResponses, "previous_response_id", ""),
	honoured(onEvery, "model", "an id or an alias from /v1/models; a model that is not in memory is loaded; may be left out"),
	honoured(onAll|OnMessages|OnResponses|onOllama|OnOllamaName, "stream", "Ollama's routes stream unless it is false"),
	honoured(onOpenAI, "stream_options", "with stream only"),
	honoured(onOpenAI, "stream_options.include_usage", ""),
	{Name: "stream_options.continuous_usage_stats", Refused: onOpenAI, Inert: []string{"false"}},
	{Name: "n", Honoured: onOpenAI, Refused: onLlama | OnGenerate, Inert: []string{"1"}, Note: "at most 128"},
	refused(onLlama, "n_cmpl", "1"),
	{Name: "best_of", Honoured: OnText, Refused: OnChat, Inert: []string{"1"}, Note: "so many answers are made, and the n with the best mean log-probability sent; above n not in streams"},

	honoured(onAll|OnBenchmark|OnMessages, "max_tokens", ""),
	{Name: "n_predict", Honoured: onOpenAI | onLlama, Note: "llama-server's name of max_tokens; -1: until the context is full"},
	honoured(OnChat, "max_completion_tokens", "comes before max_tokens"),
	honoured(OnResponses, "max_output_tokens", ""),
	honoured(onAll, "min_tokens", "no end of the answer and no stop string before"),
	honoured(onAll, "stop", "a string or up to 128"),
	honoured(OnMessages, "stop_sequences", "up to 128"),
	honoured(onAll, "stop_token_ids", ""),
	honoured(onAll, "ignore_eos", ""),
	honoured(onAll, "t_max_predict_ms", "counts from the first token; takes effect after a line feed"),
	honoured(onOpenAI, "include_stop_str_in_output", ""),
	honoured(onOpenAI, "skip_special_tokens", ""),
	{Name: "add_special_tokens", Honoured: OnText | OnTokenize, Refused: OnChat, Inert: []string{"false"}, Note: "in chats the template writes them"},

	honoured(onAll|OnBenchmark|OnMessages|OnResponses, "temperature", "0: always the likeliest token"),
	honoured(onAll|OnMessages, "top_k", "0 and less: all tokens"),
	honoured(onAll|OnMessages|OnResponses, "top_p", ""),
	honoured(onAll, "min_p", ""),
	honoured(onAll, "typical_p", ""),
	honoured(onAll, "top_n_sigma", ""),
	honoured(onAll, "xtc_probability", ""),
	honoured(onAll, "xtc_threshold", ""),
	honoured(onAll, "dynatemp_range", ""),
	honoured(onAll, "dynatemp_exponent", ""),
	honoured(onAll, "min_keep", ""),
	honoured(onAll, "samplers", "names, or letters; a sampler that is not named does not run"),
	honoured(onAll, "repeat_penalty", ""),
	honoured(onAll, "repetition_penalty", "vLLM's name of repeat_penalty"),
	honoured(onAll, "repeat_last_n", "tokens that the three penalties look back at; -1: all"),
	honoured(onAll|OnResponses, "presence_penalty", ""),
	honoured(onAll|OnResponses, "frequency_penalty", ""),
	honoured(onAll, "dry_multiplier", ""),
	honoured(onAll, "dry_base", ""),
	honoured(onAll, "dry_allowed_length", ""),
	honoured(onAll, "dry_penalty_last_n", ""),
	honoured(onAll, "dry_sequence_breakers", "up to 128, of each the first 40 bytes"),
	honoured(onAll, "logit_bias", "an object, or an array of pairs; false: never"),
	honoured(onAll, "allowed_token_ids", ""),
	honoured(onAll, "bad_words", "as tokens, with and without a space before them"),
	honoured(onAll, "seed", "32 bits; -1 and 4294967295: another each time"),

	honoured(onOpenAI|onOllama, "logprobs", "true or false for chats and on Ollama's routes, a number for texts"),
	{Name: "top_logprobs", Honoured: OnChat | onOllama, Refused: OnResponses, Inert: []string{"0"}, Note: "with logprobs only"},
	honoured(OnText, "echo", ""),
	honoured(onLlama, "n_probs", ""),
	honoured(onLlama, "return_tokens", ""),
	honoured(onLlama, "timings_per_token", "in streams"),
	honoured(onLlama, "response_fields", ""),
	honoured(onAll|OnResponses, "cache_salt", "vLLM's: only requests with the same text share what the prefix cache has of the prompt"),
	honoured(onAll, "cache_prompt", "false: the whole prompt is computed"),
	honoured(onOpenAI, "priority", "above 0: after the others"),
	{Name: "tools", Honoured: OnChat | OnTemplate | OnTokenize | onClaude | OnResponses | OnOllamaChat, Refused: onPlain, Inert: []string{"[]"}},
	{Name: "tool_choice", Honoured: OnChat | onClaude | OnResponses, Refused: onPlain, Inert: []string{`"none"`, `"auto"`}},
	honoured(onClaude, "tool_choice.type", ""),
	honoured(onClaude, "tool_choice.name", ""),
	honoured(onClaude, "tool_choice.disable_parallel_tool_use", ""),
	honoured(OnChat|OnResponses, "parallel_tool_calls", ""),
	honoured(onClaude, "thinking", ""),
	honoured(onClaude, "thinking.type", ""),
	honoured(onClaude, "thinking.budget_tokens", ""),
	honoured(OnChat|OnTokenize, "continue_final_message", ""),
	honoured(OnResponses, "reasoning", ""),
	honoured(OnResponses, "reasoning.effort", ""),
	honoured(OnResponses, "reasoning.summary", ""),
	honoured(OnResponses, "include", ""),
	honoured(OnResponses, "text", ""),
	honoured(OnResponses, "text.format", "text, json_object, json_schema; with tools, the answer is a call or of that form"),
	ignored(OnResponses, "text.verbosity", "a hint to OpenAI's own models"),
	ignored(OnResponses, "max_tool_calls", "it counts the calls of tools that OpenAI runs"),
	refused(OnResponses, "truncation", `"disabled"`),
	refused(OnResponses, "background", "false"),
	refused(OnResponses, "conversation"),
	honoured(OnChat|OnTemplate|OnTokenize, "add_generation_prompt", ""),
	honoured(OnChat|OnTemplate|OnTokenize, "chat_template_kwargs", ""),
	honoured(OnChat, "reasoning_effort", "none, minimal, low, medium, high, xhigh or max; the template decides what it means, and has enable_thinking as false with none"),
	{Name: "include_reasoning", Honoured: OnChat, Note: "vLLM's; false: the answer is without what the model thought"},
	{Name: "reasoning_format", Honoured: OnChat, Note: "llama-server's; none: what the model thinks is part of the text; auto and deepseek: it has its own field"},
	{Name: "thinking_token_budget", Honoured: OnChat, Note: "vLLM's; so many tokens at most are thoughts; -1: no limit; 0: none are"},
	{Name: "thinking_budget_tokens", Honoured: OnChat, Note: "llama-server's name of thinking_token_budget"},

	honoured(onOllama, "options", ""),
	honoured(onOllama, "options.num_predict", "negative: until the context is full"),
	honoured(onOllama, "options.num_ctx", "no more than the server's own context"),
	{Name: "options.mirostat", Refused: onOllama, Inert: []string{"0"}},
	honoured(onOllama, "think", "true, false, low, medium or high"),
	honoured(OnOllamaText, "raw", "the prompt as it is: with it system, context and think are refused, and the answer has no context"),
	honoured(OnOllamaText, "context", "the tokens of an earlier answer"),
	honoured(OnOllamaName, "name", "an older name of model"),
	honoured(OnOllamaCopy, "source", "a model that was downloaded"),
	honoured(OnOllamaCopy, "destination", "letters, digits, dots, underscores and hyphens"),
	honoured(onOllama, "format", "json, or a JSON Schema"),
	refused(OnOllamaText, "images", "[]"),
	refused(OnOllamaText, "template", `""`),
	honoured(onOllama, "keep_alive", keepAliveNote),
	ignored(OnOllamaName, "insecure", "what is fetched is verified"),

	honoured(OnBenchmark, "requests", ""),
	honoured(OnBenchmark, "concurrency", ""),
	honoured(OnEncode, "text", ""),
	honoured(OnTokenize, "content", ""),
	honoured(OnTokenize, "add_special", ""),
	honoured(OnTokenize, "parse_special", ""),
	honoured(OnTokenize, "with_pieces", ""),
	honoured(OnTokenize, "return_token_strs", "with prompt or messages, which make the request vLLM's"),
	honoured(OnDetokenize, "tokens", ""),

	honoured(onAll, "response_format", "text, json_object, json_schema; with tools, the answer is a call or of that form"),
	honoured(onAll, "structured_outputs", "vLLM's"),
	honoured(onAll, "structured_outputs.json", ""),
	honoured(onAll, "structured_outputs.regex", ""),
	honoured(onAll, "structured_outputs.choice", ""),
	honoured(onAll, "structured_outputs.grammar", "GBNF"),
	honoured(onAll, "structured_outputs.json_object", ""),
	honoured(onAll, "guided_json", "vLLM's older name"),
	honoured(onAll, "guided_regex", "vLLM's older name"),
	honoured(onAll, "guided_choice", "vLLM's older name"),
	honoured(onAll, "guided_grammar", "vLLM's older name; GBNF"),
	honoured(onAll, "grammar", "GBNF"),
	honoured(onAll, "json_schema", ""),

	{Name: "functions", Honoured: OnChat, Refused: onAll &^ OnChat, Inert: []string{"[]"}, Note: "the older name of tools; the answer has a function_call"},
	{Name: "function_call", Honoured: OnChat, Refused: onAll &^ OnChat, Inert: []string{`"none"`, `"auto"`}, Note: "the older name of tool_choice"},
	refused(onAll, "mirostat", "0"),
	refused(onAll, "adaptive_target", "-1"),
	refused(onAll, "logits_processors", "[]"),
	refused(onAll, "use_beam_search", "false"),
	refused(onAll, "length_penalty", "1"),
	refused(onAll, "prompt_logprobs"),
	refused(onAll, "truncate_prompt_tokens", "-1"),
	refused(onAll, "return_tokens_as_token_ids", "false"),
	refused(onAll, "return_token_ids", "false"),
	refused(onOpenAI, "logprob_token_ids", "[]"),
	refused(onOpenAI, "repetition_detection"),
	refused(onOpenAI, "return_prompt_text", "false"),
	refused(onOpenAI, "return_token_offsets", "false"),
	refused(onOpenAI, "watermarking", "false"),
	refused(OnText, "prompt_embeds", "[]"),
	refused(onOllama, "_debug_render_only", "false"),
	{Name: "post_sampling_probs", Honoured: onLlama, Refused: onOpenAI | OnGenerate, Inert: []string{"false"}, Note: "with n_probs: the probabilities that the token was drawn with, after all samplers"},
	{Name: "return_progress", Honoured: onLlama | OnChat, Refused: OnText | OnGenerate, Inert: []string{"false"}, Note: "in streams"},
	refused(onAll, "lora", "[]"),
	refused(onAll, "image_data", "[]"),
	refused(onLlama, "n_indent", "0"),
	refused(OnChat, "echo", "false"),
	refused(OnChat, "chat_template"),
	refused(OnChat, "documents", "[]"),
	refused(OnChat, "modalities", `["text"]`),
	refused(OnChat, "audio"),
	refused(OnChat, "prediction"),
	refused(OnChat, "web_search_options"),
	{Name: "output_format", Honoured: OnMessages, Ignored: OnCount, Note: "json_schema; it does not change the prompt"},
	honoured(onClaude, "output_config", ""),
	{Name: "output_config.format", Honoured: OnMessages, Ignored: OnCount, Note: "json_schema; it does not change the prompt"},
	honoured(onClaude, "output_config.effort", "low, medium, high, xhigh or max; the template decides what it means"),
	refused(onClaude, "mcp_servers", "[]"),
	refused(onClaude, "container"),

	ignored(onAll, "mirostat_tau", "mirostat is refused"),
	ignored(onAll, "mirostat_eta", "mirostat is refused"),
	ignored(onLlama, "n_keep", "prompts that do not fit are refused, so nothing is dropped"),
	ignored(onLlama, "n_discard", "prompts that do not fit are refused, so nothing is dropped"),
	ignored(onLlama, "id_slot", "any free place in the batch will do, and finds the same cache"),
	ignored(onLlama, "n_cache_reuse", "a hint"),
	ignored(onOpenAI|OnResponses, "user", "for the client's own books"),
	ignored(onOpenAI|OnMessages|OnResponses, "metadata", "for the client's own books"),
	{Name: "store", Honoured: OnResponses, Ignored: onOpenAI, Note: "only responses are ever kept"},
	ignored(onOpenAI|OnMessages|OnResponses, "service_tier", "there is one"),
	ignored(onClaude, "cache_control", "the cache needs no hint"),
	ignored(onClaude, "context_management", "prompts that do not fit are refused, so nothing is dropped"),
	ignored(onClaude, "betas", "for Anthropic's own service"),
	ignored(onOpenAI|OnResponses, "safety_identifier", "for the operators of a public service"),
	ignored(onOpenAI|OnResponses, "prompt_cache_key", "the cache needs no hint"),
	ignored(onOpenAI|OnResponses, "prompt_cache_retention", "the cache needs no hint"),
	ignored(OnChat, "verbosity", "a hint to OpenAI's own models"),
	ignored(onOpenAI, "spaces_between_special_tokens", "no spaces are ever added"),
	ignored(onOpenAI, "request_id", "the header x-request-id has it"),
}), embeddingParameters, pageParameters)

// withOptions adds a row for each parameter that all routes know and Ollama's
// routes have among their options.
func withOptions(rows []Parameter) []Parameter {
	for _, p := range rows {
		if p.Honoured&onAll == onAll && p.Name != "model" && p.Name != "stream" && p.Name != "max_tokens" {
			rows = append(rows, honoured(onOllama, "options."+p.Name, p.Note))
		}
	}
	return rows
}

// refusals finds the rows of parameters that refuse something, by name.
var refusals = func() map[string][]*Parameter {
	m := map[string][]*Parameter{}
	for i := range Parameters {
		if p := &Parameters[i]; p.Refused != 0 {
			m[p.Name] = append(m[p.Name], p)
		}
	}
	return m
}()

// refusedOn is the row that refuses a parameter on a route, or nil.
func refusedOn(name string, on Routes) *Parameter {
	for _, p := range refusals[name] {
		if p.Refused&on != 0 {
			return p
		}
	}
	return nil
}

// inert tells whether a value of a refused parameter changes nothing.
func (p *Parameter) inert(value jsontext.Value) bool {
	if value.Kind() == 'n' {
		return true
	}
	value = value.Clone()
	if value.Compact() != nil {
		return false
	}
	number, notNumber := strconv.ParseFloat(string(value), 64)
	for _, ok := range p.Inert {
		if bytes.Equal(value, []byte(ok)) {
			return true
		}
		if n, err := strconv.ParseFloat(ok, 64); err == nil && notNumber == nil && n == number {
			return true // 1.0 is 1
		}
	}
	return false
}
