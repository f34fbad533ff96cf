package answer

import "strings"

// kimi reads Kimi K2's calls. The model numbers them itself and expects its ids
// back.
func kimi(r *reader) {
	for {
		which, began := r.text("<|tool_calls_section_begin|>", "<|tool_call_begin|>")
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			calls := r.calls
			for which == 1 || r.acceptSpaced("<|tool_call_begin|>") {
				which = 0
				id, _, ok := r.word("<|tool_call_argument_begin|>")
				name, _, _ := strings.Cut(strings.TrimPrefix(id, "functions."), ":")
				if !ok || !r.arguments(name, id) {
					break
				}
				r.acceptSpaced("<|tool_call_end|>")
			}
			r.acceptSpaced("<|tool_calls_section_end|>")
			return r.calls > calls
		})
	}
}

// deepseek reads the calls of DeepSeek V3 and R1, whose arguments stand in a
// fence, and of V3.1, where they follow the name.
func deepseek(r *reader) {
	for {
		which, began := r.text("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>")
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			calls := r.calls
			for which == 1 || r.acceptSpaced("<｜tool▁call▁begin｜>") {
				which = 0
				name, _, ok := r.word("<｜tool▁sep｜>")
				if ok && name == "function" && r.tools[name] == nil {
					if name, _, ok = r.word("\n"); ok {
						r.acceptSpaced("```json")
					}
				}
				if !ok || !r.arguments(name, "") {
					break
				}
				r.acceptSpaced("```")
				r.acceptSpaced("<｜tool▁call▁end｜>")
			}
			r.acceptSpaced("<｜tool▁calls▁end｜>")
			return r.calls > calls
		})
	}
}

// mistral reads Mistral's calls: an array of objects, or the name, an id perhaps,
// and the arguments.
func mistral(r *reader) {
	for {
		which, began := r.text("[TOOL_CALLS]")
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			r.space()
			if r.peek() == '[' {
				return r.objects()
			}
			name, id := r.name(), ""
			if r.accept("[CALL_ID]") {
				id = r.name()
			}
			r.accept("[ARGS]")
			return r.arguments(name, id)
		})
	}
}

// functionary reads functionary 3.2's answers. The prompt ends before the first
// recipient: "all" is the user, every other one is a tool.
func functionary(r *reader) {
	for which := 0; which >= 0; which, _ = r.until(Text, ">>>") {
		r.attempt(func() bool {
			name, _, ok := r.word("\n")
			if ok && name == "all" {
				return true
			}
			if !ok || !r.arguments(name, "") {
				return false
			}
			r.fresh = true
			return true
		})
	}
}

// apertus reads calls written as an array of {"NAME": {…}}.
func apertus(r *reader) {
	for {
		which, began := r.text("<|tools_prefix|>")
		if which < 0 {
			return
		}
		r.block(began, func() bool {
			calls := r.calls
			r.acceptSpaced("[")
			for r.acceptSpaced("{") {
				r.space()
				name, ok := r.str()
				if !ok || !r.acceptSpaced(":") || !r.arguments(name, "") {
					break
				}
				r.acceptSpaced("}")
				r.acceptSpaced(",")
			}
			r.acceptSpaced("]")
			r.acceptSpaced("<|tools_suffix|>")
			return r.calls > calls
		})
	}
}
