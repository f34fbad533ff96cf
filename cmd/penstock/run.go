package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	xterm "golang.org/x/term"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/instance"
)

type runCommand struct {
	Model     string        `arg:"" optional:"" default:"${default_model}" env:"PENSTOCK_MODEL" help:"${model_help}"`
	Prompt    string        `arg:"" optional:"" help:"One prompt to answer; without it, chat."`
	System    string        `help:"System message." placeholder:"TEXT"`
	MaxTokens int           `help:"Longest answer, in tokens." default:"1024"`
	Raw       bool          `help:"Continue the prompt as it is, without the chat template."`
	Verbose   bool          `short:"v" help:"Print timings, on stderr."`
	Sampling  samplingFlags `embed:""`
	Engine    engineFlags   `embed:""`
}

func (c *runCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	options, err := c.Engine.options(cli)
	if err != nil {
		return err
	}
	if options.MaxBatch == 0 {
		options.MaxBatch = 1
	}
	in, err := cli.load(ctx, term, c.Model, options)
	if err != nil {
		return err
	}
	defer in.Close()
	template, err := chat.Load(in.File)
	if err != nil {
		return err
	}
	t := &talk{command: c, in: in, template: template, out: term.out, err: term.err, tier: options.Tier}
	t.loading()
	t.messages = t.begin()
	if c.Prompt != "" || !interactive(term.in) {
		return t.once(ctx, term.in)
	}
	return t.loop(term.in.(*os.File))
}

// loading tells how long the start took, to whoever wants timings.
func (t *talk) loading() {
	if t.command.Verbose {
		fmt.Fprintf(t.err, "loaded in %.2f s: %s of weights, kernels %s\n",
			t.in.Loaded.Seconds(), bytesText(t.in.Model.Config().WeightBytes), t.tier)
	}
}

func interactive(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}

// talk is a conversation with a model in this process.
type talk struct {
	command  *runCommand
	in       *instance.Instance
	template *chat.Template
	messages []chat.Message
	out, err io.Writer
	tier     cpu.Tier
}

// once answers the prompt of the command line, or stdin's.
func (t *talk) once(ctx context.Context, in io.Reader) error {
	prompt := t.command.Prompt
	if prompt == "" {
		text, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		if prompt = strings.TrimSpace(string(text)); prompt == "" {
			return errors.New("no prompt: give one as an argument or on stdin")
		}
	}
	answer, err := t.answer(ctx, prompt)
	if answer != "" {
		fmt.Fprintln(t.out)
	}
	return err
}

const welcome = `%s
Ctrl-C stops an answer, Ctrl-D leaves, /clear forgets the conversation.
""" begins and ends a text of several lines.

`

// loop reads lines until the input ends.
func (t *talk) loop(in *os.File) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	fmt.Fprintf(t.out, welcome, t.in.Model.Config().Name)
	reader := &lineReader{keys: keyReader{file: in}, out: t.out}
	for {
		line, err := reader.read(ctx)
		if errors.Is(err, errInterrupted) {
			fmt.Fprintln(t.out, "\n(Ctrl-D leaves)")
			continue
		}
		if err != nil {
			fmt.Fprintln(t.out)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch line = strings.TrimSpace(line); line {
		case "":
			continue
		case "/bye", "/exit", "/quit":
			return nil
		case "/clear":
			t.messages = t.begin()
			continue
		}
		t.reply(ctx, line)
	}
}

// begin is a conversation in which nothing has been said yet.
func (t *talk) begin() []chat.Message {
	if t.command.System == "" {
		return nil
	}
	return []chat.Message{chat.NewMessage("system", t.command.System)}
}

// reply answers one line, until Ctrl-C.
func (t *talk) reply(ctx context.Context, line string) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	_, err := t.answer(ctx, line)
	fmt.Fprintln(t.out)
	switch {
	case errors.Is(err, engine.ErrTooLong):
		fmt.Fprintln(t.err, "penstock:", err, "(/clear forgets the conversation)")
	case err != nil && !errors.Is(err, context.Canceled):
		fmt.Fprintln(t.err, "penstock:", err)
	}
}

// answer prints the model's answer as it comes, and remembers the exchange.
func (t *talk) answer(ctx context.Context, text string) (string, error) {
	messages := append(slices.Clip(t.messages), chat.NewMessage("user", text))
	prompt, bos := text, true
	if !t.command.Raw {
		p, err := t.template.Render(ctx, messages, chat.Options{GenerationPrompt: true})
		if err != nil {
			return "", err
		}
		prompt = p.Text
		bos = !strings.HasPrefix(prompt, t.template.BOS()) || t.template.BOS() == ""
	}
	answer, err := t.generate(ctx, t.in.Tokenizer.Encode(prompt, bos, true))
	if answer != "" {
		t.messages = append(messages, chat.NewMessage("assistant", answer))
	}
	return answer, err
}

func (t *talk) generate(ctx context.Context, prompt []int32) (string, error) {
	c := t.command
	stream, err := t.in.Engine.Submit(ctx, engine.Request{
		Prompt:    prompt,
		MaxTokens: c.MaxTokens,
		Params:    c.Sampling.params(t.in.File.Sampling(), recommended(c.Model)),
	})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var answer strings.Builder
	var text []byte
	decoder := t.in.Tokenizer.NewDecoder(false)
	show := func() {
		answer.Write(text)
		t.out.Write(text)
		text = text[:0]
	}
	for {
		token, more, err := stream.Next(ctx)
		if err != nil || !more {
			text = decoder.Flush(text)
			show()
			if err == nil {
				err = stream.Finish().Err
			}
			t.timings(stream.Finish())
			return answer.String(), err
		}
		text = decoder.Append(text, token.ID)
		show()
	}
}

func (t *talk) timings(f *engine.Finish) {
	if !t.command.Verbose {
		return
	}
	u, d := f.Usage, f.Timings
	rate := func(n int, d time.Duration) float64 { return float64(n) / max(d.Seconds(), 1e-9) }
	fmt.Fprintf(t.err, "\n\nprompt %d tokens (%d from the cache), %.0f tokens/s; answer %d tokens, %.1f tokens/s\n",
		u.Prompt, u.Cached, rate(u.Prompt-u.Cached, d.Prefill()), u.Completion, rate(u.Completion, d.Decode()))
}
