package answer

// layout is a way to write calls, as a grammar needs to know it. Its texts are
// literal but for these:
//
//	$NAME   the name of a tool, the same in all of a call
//	$ARGS   its arguments
//	$KEY    in values: the name of an argument
//	$VALUE  in values: its value
//	$N      a number
//	$ID     nine letters and digits
//	~       white space, or none
//	⟨a¦b⟩   a or b
//
// Control tokens are written as their names.
type layout struct {
	open  string   // before the first call
	calls []string // the ways to write a call
	next  string   // between the calls of a block; "": a block has one call
	close string   // behind the last call
	args  values   // how arguments are written

	// What is before the name of a tool occurs in texts, too: only with the name
	// of a tool behind it is it a call.
	soft bool
	// Calls are written so only at the beginning of an answer.
	start bool
}

// values is how the arguments of a call are written. The zero value is a JSON
// object.
type values struct {
	kind  valueKind
	text  string // of asElements: an argument that is a text, without quotes
	json  string // and any other one, as JSON
	end   string // no text may have this in it
	quote string // of asBraces: around strings
}

type valueKind uint8

const (
	asJSON     valueKind = iota
	asBraces             // Gemma's notation
	asKeywords           // Python's key=value, …
	asElements           // each between tags
)

// frame is how a format divides all of its answers into messages.
type frame struct {
	think []string // the beginning of a message that is reasoning
	text  []string // of one for the user
	form  []string // of one for the user that has a form
	end   string   // of a message
	next  string   // between messages
	marks []string // what is in no message
}

// The objects in which most models write calls. The later ones are how small
// models deviate.
const (
	plainObjectCall  = `{~"name":~"$NAME",~"arguments":~$ARGS~}`
	looseObjectCall  = `{~⟨"type":~"function",~¦"tool_call_id":~"$N",~¦⟩"⟨name¦tool_name¦function_name¦function⟩":~"$NAME",~"⟨arguments¦parameters¦args¦input⟩":~$ARGS~}`
	nestedObjectCall = `{~⟨"type":~"function",~¦⟩"function":~{~"name":~"$NAME",~"⟨arguments¦parameters⟩":~$ARGS~}~}`
)

// objectsBetween is an object between two marks, or several, in an array or not:
// models were taught one for each pair of marks, and small ones put all calls into it.
func objectsBetween(open, end string) []layout {
	return []layout{
		{open: open + "~", calls: []string{plainObjectCall}, next: "~⟨,~¦⟩", close: "~" + end},
		arrayBetween(open, plainObjectCall, "~"+end),
	}
}

// arrayBetween is an array of objects between two marks.
func arrayBetween(open, call, end string) layout {
	return layout{open: open + "~[~", calls: []string{call}, next: "~,~", close: "~]" + end}
}

// loose is objects, and arrays of them, between marks that occur in texts, too.
func loose(open, end string) []layout {
	calls := []string{looseObjectCall, nestedObjectCall}
	return []layout{
		{open: open, calls: calls, next: "~⟨,~¦;~¦⟩", close: end, soft: true},
		{open: open + "[~", calls: calls, next: "~,~", close: "~]" + end, soft: true},
	}
}

// bareObjects is objects without marks at the beginning of an answer.
func bareObjects() []layout {
	all := loose("", "")
	for i := range all {
		all[i].start = true
	}
	return all
}

// one is a format's only layout.
func one(l layout) []layout { return []layout{l} }

// withBare adds the objects without marks.
func withBare(marked ...layout) []layout { return append(marked, bareObjects()...) }

// pythonList is Python's calls in a list.
func pythonList(open, end string) layout {
	return layout{open: open + "[", calls: []string{"$NAME($ARGS)"}, next: ",~", close: "]" + end, args: values{kind: asKeywords}}
}

// gemmaCalls is the layout of calls in Gemma's notation.
func gemmaCalls(open, end, quote string) layout {
	return layout{open: open + "⟨⟩", calls: []string{"call:$NAME$ARGS"}, close: end, args: values{kind: asBraces, quote: quote}}
}

// layouts returns how elements are written. Some models forget the outer one.
func (t tagged) layouts() []layout {
	v := values{kind: asElements, end: t.paramEnd}
	line := t.param + "$KEY" + t.keyed[0] + t.pad + "$VALUE" + t.pad + t.paramEnd + "~"
	v.text, v.json = line, line
	if len(t.keyed) > 1 {
		v.json = t.param + "$KEY" + t.keyed[1] + "$VALUE" + t.paramEnd + "~"
	}
	calls := []string{t.call + "$NAME" + t.named + "~$ARGS~" + t.callEnd}
	return []layout{
		{open: t.open + "~", calls: calls, next: "~", close: "~" + t.close, args: v},
		{calls: calls, next: "~", args: v, soft: true},
	}
}

