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
	opening func(tool string) string
}

// Opening returns the text with which the call of a tool begins, up to its
// arguments. A prompt that ends with it makes the model call the tool; the
// parser must be fed with it before the answer. It is empty for formats that
// have no fixed beginning.
func (f *Format) Opening(tool string) string {
	if f.opening == nil {
		return ""
	}
	return f.opening(tool)
}

// formats are tried in this order: the more telling markers come first.
var formats = []*Format{
	{"harmony", []string{"<|channel|>", "<|message|>"}, harmony, nil},
	{"deepseek-dsml", []string{"DSML", "function_calls"}, dsml("function_calls").parse, nil},
	{"deepseek-dsml-tool-calls", []string{"DSML"}, dsml("tool_calls").parse, nil},
	{"deepseek", []string{"<｜tool▁call▁begin｜>"}, deepseek, nil},
	{"kimi", []string{"<|tool_call_begin|>"}, kimi, nil},
	{"minimax", []string{"<minimax:tool_call>"}, invoke("<minimax:tool_call>", "</minimax:tool_call>").parse, nil},
	{"seed", []string{"<seed:tool_call>"}, functionElements("<seed:tool_call>", "</seed:tool_call>").parse, nil},
	{"glm", []string{"<arg_key>"}, glm, func(tool string) string { return "<tool_call>" + tool + "\n" }},
	{"qwen3-coder", []string{"<function=", "<parameter="}, functionElements("<tool_call>", "</tool_call>").parse,
		func(tool string) string { return "<tool_call>\n<function=" + tool + ">\n" }},
	{"functionary", []string{"'>>>'"}, functionary, nil},
	{"gemma4", []string{"<|tool_call>call:"}, gemma("<|tool_call>", "<tool_call|>", gemma4Values), nil},
	{"functiongemma", []string{"<start_function_call>"}, gemma("<start_function_call>", "<end_function_call>", functionGemma), nil},
	{"lfm2", []string{"<|tool_call_start|>"}, lfm, nil},
	{"lfm2", []string{"<|tool_list_start|>"}, lfm, nil},
	{"mistral", []string{"[TOOL_CALLS]"}, mistral, nil},
	{"cohere", []string{"<|START_ACTION|>"}, fences([]string{"<|START_ACTION|>"}, "<|END_ACTION|>"), nil},
	{"apertus", []string{"<|tools_prefix|>"}, apertus, nil},
	{"nemotron", []string{"<TOOLCALL>"}, fences([]string{"<TOOLCALL>"}, "</TOOLCALL>"), nil},
	{"granite", []string{"<|tool_call|>"}, fences([]string{"<|tool_call|>", "<tool_call>"}, "</tool_call>"), nil},
	{"hermes", []string{"<tool_call>"}, fences([]string{"<tool_call>", "<tools>", "```json"}, "</tool_call>", "</tools>", "```"),
		func(tool string) string { return "<tool_call>\n{\"name\": " + quoted(tool) + ", \"arguments\": " }},
	{"llama3", []string{"<|python_tag|>"}, llama, nil},
	{"llama3", []string{"<|eot_id|>", "tools"}, llama, func(tool string) string { return `{"name": ` + quoted(tool) + `, "parameters": ` }},
	{"json", nil, fences([]string{"<tool_call>", "```json"}, "</tool_call>", "```"),
		func(tool string) string { return `{"name": ` + quoted(tool) + `, "arguments": ` }},
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

// Names returns the names of all formats.
func Names() []string {
	var names []string
	for _, f := range formats {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
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

func functionElements(open, end string) tagged {
	return tagged{
		open: open, close: end, call: "<function=", callEnd: "</function>", named: ">",
		param: "<parameter=", paramEnd: "</parameter>", keyed: []string{">"},
	}
}

func invoke(open, end string) tagged {
	return tagged{
		open: open, close: end, call: `<invoke name="`, callEnd: "</invoke>", named: `">`,
		param: `<parameter name="`, paramEnd: "</parameter>", keyed: []string{`">`},
	}
}

func dsml(block string) tagged {
	const mark = "｜DSML｜"
	return tagged{
		open: "<" + mark + block + ">", close: "</" + mark + block + ">",
		call: "<" + mark + `invoke name="`, callEnd: "</" + mark + "invoke>", named: `">`,
		param: "<" + mark + `parameter name="`, paramEnd: "</" + mark + "parameter>",
		keyed: []string{`" string="true">`, `" string="false">`, `">`},
	}
}
