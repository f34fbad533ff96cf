package chat

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/chat/jinja"
	"github.com/penstock-llm/penstock/internal/gguf"
)

// chatML is used for models that bring no template.
const chatML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// Template renders conversations for one model. It is safe for concurrent use.
type Template struct {
	tmpl      *jinja.Template
	bos, eos  string
	fallback  bool
	typed     bool // the template takes content as a list of parts only
	developer bool // the template knows the role developer
	now       func() time.Time
	problem   error // the model's template does not parse
}

// Load makes the template of a model file; a model without one gets ChatML. A
// template that does not parse is no reason not to load the model, which can
// still complete text: rendering says what is wrong with it.
func Load(f *gguf.File) (*Template, error) {
	source, _ := f.Str("tokenizer.chat_template")
	tokens, _ := f.Strs("tokenizer.ggml.tokens")
	special := func(key string) string {
		if id, ok := f.Uint("tokenizer.ggml." + key); ok && id < uint64(len(tokens)) {
			return tokens[id]
		}
		return ""
	}
	bos, eos := special("bos_token_id"), special("eos_token_id")
	t, err := New(source, bos, eos)
	if err != nil {
		if t, err = New("", bos, eos); err == nil {
			_, t.problem = jinja.Parse(source)
		}
	}
	return t, err
}

// New makes a template from its source; bos and eos are the texts of the
// model's special tokens. An empty source means ChatML.
func New(source, bos, eos string) (*Template, error) {
	t := &Template{bos: bos, eos: eos, now: time.Now, developer: strings.Contains(source, "developer")}
	if strings.TrimSpace(source) == "" {
		source, t.fallback = chatML, true
	}
	var err error
	if t.tmpl, err = jinja.Parse(source); err != nil {
		return nil, fmt.Errorf("chat: template: %w", err)
	}
	t.typed = t.wantsParts()
	return t, nil
}

// Source returns the template's text.
func (t *Template) Source() string { return t.tmpl.Source() }

// Fallback tells whether the model brought no template of its own.
func (t *Template) Fallback() bool { return t.fallback }

// Problem tells why the model's template cannot be used, or is nil.
func (t *Template) Problem() error { return t.problem }

// BOS returns the text of the token that begins a prompt; the template may
// already have written it.
func (t *Template) BOS() string { return t.bos }

// wantsParts finds out by trying whether a string as content gets lost, but a
// list of parts does not.
func (t *Template) wantsParts() bool {
	const probe = "\u00abprobe\u00bb"
	shows := func(content jinja.Value) bool {
		m := &jinja.Dict{}
		m.Set("role", "user")
		m.Set("content", content)
		text, err := t.render([]Message{{m}}, Options{GenerationPrompt: true}, len(probe))
		return err == nil && strings.Contains(text, probe)
	}
	return !shows(probe) && shows(textParts(probe))
}

func textParts(text string) *jinja.List {
	part := &jinja.Dict{}
	part.Set("type", "text")
	part.Set("text", text)
	return jinja.NewList(part)
}

// Options of a rendering besides the messages.
type Options struct {
	GenerationPrompt bool        // end with the beginning of the assistant's turn
	Tools            jinja.Value // nil: none
	Extra            *jinja.Dict // further variables of the template, such as enable_thinking; may be nil
}

// ErrRefused is wrapped by the error of a conversation that the template does
// not accept, or that makes it fail.
var ErrRefused = errors.New("chat: the template does not accept these messages")

// Render returns the prompt of a conversation.
func (t *Template) Render(messages []Message, o Options) (string, error) {
	if t.problem != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, t.problem)
	}
	size := 0
	shaped := make([]Message, len(messages))
	for i, m := range messages {
		shaped[i] = t.shape(m)
		size += m.size()
	}
	text, err := t.render(shaped, o, size)
	if err == nil {
		return text, nil
	}
	var raised *jinja.RaisedError
	if errors.As(err, &raised) {
		return "", fmt.Errorf("%w: %s", ErrRefused, raised.Message)
	}
	return "", fmt.Errorf("%w: %w", ErrRefused, err)
}

// render runs the template with the variables that transformers passes. What a
// conversation may cost grows with its size.
func (t *Template) render(messages []Message, o Options, size int) (string, error) {
	list := &jinja.List{Items: make([]jinja.Value, len(messages))}
	for i, m := range messages {
		list.Items[i] = m.fields
	}
	vars := jinja.NewDict(8)
	vars.Set("messages", list)
	vars.Set("tools", o.Tools)
	vars.Set("documents", nil)
	vars.Set("add_generation_prompt", o.GenerationPrompt)
	vars.Set("bos_token", t.bos)
	vars.Set("eos_token", t.eos)
	if o.Extra != nil {
		for i := range o.Extra.Len() {
			vars.Set(o.Extra.At(i))
		}
	}
	limits := jinja.Limits{
		Steps:  2_000_000 + 4*int64(size) + 2000*int64(len(messages)),
		Memory: 128<<20 + 256*int64(size),
	}
	return t.tmpl.Render(vars, jinja.Options{Now: t.now, Limits: limits})
}
