package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/chat/jinja"
	"github.com/penstock-llm/penstock/internal/gguf"
)

// chatML is used for models that bring no template.
const chatML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// Template renders conversations for one model. It is safe for concurrent use.
type Template struct {
	tmpl     *jinja.Template
	bos, eos string
	habits   habits
	now      func() time.Time
	problem  error // the model's template does not parse
	answers  *answer.Format
	reasoner *answer.Reasoner

	keepsSystem func() bool            // findKeepsSystem, once
	abilities   func() Abilities       // findAbilities, once
	drops       map[string]func() bool // by role: whether it gets lost; found out once
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
	t := &Template{bos: bos, eos: eos, now: time.Now, habits: habitsOf(source), answers: answer.Detect(source), reasoner: answer.DetectReasoning(source)}
	if strings.TrimSpace(source) == "" {
		source = chatML
	}
	var err error
	if t.tmpl, err = jinja.Parse(source); err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	t.habits.parts = t.wantsParts()
	t.habits.developer = t.habits.developer && t.probe("developer") == shown
	t.habits.function = t.probe("function") == shown
	t.keepsSystem = sync.OnceValue(t.findKeepsSystem)
	t.abilities = sync.OnceValue(t.findAbilities)
	t.drops = t.dropped()
	return t, nil
}

// Source returns the template's text.
func (t *Template) Source() string { return t.tmpl.Source() }

// Problem returns why the model's template cannot be used, or nil.
func (t *Template) Problem() error { return t.problem }

// wantsParts finds out by trying whether the template loses a content that is a
// string, but shows one that is a list of parts.
func (t *Template) wantsParts() bool {
	const probe = "\u00abprobe\u00bb"
	shows := func(parts bool) bool {
		try := *t
		try.habits.parts = parts
		p, err := try.render(context.Background(), []Message{NewMessage("user", probe)}, Options{GenerationPrompt: true})
		return err == nil && strings.Contains(p.Text, probe)
	}
	return !shows(false) && shows(true)
}

// Options of a rendering besides the messages.
type Options struct {
	GenerationPrompt bool // end with the beginning of the assistant's turn
	Continue         bool // end within the last message, which is the assistant's, so that it is continued
	Tools            Data // as ParseTools returns them
	Variables        Variables
}

// Prompt is a rendered conversation.
type Prompt struct {
	Text string
	// Client are the parts of Text that came from the client rather than from
	// the template, in ascending order. No turn begins or ends in them.
	Client []jinja.Range
}

// ErrRefused is wrapped by the error of a conversation that the template does
// not accept, or that makes it fail.
var ErrRefused = errors.New("the template does not accept these messages")

// Render returns the prompt of a conversation. It ends early with the error of
// ctx when that is done.
func (t *Template) Render(ctx context.Context, messages []Message, o Options) (Prompt, error) {
	if t.problem != nil {
		return Prompt{}, fmt.Errorf("%w: %w", ErrRefused, t.problem)
	}
	settled := t.settled(messages)
	if err := t.checkRoles(settled, messages); err != nil {
		return Prompt{}, err
	}
	p, err := t.render(ctx, settled, o)
	if err == nil && o.Continue {
		return p.continued(messages[len(messages)-1])
	}
	if err == nil {
		return p, nil
	}
	if ctx.Err() != nil {
		return Prompt{}, ctx.Err()
	}
	var raised *jinja.RaisedError
	if errors.As(err, &raised) {
		return Prompt{}, fmt.Errorf("%w: %s", ErrRefused, raised.Message)
	}
	return Prompt{}, fmt.Errorf("%w: %w", ErrRefused, err)
}

// continued returns the prompt up to the end of what the last message says, with the
// white space at its end if the template has kept that, as transformers does: a client
// joins the answer to the message, so the model must have seen the same.
func (p Prompt) continued(last Message) (Prompt, error) {
	whole := last.Text()
	text := strings.TrimRight(whole, " \t\r\n")
	at := p.said(text)
	if last.Role != "assistant" || text == "" {
		return Prompt{}, Wrong("messages", "must end with a message of the assistant that is not empty: it is to be continued")
	}
	if at < 0 {
		return Prompt{}, fmt.Errorf("%w: the last message is not in the prompt as it was sent, so it cannot be continued", ErrRefused)
	}
	if strings.HasPrefix(p.Text[at:], whole) {
		text = whole
	}
	p.Text = p.Text[:at+len(text)]
	for i := len(p.Client) - 1; i >= 0 && p.Client[i].End > len(p.Text); i-- {
		if p.Client[i].Start >= len(p.Text) {
			p.Client = p.Client[:i]
			continue
		}
		p.Client[i].End = len(p.Text)
	}
	return p, nil
}

// said is where the client last says text in the prompt; negative: nowhere. The
// template may have the same words in the marks that it writes after them.
func (p Prompt) said(text string) int {
	for end := len(p.Text); ; {
		at := strings.LastIndex(p.Text[:end], text)
		if at < 0 {
			return strings.LastIndex(p.Text, text) // put together by the template: not marked as one piece
		}
		for _, c := range p.Client {
			if c.Start <= at && at+len(text) <= c.End {
				return at
			}
		}
		end = at + len(text) - 1
	}
}

// Answers returns the format in which the model writes calls, by the markers in
// its template.
func (t *Template) Answers() *answer.Format { return t.answers }

// KnowsTools reports whether the template shows tools to the model.
func (t *Template) KnowsTools() bool { return strings.Contains(t.Source(), "tools") }

// Reasoner returns how the model marks what it thinks before it answers, or nil
// if its template knows no such marks.
func (t *Template) Reasoner() *answer.Reasoner { return t.reasoner }

// render runs the template with the variables that transformers passes. What a
// conversation may cost grows with its size.
func (t *Template) render(ctx context.Context, messages []Message, o Options) (Prompt, error) {
	size := 0
	for i := range messages {
		size += messages[i].Size()
	}
	vars := jinja.NewDict(8)
	vars.Set("messages", t.habits.values(messages))
	vars.Set("tools", o.Tools.value)
	vars.Set("documents", nil)
	vars.Set("add_generation_prompt", o.GenerationPrompt)
	vars.Set("bos_token", t.bos)
	vars.Set("eos_token", t.eos)
	for _, v := range o.Variables.fields {
		vars.Set(v.Name, v.Value.value)
	}
	limits := jinja.Limits{
		Steps:  2_000_000 + 4*int64(size) + 2000*int64(len(messages)),
		Memory: 128<<20 + 256*int64(size),
	}
	r, err := t.tmpl.Render(ctx, vars, jinja.Options{Now: t.now, Limits: limits})
	return Prompt{r.Text, r.Client}, err
}
