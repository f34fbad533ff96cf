package answer

import "strings"

// harmony reads gpt-oss's answers: messages, each with a header that names its
// channel and, if it is a call, its recipient. The prompt ends before the first
// header.
func harmony(r *reader) {
	const (
		start, message = "<|start|>", "<|message|>"
		end            = "<|end|>"
	)
	for {
		r.accept(start)
		header, _, ok := r.header(message)
		if !ok {
			if which, _ := r.until(Text, start); which < 0 {
				return
			}
			continue
		}
		r.fresh = r.calls > 0
		kind := Text
		switch {
		case header.tool != "" && r.attempt(func() bool { return r.arguments(header.tool, "") }):
			r.fresh = true
		case header.channel == "analysis":
			kind = Reasoning
		}
		if which, _ := r.until(kind, end, start, "<|call|>", "<|return|>"); which < 0 {
			return
		}
	}
}

type harmonyHeader struct{ channel, tool string }

// header reads up to the marker that begins a message's content.
func (r *reader) header(message string) (h harmonyHeader, text string, ok bool) {
	ok = r.attempt(func() bool {
		text, _, ok = r.word(message)
		return ok
	})
	if _, channel, found := strings.Cut(text, "<|channel|>"); found {
		h.channel, _, _ = strings.Cut(strings.TrimSpace(channel), " ")
		h.channel, _, _ = strings.Cut(h.channel, "<")
	}
	if _, to, found := strings.Cut(text, "to=functions."); found {
		at := strings.IndexAny(to, " <\n")
		if at < 0 {
			at = len(to)
		}
		h.tool = to[:at]
	}
	return h, text, ok
}
