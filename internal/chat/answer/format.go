package answer

import (
	"slices"
	"strings"
)

// Format is the way in which a family of models writes calls.
type Format struct {
	Name    string
	markers []string // a template of this format contains all of them
	parse   func(r *reader)
	opening string // of a call, with NAME for the tool's name
}

// Opening returns the text with which the call of a tool begins, up to its
// arguments; up to the tool's name if that is empty. A prompt that ends with it
// makes the model call the tool. The parser must be fed with it before the
// answer.
func (f *Format) Opening(tool string) string {
	before, after, _ := strings.Cut(f.opening, "NAME")
	if tool == "" {
		return before
	}
	return before + tool + after
}

// formats are tried in this order: the more telling markers come first.
var formats = []*Format{
	{"harmony", []string{"<|channel|>", "<|message|>"}, harmony, "<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>"},
	{"deepseek-dsml", []string{"DSML", "function_calls"}, dsml("function_calls").parse, dsml("function_calls").opening()},
	{"deepseek-dsml-tool-calls", []string{"DSML"}, dsml("tool_calls").parse, dsml("tool_calls").opening()},
	{"deepseek", []string{"<｜tool▁call▁begin｜>"}, deepseek, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>"},
	{"kimi", []string{"<|tool_call_begin|>"}, kimi, "<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>"},
	{"minimax", []string{"<minimax:tool_call>"}, minimaxElements.parse, minimaxElements.opening()},
	{"seed", []string{"<seed:tool_call>"}, functionElements("seed:").parse, functionElements("seed:").opening()},
	{"glm", []string{"<arg_key>"}, glm, "<tool_call>NAME\n"},
	{"qwen3-coder", []string{"<function=", "<parameter="}, functionElements("").parse, functionElements("").opening()},
	{"functionary", []string{"'>>>'"}, functionary, "NAME\n"},
	{"gemma4", []string{"<|tool_call>call:"}, gemma("<|tool_call>", "<tool_call|>", gemma4Values), "<|tool_call>call:NAME{"},
	{"functiongemma", []string{"<start_function_call>"}, gemma("<start_function_call>", "<end_function_call>", functionGemma), "<start_function_call>call:NAME{"},
	{"lfm2", []string{"<|tool_call_start|>"}, lfm, "<|tool_call_start|>[NAME("},
	{"lfm2", []string{"<|tool_list_start|>"}, lfm, "<|tool_call_start|>[NAME("},
	{"mistral", []string{"[TOOL_CALLS]", "[ARGS]"}, mistral, "[TOOL_CALLS]NAME[ARGS]"},
	{"mistral", []string{"[TOOL_CALLS]"}, mistral, `[TOOL_CALLS][{"name": "NAME", "arguments": `},
	{"cohere", []string{"<|START_ACTION|>"}, fences([]string{"<|START_ACTION|>"}, "<|END_ACTION|>"), "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"NAME\", \"parameters\": "},
	{"apertus", []string{"<|tools_prefix|>"}, apertus, `<|tools_prefix|>[{"NAME": `},
	{"nemotron", []string{"<TOOLCALL>"}, fences([]string{"<TOOLCALL>"}, "</TOOLCALL>"), `<TOOLCALL>[{"name": "NAME", "arguments": `},
	{"granite", []string{"<|tool_call|>"}, fences([]string{"<|tool_call|>", "<tool_call>"}, "</tool_call>"), `<|tool_call|>[{"name": "NAME", "arguments": `},
	{"hermes", []string{"<tool_call>"}, fences([]string{"<tool_call>", "<tools>", "```json"}, "</tool_call>", "</tools>", "```"), "<tool_call>\n{\"name\": \"NAME\", \"arguments\": "},
	{"llama3", []string{"<|python_tag|>"}, llama, `{"name": "NAME", "parameters": `},
	{"llama3", []string{"<|eot_id|>", "tools"}, llama, `{"name": "NAME", "parameters": `},
	{"json", nil, fences([]string{"<tool_call>", "```json"}, "</tool_call>", "```"), `{"name": "NAME", "arguments": `},
}

// Detect returns the format that a chat template asks for. One without any
// marker gets plain JSON objects.
func Detect(template string) *Format {
	for _, f := range formats {
		if !slices.ContainsFunc(f.markers, func(m string) bool { return !strings.Contains(template, m) }) {
			return f
		}
	}
	return formats[len(formats)-1]
}

// Named returns the format with a name, or nil.
func Named(name string) *Format {
	for _, f := range formats {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Reasoner is how a model marks what it thinks before it answers.
type Reasoner struct{ Open, Close string }

var reasoners = []*Reasoner{
	{"<seed:think>", "</seed:think>"},
	{"<|START_THINKING|>", "<|END_THINKING|>"},
	{"<|channel>thought", "<channel|>"},
	{"<|inner_prefix|>", "<|inner_suffix|>"},
	{"[THINK]", "[/THINK]"},
	{"<|think|>", "<|end|>"},
	{"<think>", "</think>"},
}

// DetectReasoning returns how a model with this chat template marks its
// reasoning, or nil if it does not.
func DetectReasoning(template string) *Reasoner {
	for _, r := range reasoners {
		if strings.Contains(template, r.Open) {
			return r
		}
	}
	return nil
}

// Begun reports whether a prompt ends within reasoning, so that the answer
// begins with it.
func (m *Reasoner) Begun(prompt string) bool {
	return strings.LastIndex(prompt, m.Open) > strings.LastIndex(prompt, m.Close) && strings.HasSuffix(strings.TrimRight(prompt, spaces), m.Open)
}

// functionElements is the layout of Qwen3-Coder, and of Seed-OSS, whose outer
// element has a prefix.
func functionElements(prefix string) tagged {
	return tagged{
		open: "<" + prefix + "tool_call>", close: "</" + prefix + "tool_call>", call: "<function=", callEnd: "</function>", named: ">",
		param: "<parameter=", paramEnd: "</parameter>", keyed: []string{">"},
	}
}

var minimaxElements = tagged{
	open: "<minimax:tool_call>", close: "</minimax:tool_call>", call: `<invoke name="`, callEnd: "</invoke>", named: `">`,
	param: `<parameter name="`, paramEnd: "</parameter>", keyed: []string{`">`},
}

// dsml is the layout of DeepSeek V3.2 and V4.
func dsml(block string) tagged {
	const mark = "｜DSML｜"
	return tagged{
		open: "<" + mark + block + ">", close: "</" + mark + block + ">",
		call: "<" + mark + `invoke name="`, callEnd: "</" + mark + "invoke>", named: `">`,
		param: "<" + mark + `parameter name="`, paramEnd: "</" + mark + "parameter>",
		keyed: []string{`" string="true">`, `" string="false">`, `">`},
	}
}
