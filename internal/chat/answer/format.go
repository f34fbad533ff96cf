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
	frame   *frame   // nil: an answer is text but for its calls
	layouts []layout // the ones that models of the family know best come first
}

// Framed reports whether answers of the format that have no calls need to be read
// with it, too.
func (f *Format) Framed() bool { return f.frame != nil }

// formats are tried in this order: the more telling markers come first.
var formats = []*Format{
	{"harmony", []string{"<|channel|>", "<|message|>"}, harmony, harmonyFrame, one(harmonyLayout)},
	{"deepseek-dsml", []string{"DSML", "function_calls"}, dsml("function_calls").parse, nil, dsml("function_calls").layouts()},
	{"deepseek-dsml-tool-calls", []string{"DSML"}, dsml("tool_calls").parse, nil, dsml("tool_calls").layouts()},
	{"deepseek", []string{"<｜tool▁call▁begin｜>"}, deepseek, nil, deepseekLayouts()},
	{"kimi", []string{"<|tool_call_begin|>"}, kimi, nil, kimiLayouts()},
	{"minimax", []string{"<minimax:tool_call>"}, minimaxElements.parse, nil, minimaxElements.layouts()},
	{"seed", []string{"<seed:tool_call>"}, functionElements("seed:").parse, nil, functionElements("seed:").layouts()},
	{"glm", []string{"<arg_key>"}, glm, nil, one(glmLayout)},
	{"qwen3-coder", []string{"<function=", "<parameter="}, functionElements("").parse, nil, functionElements("").layouts()},
	{"functionary", []string{"'>>>'"}, functionary, functionaryFrame, one(layout{calls: []string{"$NAME\n$ARGS"}})},
	{"gemma4", []string{"<|tool_call>call:"}, gemma("<|tool_call>", "<tool_call|>", gemma4Values), nil, one(gemmaCalls("<|tool_call>", "<tool_call|>", `<|"|>`))},
	{"functiongemma", []string{"<start_function_call>"}, gemma("<start_function_call>", "<end_function_call>", functionGemma), nil,
		one(gemmaCalls("<start_function_call>", "<end_function_call>", "<escape>"))},
	{"lfm2", []string{"<|tool_call_start|>"}, lfm, nil, lfmLayouts()},
	{"lfm2", []string{"<|tool_list_start|>"}, lfm, nil, lfmLayouts()},
	{"mistral", []string{"[TOOL_CALLS]", "[ARGS]"}, mistral, nil, []layout{mistralNamed, mistralArray}},
	{"mistral", []string{"[TOOL_CALLS]"}, mistral, nil, []layout{mistralArray, mistralNamed}},
	{"cohere", []string{"<|START_ACTION|>"}, fences([]string{"<|START_ACTION|>"}, "<|END_ACTION|>"), nil,
		withBare(arrayBetween("<|START_ACTION|>", `{~"tool_call_id":~"$N",~"tool_name":~"$NAME",~"parameters":~$ARGS~}`, "~<|END_ACTION|>"))},
	{"apertus", []string{"<|tools_prefix|>"}, apertus, nil, one(arrayBetween("<|tools_prefix|>", `{~"$NAME":~$ARGS~}`, "~<|tools_suffix|>"))},
	{"nemotron", []string{"<TOOLCALL>"}, fences([]string{"<TOOLCALL>"}, "</TOOLCALL>"), nil, withBare(arrayBetween("<TOOLCALL>", plainObjectCall, "~</TOOLCALL>"))},
	{"granite", []string{"<|tool_call|>"}, fences([]string{"<|tool_call|>", "<tool_call>"}, "</tool_call>"), nil,
		withBare(append([]layout{arrayBetween("<|tool_call|>", plainObjectCall, "")}, objectsBetween("<tool_call>", "</tool_call>")...)...)},
	{"hermes", []string{"<tool_call>"}, fences([]string{"<tool_call>", "<tools>", "```json"}, "</tool_call>", "</tools>", "```"), nil,
		append(fencedObjects("<tool_call>", "</tool_call>"), loose("<tools>~", "~</tools>")...)},
	{"llama3", []string{"<|python_tag|>"}, llama, nil, llamaLayouts()},
	{"llama3", []string{"<|eot_id|>", "tools"}, llama, nil, llamaLayouts()},
	{"json", nil, fences([]string{"<tool_call>", "```json"}, "</tool_call>", "```"), nil, jsonLayouts()},
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

// Ended reports whether a prompt ends behind reasoning, so that the answer follows it.
func (m *Reasoner) Ended(prompt string) bool {
	return strings.HasSuffix(strings.TrimRight(prompt, spaces), m.Close)
}

// functionElements is the layout of Qwen3-Coder, and of Seed-OSS, whose outer
// element has a prefix.
func functionElements(prefix string) tagged {
	return tagged{
		open: "<" + prefix + "tool_call>", close: "</" + prefix + "tool_call>", call: "<function=", callEnd: "</function>", named: ">",
		param: "<parameter=", paramEnd: "</parameter>", keyed: []string{">"}, pad: "\n",
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
