package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	openaiapi "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/instance"
)

// talk is a conversation with a model of a server, which may be in this process.
type talk struct {
	model    string             // name or path that the user gave
	at       *remoteModel       // the server that has it
	in       *instance.Instance // nil: it is in another process
	raw      bool               // prompts are passed on as they are, without the chat template
	verbose  bool
	terminal bool // out is a terminal
	out, err io.Writer
	show     func(piece) error // takes an answer while it comes; nil: it goes to out as it is
	history  *history          // of what is typed; nil outside of a chat
	settings

	messages []chat.Message // of the user and the assistant; the system message is a setting
	attached []attachment   // files that come before the next message
	file     string         // path to which the conversation was last saved
	open     bool           // the last message is an answer that can be continued
	last     *figures       // of the last answer; nil: there was none
}

// settings are what the user can change between two messages.
type settings struct {
	system    string
	maxTokens int // 0: until the context is full
	sampling  samplingFlags
	format    *format // that answers have; nil: any
	think     string  // on, off, low, medium or high; "": as the model likes
}

// piece is a part of an answer, as it comes.
type piece struct {
	text    string
	thought bool // it is what the model thinks before it answers
}

// answer is what the model said to one message.
type answer struct {
	text    string
	thought bool // it also thought
	tokens  int
	cut     bool // a limit ended it, not the model
	full    bool // that limit was the context, so that it cannot be continued
	open    bool // it can be continued: it was cut, or has not come to its end
}

// figures are what an answer took.
type figures struct {
	first   time.Duration // until its first piece came
	usage   openaiapi.Usage
	timings *openaiapi.Timings // nil: the server told none
}

var errNothingCut = errors.New("the last answer is complete")

// say sends a message and shows the model's answer as it comes. Message and answer
// become part of the conversation, unless the server refuses the message.
func (t *talk) say(ctx context.Context, text string) (answer, error) {
	text = withFiles(t.attached, text)
	messages := append(t.conversation(), chat.NewMessage("user", text))
	a, err := t.stream(ctx, t.request(messages, text, false))
	if a.text != "" {
		t.attached = nil
		t.messages = append(t.messages, chat.NewMessage("user", text), chat.NewMessage("assistant", a.text))
		t.open = a.open
	}
	return a, err
}

// more continues an answer that was cut or interrupted.
func (t *talk) more(ctx context.Context) (answer, error) {
	n := len(t.messages)
	if !t.open || n < 2 {
		return answer{}, errNothingCut
	}
	// A character that was cut in the middle is made anew, and so is white space at the
	// end of a message: models go on better after a word.
	said := strings.TrimSuffix(content(t.messages[n-1]), "\uFFFD")
	if !t.raw {
		said = strings.TrimRight(said, " \t\r\n")
	}
	before, asked := t.messages[:n-1], content(t.messages[n-2])
	t.messages = before
	if said != "" {
		t.messages = append(before, chat.NewMessage("assistant", said))
	}
	if fence := openFence(said); fence != "" && t.show != nil && !t.raw {
		if err := t.show(piece{text: fence + "\n"}); err != nil { // what follows is still code
			return answer{}, err
		}
	}
	a, err := t.stream(ctx, t.request(t.conversation(), asked+said, said != ""))
	t.messages = append(before, chat.NewMessage("assistant", said+a.text))
	if a.text != "" || err == nil {
		t.open = a.open
	} // else nothing came, and it can be tried again
	return a, err
}

// openFence is the line that opens the block of code in which a text ends, if it ends
// in one.
func openFence(text string) (open string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch mark := strings.TrimRight(open, " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+#-._"); {
		case open == "" && (strings.HasPrefix(line, "```") || strings.HasPrefix(line, "~~~")):
			open = line
		case open != "" && strings.HasPrefix(line, mark) && strings.Trim(line, mark[:1]) == "":
			open = ""
		}
	}
	return open
}

