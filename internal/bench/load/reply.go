package load

import (
	"encoding/json"
	"errors"
	"fmt"
)

// reply has the fields of an answer or event in all dialects; an answer fills those of its own dialect.
type reply struct {
	Model string          `json:"model"`
	Error json.RawMessage `json:"error"`

	// OpenAI
	Usage   *replyUsage   `json:"usage"`
	Choices []replyChoice `json:"choices"`

	// native
	Success *bool `json:"success"`
	Data    *struct {
		Text      string `json:"text"`
		Generated *int   `json:"generated_tokens"`
		Prompt    int    `json:"prompt_tokens"`
		Cached    int    `json:"cached_tokens"`
	} `json:"data"`
	Token     string `json:"token"`
	Generated *int   `json:"generated_tokens"`
	Prompt    int    `json:"prompt_tokens"`
	Cached    int    `json:"cached_tokens"`

	// Ollama
	Response   string       `json:"response"`
	Message    replyMessage `json:"message"`
	DoneReason string       `json:"done_reason"`
	EvalCount  *int         `json:"eval_count"`
	PromptEval int          `json:"prompt_eval_count"`
}

type replyUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

type replyChoice struct {
	Text    string       `json:"text"`
	Message replyMessage `json:"message"`
	Delta   replyMessage `json:"delta"`
	Finish  string       `json:"finish_reason"`
}

// replyMessage also takes the plain string that some servers send as an error's "message".
type replyMessage struct{ Content string }

func (m *replyMessage) UnmarshalJSON(b []byte) error {
	var v struct {
		Content *string `json:"content"`
	}
	if len(b) > 0 && b[0] == '{' {
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		if v.Content != nil {
			m.Content = *v.Content
		}
	}
	return nil
}

// mostTokens is the largest number of tokens that an answer may claim for one request.
const mostTokens = 1 << 31

// parseReply reads an answer or an event.
func parseReply(data []byte) (*reply, error) {
	r := new(reply)
	err := json.Unmarshal(data, r)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return nil, fmt.Errorf("is of no dialect that is known: its %q is of the wrong type: %s", wrong.Field, wrong.Value)
	}
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	return r, nil
}

// into fills a sample from the reply.
func (r *reply) into(s *Sample) error {
	if text := r.errorText(); text != "" {
		return fmt.Errorf("the server reported: %s", text)
	}
	if r.Success != nil && !*r.Success {
		return fmt.Errorf("the server reported failure without a reason")
	}
	if r.Model != "" {
		s.Model = r.Model
	}
	count := func(prompt, cached, completion int) {
		s.Prompt, s.Cached, s.Completion, s.Counted = prompt, cached, completion, true
	}
	switch {
	case r.Usage != nil:
		count(r.Usage.Prompt, r.Usage.Details.Cached, r.Usage.Completion)
	case r.Data != nil && r.Data.Generated != nil:
		count(r.Data.Prompt, r.Data.Cached, *r.Data.Generated)
	case r.Generated != nil:
		count(r.Prompt, r.Cached, *r.Generated)
	case r.EvalCount != nil:
		count(r.PromptEval, 0, *r.EvalCount)
	}
	for _, n := range []int{s.Prompt, s.Cached, s.Completion} {
		if n < 0 || n > mostTokens {
			return fmt.Errorf("the server reports a usage of %d tokens", n)
		}
	}
	for _, c := range r.Choices {
		if c.Finish != "" {
			s.Finish = c.Finish
		}
	}
	if r.DoneReason != "" {
		s.Finish = r.DoneReason
	}
	return nil
}

func (r *reply) text() string {
	if len(r.Choices) > 0 {
		c := r.Choices[0]
		return c.Text + c.Message.Content + c.Delta.Content
	}
	if r.Data != nil {
		return r.Data.Text
	}
	return r.Token + r.Response + r.Message.Content
}

// errorText is the message of an error in any dialect's form: a string, or an object with a message.
func (r *reply) errorText() string {
	if len(r.Error) == 0 || string(r.Error) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(r.Error, &text) == nil {
		return text
	}
	var object struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(r.Error, &object) == nil && object.Message != "" {
		return object.Message
	}
	return string(r.Error)
}
