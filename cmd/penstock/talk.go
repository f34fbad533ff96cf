package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// talk is a conversation with a model, in this process or at a server.
type talk struct {
	model    string             // name or path that the user gave
	in       *instance.Instance // nil: it is at a server
	remote   *remoteModel       // nil: it is in this process
	template *chat.Template
	raw      bool // prompts are passed on as they are, without the chat template
	verbose  bool
	terminal bool // out is a terminal
	out, err io.Writer
	settings

	messages []chat.Message // of the user and the assistant; the system message is a setting
	last     *unfinished    // the last answer, if it was cut and can be continued
	file     string         // path to which the conversation was last saved

	remoteCut bool // the server's last answer was cut and can be continued
}

// settings are what the user can change between two messages.
type settings struct {
	system    string
	maxTokens int // 0: until the context is full
	sampling  samplingFlags
}

// unfinished is an answer that was cut, and all that it takes to continue it.
type unfinished struct {
	tokens  []int32            // the prompt and the answer so far
	decoder *tokenizer.Decoder // holds the bytes of a character that was cut in the middle
}

// answer is what the model said to one message.
type answer struct {
	text   string
	tokens int
	cut    bool // a limit ended it, not the model
	full   bool // that limit was the context, so that it cannot be continued
}

var errNothingCut = errors.New("the last answer is complete")

// say sends a message and prints the model's answer token by token. Message and
// answer become part of the conversation, unless the engine refuses the message.
func (t *talk) say(ctx context.Context, text string) (answer, error) {
	if t.remote != nil {
		return t.sayRemote(ctx, text)
	}
	prompt, err := t.prompt(ctx, text)
	if err != nil {
		return answer{}, err
	}
	decoder := t.in.Tokenizer.NewDecoder(false)
	if t.raw {
		decoder.Resume()
	}
	a, err := t.generate(ctx, &unfinished{prompt, decoder})
	if a.text != "" {
		t.messages = append(t.messages, chat.NewMessage("user", text), chat.NewMessage("assistant", a.text))
	}
	return a, err
}

// more continues an answer that was cut.
func (t *talk) more(ctx context.Context) (answer, error) {
	if t.remote != nil {
		return t.moreRemote(ctx)
	}
	if t.last == nil || len(t.messages) == 0 {
		return answer{}, errNothingCut
	}
	a, err := t.generate(ctx, t.last)
	end := &t.messages[len(t.messages)-1]
	*end = chat.NewMessage("assistant", content(*end)+a.text)
	return a, err
}

// context is how many tokens a conversation may have.
func (t *talk) context() int {
	if t.remote != nil {
		return t.remote.context
	}
	return t.in.Context()
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

// prompt turns the conversation and a new message into the tokens of a request.
func (t *talk) prompt(ctx context.Context, text string) ([]int32, error) {
	if t.raw {
		return t.in.Tokenizer.Encode(text, true, true), nil
	}
	p, err := t.template.Render(ctx, append(t.conversation(), chat.NewMessage("user", text)), chat.Options{GenerationPrompt: true})
	if err != nil {
		return nil, err
	}
	return t.in.Tokenizer.EncodeMarked(p.Text, p.Client, 0)
}

// generate continues u.tokens and prints the text. The new tokens are appended to
// u.tokens, so that a later call can continue from there.
func (t *talk) generate(ctx context.Context, u *unfinished) (answer, error) {
	t.last = nil
	most := t.maxTokens
	if most == 0 {
		most = -1
	}
	stream, err := t.in.Engine.Submit(ctx, engine.Request{
		Prompt:    u.tokens,
		MaxTokens: most,
		Params:    t.sampling.params(t.in.File.Sampling(), recommended(t.model)),
	})
	if err != nil {
		return answer{}, err
	}
	defer stream.Close()
	var said strings.Builder
	var text []byte
	show := func() error {
		said.Write(text)
		_, err := io.WriteString(t.out, t.shown(string(text)))
		text = text[:0]
		return err
	}
	var tokens []int32
	for {
		token, more, err := stream.Next(ctx)
		if err != nil || !more {
			finish := stream.Finish()
			if err == nil {
				err = finish.Err
			}
			a := t.end(u, tokens, finish.Reason == engine.Length && err == nil)
			if !a.cut {
				text = u.decoder.Flush(text)
			}
			err = errors.Join(err, show())
			t.timings(finish)
			a.text = said.String()
			return a, err
		}
		tokens = append(tokens, token.ID)
		text = u.decoder.Append(text, token.ID)
		if err := show(); err != nil {
			return answer{text: said.String()}, err // the output is closed: stop generating
		}
	}
}

// shown is the text of an answer as it is printed: on a terminal without control
// characters.
func (t *talk) shown(text string) string {
	if t.terminal {
		return visible(text)
	}
	return text
}

// end appends an answer's tokens and remembers the answer if it can be continued.
func (t *talk) end(u *unfinished, tokens []int32, cut bool) answer {
	a := answer{tokens: len(tokens), cut: cut}
	u.tokens = append(u.tokens[:len(u.tokens):len(u.tokens)], tokens...)
	if cut {
		t.last = u
		a.full = len(u.tokens) >= t.in.Context()
	}
	return a
}

func (t *talk) timings(f *engine.Finish) {
	if !t.verbose {
		return
	}
	u, d := f.Usage, f.Timings
	rate := func(n int, d time.Duration) float64 { return float64(n) / max(d.Seconds(), 1e-9) }
	fmt.Fprintf(t.err, "\n\nprompt %d tokens (%d from the cache), %.0f tokens/s; answer %d tokens, %.1f tokens/s\n",
		u.Prompt, u.Cached, rate(u.Prompt-u.Cached, d.Prefill()), u.Completion, rate(u.Completion, d.Decode()))
}