// Layouts of formats that have one of their own.
var (
	fencedObjects = func(mark, end string) []layout {
		all := append(objectsBetween(mark, end), loose("```json~", "~```")...)
		return append(all, bareObjects()...)
	}
	deepseekLayouts = func() []layout {
		calls := []string{
			"<｜tool▁call▁begin｜>$NAME<｜tool▁sep｜>$ARGS<｜tool▁call▁end｜>",
			"<｜tool▁call▁begin｜>function<｜tool▁sep｜>$NAME\n```json\n$ARGS\n```<｜tool▁call▁end｜>",
		}
		return []layout{{open: "<｜tool▁calls▁begin｜>⟨⟩", calls: calls, next: "~", close: "~<｜tool▁calls▁end｜>"}, {calls: calls, next: "~"}}
	}
	kimiLayouts = func() []layout {
		calls := []string{"<|tool_call_begin|>⟨⟩functions.$NAME:$N<|tool_call_argument_begin|>$ARGS<|tool_call_end|>"}
		return []layout{{open: "<|tool_calls_section_begin|>⟨⟩", calls: calls, next: "~", close: "<|tool_calls_section_end|>"}, {calls: calls, next: "~"}}
	}
	mistralNamed = layout{open: "[TOOL_CALLS]⟨⟩", calls: []string{"$NAME⟨[CALL_ID]$ID¦⟩⟨[ARGS]¦⟩$ARGS"}}
	mistralArray = arrayBetween("[TOOL_CALLS]", plainObjectCall, "")
	glmLayout    = layout{open: "<tool_call>~", calls: []string{"$NAME~$ARGS~"}, close: "</tool_call>", args: values{
		kind: asElements, end: "</arg_value>",
		text: "<arg_key>$KEY</arg_key>~<arg_value>$VALUE</arg_value>~", json: "<arg_key>$KEY</arg_key>~<arg_value>$VALUE</arg_value>~",
	}}
	llamaLayouts = func() []layout {
		bare := bareObjects()
		bare[0].calls = append([]string{`{~"name":~"$NAME",~"parameters":~$ARGS~}`}, bare[0].calls...)
		python := pythonList("", "")
		python.start, python.soft = true, true
		return append(bare, python,
			layout{open: "<|python_tag|>~", calls: bare[0].calls, next: "~⟨;~¦⟩"},
			layout{open: "<|python_tag|>~", calls: []string{"$NAME($ARGS)", "$NAME.call($ARGS)"}, args: values{kind: asKeywords}},
			layout{calls: []string{"<function=$NAME>$ARGS</function>"}, soft: true})
	}
	lfmLayouts = func() []layout {
		return []layout{pythonList("<|tool_call_start|>⟨⟩", "<|tool_call_end|>"), arrayBetween("<|tool_call_start|>", plainObjectCall, "<|tool_call_end|>")}
	}
	jsonLayouts = func() []layout {
		bare := bareObjects()
		bare[0].calls = append([]string{plainObjectCall}, bare[0].calls...)
		return append(append(bare, objectsBetween("<tool_call>", "</tool_call>")...), loose("```json~", "~```")...)
	}
	harmonyFrame = &frame{
		think: []string{"<|channel|>analysis<|message|>"},
		text:  []string{"<|channel|>final<|message|>", "<|channel|>commentary<|message|>"},
		form:  []string{"<|channel|>final⟨⟨ ¦⟩<|constrain|>json¦⟩<|message|>"},
		end:   "⟨<|end|>¦<|call|>⟩", next: "<|start|>assistant",
		marks: []string{"<|end|>", "<|start|>", "<|channel|>", "<|message|>", "<|call|>", "<|constrain|>", "<|return|>"},
	}
	harmonyLayout = layout{calls: []string{
		"<|channel|>commentary to=functions.$NAME⟨ <|constrain|>json¦<|constrain|>json¦ json¦⟩<|message|>$ARGS",
		" to=functions.$NAME<|channel|>commentary⟨ <|constrain|>json¦<|constrain|>json¦ json¦⟩<|message|>$ARGS",
	}}
	functionaryFrame = &frame{text: []string{"all\n"}, form: []string{"all\n"}, next: ">>>", marks: []string{">>>⟨all¦$NAME⟩\n"}}
)