// content is a message's text.
func content(m chat.Message) string {
	var b strings.Builder
	for _, p := range m.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// conversation is the system message, if there is one, and all messages after it.
func (t *talk) conversation() []chat.Message {
	if t.system == "" {
		return t.messages
	}
	return append([]chat.Message{chat.NewMessage("system", t.system)}, t.messages...)
}

// request is what the server is asked. A raw prompt goes on as it is; an answer that
// was cut is continued.
func (t *talk) request(messages []chat.Message, raw string, goOn bool) map[string]any {
	body := map[string]any{"model": t.at.name, "stream": true, "stream_options": map[string]any{"include_usage": true}}
	if t.raw {
		body["prompt"] = raw
	} else {
		list := make([]savedMessage, 0, len(messages))
		for _, m := range messages {
			list = append(list, savedMessage{m.Role, content(m)})
		}
		body["messages"] = list
		if goOn {
			body["continue_final_message"], body["add_generation_prompt"] = true, false
		}
		t.thinking(body)
	}
	if t.format != nil {
		body["response_format"] = t.format.json
	}
	if t.maxTokens > 0 {
		body["max_tokens"] = t.maxTokens
	} else {
		body["n_predict"] = -1
	}
	s := &t.sampling
	set(body, "temperature", s.Temperature)
	set(body, "top_k", s.TopK)
	set(body, "top_p", s.TopP)
	set(body, "min_p", s.MinP)
	set(body, "repeat_penalty", s.RepeatPenalty)
	set(body, "repeat_last_n", s.RepeatLastN)
	set(body, "presence_penalty", s.PresencePenalty)
	set(body, "frequency_penalty", s.FrequencyPenalty)
	set(body, "seed", s.Seed)
	return body
}

func set[T any](body map[string]any, name string, value *T) {
	if value != nil {
		body[name] = *value
	}
}

// thinking says whether and how much the model is to think, in the words that
// templates know.
func (t *talk) thinking(body map[string]any) {
	if t.think == "" {
		return
	}
	body["chat_template_kwargs"] = map[string]any{"enable_thinking": t.think != "off"}
	if t.think != "on" && t.think != "off" {
		body["reasoning_effort"] = t.think
	}
}

// stream shows an answer while it comes.
func (t *talk) stream(ctx context.Context, body map[string]any) (answer, error) {
	path := "/v1/chat/completions"
	if t.raw {
		path = "/v1/completions"
	}
	began := time.Now()
	response, err := t.at.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	r := incoming{t: t, began: began}
	err = events(response.Body, r.take)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	r.text = r.said.String()
	if r.figures.usage.CompletionTokens > 0 {
		t.last = &r.figures
	}
	// A grammar begins at the beginning of an answer, so one with a format does not go on.
	r.open = (r.cut || !r.ended) && !r.full && r.text != "" && t.format == nil
	return r.answer, err
}

// chunk is a piece of a streamed answer, of a chat or of a text.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content   string `json:"content"`
			Reasoning string `json:"reasoning_content"`
		} `json:"delta"`
		Text   string  `json:"text"`
		Finish *string `json:"finish_reason"`
	} `json:"choices"`
	Usage   *openaiapi.Usage   `json:"usage"`
	Timings *openaiapi.Timings `json:"timings"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// incoming is an answer that is coming in.
type incoming struct {
	answer
	t       *talk
	began   time.Time
	said    strings.Builder
	ended   bool // the server said why there is no more
	figures figures
}

// take shows a piece of the answer, and notes how it ended.
func (r *incoming) take(data []byte) error {
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return err
	}
	if c.Error != nil {
		return &remoteError{text: c.Error.Message, own: r.t.at.own}
	}
	for _, choice := range c.Choices {
		text, thought := choice.Delta.Content+choice.Text, choice.Delta.Reasoning
		if text+thought != "" && r.figures.first == 0 {
			r.figures.first = time.Since(r.began)
		}
		r.said.WriteString(text)
		r.thought = r.thought || thought != ""
		for _, p := range []piece{{thought, true}, {text, false}} {
			if err := r.t.print(p); err != nil {
				return err
			}
		}
		r.ended = r.ended || choice.Finish != nil
		r.cut = r.cut || choice.Finish != nil && *choice.Finish == "length"
	}
	if c.Timings != nil {
		r.figures.timings = c.Timings
	}
	if u := c.Usage; u != nil {
		r.figures.usage, r.tokens = *u, u.CompletionTokens
		r.full = r.cut && u.PromptTokens+u.CompletionTokens >= r.t.at.context
	}
	return nil
}

// print shows a piece of an answer. Where nobody looks on, what the model thinks is
// no part of it.
func (t *talk) print(p piece) error {
	switch {
	case p.text == "":
		return nil
	case t.show != nil:
		return t.show(p)
	case p.thought && !t.verbose:
		return nil
	case p.thought:
		_, err := io.WriteString(t.err, p.text)
		return err
	case t.terminal:
		p.text = visible(p.text)
	}
	_, err := io.WriteString(t.out, p.text)
	return err
}

// line is the figures of an answer, on one line.
func (f *figures) line() string {
	u := &f.usage
	prompt, answer := fmt.Sprintf("prompt %d tokens (%d from the cache)", u.PromptTokens, u.PromptTokensDetails.CachedTokens), fmt.Sprintf("answer %d tokens", u.CompletionTokens)
	if m := f.timings; m != nil {
		prompt += fmt.Sprintf(", %.0f tokens/s", m.PromptPerSecond)
		answer += fmt.Sprintf(", %.1f tokens/s", m.PredictedPerSecond)
	}
	return prompt + "; " + answer
}
