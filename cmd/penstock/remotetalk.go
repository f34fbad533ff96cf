package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat"
)

// remoteModel is a model of a running server that talk talks to.
type remoteModel struct {
	*remote
	name    string
	context int
}

// serving is the model that run asks for, if a running server has it. Otherwise it
// is nil, and run loads the model itself. Either is said.
func (c *runCommand) serving(ctx context.Context, p *parsed, term terminal) (*remoteModel, error) {
	if c.Local || strings.ContainsAny(c.Model, `/\`) && !strings.HasPrefix(c.Model, "hf.co/") {
		return nil, nil
	}
	r, err := c.Server.find(ctx, p)
	if err != nil || r == nil {
		return nil, err
	}
	for _, flag := range flagNames(reflect.TypeFor[engineFlags]()) {
		if origin(p.context, flag) == fromCommandLine {
			fmt.Fprintf(term.err, "penstock: the server at %s is not used: --%s is for a model in this process\n", r.url, flag)
			return nil, nil
		}
	}
	var m struct {
		MaxModelLen int `json:"max_model_len"`
	}
	if err := r.get(ctx, "/v1/models/"+url.PathEscape(c.Model), &m); err != nil {
		var answer *remoteError
		if !errors.As(err, &answer) {
			return nil, err
		}
		fmt.Fprintf(term.err, "penstock: the server at %s is not used: %s\n", r.url, answer.text)
		return nil, nil
	}
	fmt.Fprintf(term.err, "penstock: %s is asked at the server at %s (--local runs it here)\n", c.Model, r.url)
	return &remoteModel{r, c.Model, m.MaxModelLen}, nil
}

// talkTo talks to a model of a server: it answers the prompt, or chats where there is
// none.
func (c *runCommand) talkTo(ctx context.Context, m *remoteModel, prompt string, term terminal) error {
	t := &talk{
		model: c.Model, remote: m, raw: c.Raw, verbose: c.Verbose, terminal: isTerminal(term.out), out: term.out, err: term.err,
		settings: settings{system: c.System, maxTokens: c.MaxTokens, sampling: c.Sampling},
	}
	if prompt == "" {
		return t.chat(c.History)
	}
	return t.once(ctx, prompt)
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
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Details    struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// sayRemote is say for a model of a server.
func (t *talk) sayRemote(ctx context.Context, text string) (answer, error) {
	messages := append(t.conversation(), chat.NewMessage("user", text))
	a, err := t.stream(ctx, t.request(messages, text, ""))
	if a.text != "" {
		t.messages = append(t.messages, chat.NewMessage("user", text), chat.NewMessage("assistant", a.text))
	}
	return a, err
}

// moreRemote is more for a model of a server.
func (t *talk) moreRemote(ctx context.Context) (answer, error) {
	n := len(t.messages)
	if !t.remoteCut || n < 2 {
		return answer{}, errNothingCut
	}
	said := content(t.messages[n-1])
	a, err := t.stream(ctx, t.request(t.conversation(), content(t.messages[n-2])+said, said))
	t.messages[n-1] = chat.NewMessage("assistant", said+a.text)
	return a, err
}

// request is what the server is asked. A raw prompt goes on as it is; an answer that
// was cut is continued.
func (t *talk) request(messages []chat.Message, raw, cut string) map[string]any {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	body := map[string]any{"model": t.remote.name, "stream": true, "stream_options": map[string]any{"include_usage": true}}
	if t.raw {
		body["prompt"] = raw
	} else {
		var list []message
		for _, m := range messages {
			list = append(list, message{m.Role, content(m)})
		}
		body["messages"] = list
		if cut != "" {
			body["continue_final_message"], body["add_generation_prompt"] = true, false
		}
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

// stream prints an answer of the server while it comes.
func (t *talk) stream(ctx context.Context, body map[string]any) (answer, error) {
	t.remoteCut = false
	path := "/v1/chat/completions"
	if t.raw {
		path = "/v1/completions"
	}
	response, err := t.remote.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	var a answer
	var said strings.Builder
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var c chunk
		if err = json.Unmarshal([]byte(data), &c); err != nil {
			break
		}
		if err = t.take(&c, &a, &said); err != nil {
			break
		}
	}
	if err == nil {
		err = lines.Err()
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	a.text, t.remoteCut = said.String(), a.cut && !a.full
	return a, err
}

// take prints a piece of an answer, and notes how it ended.
func (t *talk) take(c *chunk, a *answer, said *strings.Builder) error {
	if c.Error != nil {
		return &remoteError{text: c.Error.Message}
	}
	for _, choice := range c.Choices {
		text := choice.Delta.Reasoning + choice.Delta.Content + choice.Text
		said.WriteString(text)
		if _, err := io.WriteString(t.out, t.shown(text)); err != nil {
			return err
		}
		a.cut = a.cut || choice.Finish != nil && *choice.Finish == "length"
	}
	if u := c.Usage; u != nil {
		a.tokens = u.Completion
		a.full = a.cut && u.Prompt+u.Completion >= t.remote.context
		if t.verbose {
			fmt.Fprintf(t.err, "\n\nprompt %d tokens (%d from the cache); answer %d tokens\n", u.Prompt, u.Details.Cached, u.Completion)
		}
	}
	return nil
}
