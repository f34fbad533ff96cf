package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	xterm "golang.org/x/term"

	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/instance"
)

type runCommand struct {
	Model     string        `arg:"" optional:"" default:"${default_model}" env:"PENSTOCK_MODEL" help:"${model_help}"`
	Prompt    string        `arg:"" optional:"" help:"One prompt to answer; what stdin holds comes after it. Without a prompt: stdin, or in a terminal, a chat."`
	System    string        `help:"System message." placeholder:"TEXT"`
	MaxTokens int           `help:"Longest answer, in tokens; 0: until the context is full." default:"1024"`
	File      []string      `short:"f" sep:"none" type:"path" help:"Text file that comes before the prompt; may be given again." placeholder:"FILE"`
	Format    string        `help:"What the answer is: json, or a file with a JSON Schema." placeholder:"json|FILE"`
	Think     *string       `help:"How much a model that can think thinks before it answers: on, off, low, medium or high." placeholder:"HOW"`
	Raw       bool          `help:"Continue the prompt as it is, without the chat template."`
	History   bool          `help:"Keep what is typed in a chat, for the next one." default:"true" negatable:"" env:"PENSTOCK_HISTORY"`
	Verbose   bool          `short:"v" help:"Print timings, on stderr."`
	Sampling  samplingFlags `embed:"" group:"Sampling: the model's own setting, else what is shown"`
	Engine    engineFlags   `embed:""`
	Local     bool          `help:"Run the model in this process, even where a server has it." env:"PENSTOCK_LOCAL"`
	Server    remoteFlags   `embed:""`
}

func (c *runCommand) Run(ctx context.Context, p *parsed, cli *commands, term terminal) error {
	options, err := c.Engine.options(cli)
	if err != nil {
		return err
	}
	if options.Draft, err = c.Engine.draft(ctx, cli, term, c.Engine.DraftModel); err != nil {
		return err
	}
	if options.MaxBatch == 0 {
		options.MaxBatch = 1
	}
	chatting := c.Prompt == "" && isTerminal(term.in) && isTerminal(term.out) && os.Getenv("TERM") != "dumb"
	t, err := c.talk(term)
	if err != nil {
		return err
	}
	prompt := ""
	if !chatting {
		// Read the prompt before loading the model, so that an error comes at once.
		if prompt, err = c.prompt(ctx, term); err != nil {
			return err
		}
	}
	if t.at, err = c.serving(ctx, p, term); err != nil {
		return err
	}
	if t.at == nil {
		end, err := c.load(ctx, cli, term, t, options)
		if err != nil {
			return err
		}
		defer end()
	}
	if c.Think != nil {
		if err := t.setThink(ctx, t.think); err != nil {
			return err
		}
	}
	if chatting {
		return t.chat(c.History)
	}
	return t.once(ctx, prompt)
}

// talk reads the settings that a talk begins with.
func (c *runCommand) talk(term terminal) (t *talk, err error) {
	t = &talk{
		model: c.Model, raw: c.Raw, verbose: c.Verbose, terminal: isTerminal(term.out), out: term.out, err: term.err,
		settings: settings{system: c.System, maxTokens: c.MaxTokens, sampling: c.Sampling},
	}
	if t.format, err = readFormat(c.Format); err != nil {
		return nil, err
	}
	if c.Think != nil {
		if t.think, err = readThink(*c.Think); err != nil {
			return nil, &usageError{fmt.Errorf("--think: %w", err), "penstock run"}
		}
	}
	t.attached, err = attach(c.File)
	return t, err
}

// load loads the model into this process, and has t talk to it there.
func (c *runCommand) load(ctx context.Context, cli *commands, term terminal, t *talk, o instance.Options) (end func(), err error) {
	in, err := cli.load(ctx, term, c.Model, o)
	if err != nil {
		return nil, err
	}
	if in.Model.Config().Encoder {
		in.Close()
		return nil, readsOnly(c.Model)
	}
	server, err := newInProcess(c.Model, in, o.Tier, c.Raw)
	if err != nil {
		in.Close()
		return nil, err
	}
	t.in, t.at = in, &remoteModel{&server.remote, c.Model, in.Context()}
	if c.Verbose {
		fmt.Fprintf(term.err, "loaded in %.2f s: %s of weights, kernels %s\n", in.Loaded.Seconds(), bytesText(in.Model.Config().WeightBytes), o.Tier)
	}
	if entry, ok := hub.Lookup(c.Model); ok && entry.Base && !c.Raw {
		fmt.Fprintf(term.err, "penstock: %s is a base model: it continues text and was not taught to answer (--raw gives it yours as it is)\n", c.Model)
	}
	return func() {
		server.close()
		in.Close()
	}, nil
}

// readsOnly is the error of a command that would have an encoder write.
func readsOnly(name string) error {
	return fmt.Errorf("%s reads texts and writes none: start it with `penstock serve %s` and ask for embeddings or scores", name, name)
}

func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}

// patience is how long reading stdin may take before a note says that it is read.
const patience = 2 * time.Second

// prompt is the prompt of the command line, an empty line, and the text on stdin:
// `penstock run MODEL 'Summarise this:' <report.txt`. Either may be missing.
func (c *runCommand) prompt(ctx context.Context, term terminal) (string, error) {
	document := ""
	if c.Prompt == "" && len(c.File) == 0 || !isTerminal(term.in) {
		var err error
		hint := time.AfterFunc(patience, func() {
			fmt.Fprintln(term.err, "penstock: reading stdin to its end (Ctrl-D ends it; </dev/null leaves it out)")
		})
		document, err = readText(ctx, term.in)
		hint.Stop()
		if err != nil {
			return "", fmt.Errorf("stdin: %w", err)
		}
	}
	switch {
	case c.Prompt == "" && document == "" && len(c.File) == 0:
		return "", &usageError{errors.New("no prompt: give one as an argument or on stdin"), "penstock run"}
	case c.Prompt == "":
		return document, nil
	case document == "":
		return c.Prompt, nil
	default:
		return c.Prompt + "\n\n" + document, nil
	}
}

// readText reads UTF-8 text to its end, or until ctx is done. It removes the line
// ends at the end.
func readText(ctx context.Context, in io.Reader) (string, error) {
	const most = 64 << 20 // more than any context holds
	type result struct {
		text []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, most+1))
		read <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-read:
		if r.err != nil {
			return "", reason(r.err)
		}
		if len(r.text) > most {
			return "", fmt.Errorf("more than %s: no model has room for that", bytesText(most))
		}
		text, err := withoutBOM(r.text)
		return strings.TrimRight(string(text), "\r\n"), err
	}
}

// once answers one prompt.
func (t *talk) once(ctx context.Context, prompt string) error {
	var answer answer
	var err error
	if t.terminal && !t.raw && t.format == nil && os.Getenv("TERM") != "dumb" {
		answer, err = t.look(ctx, prompt)
	} else if answer, err = t.say(ctx, prompt); answer.text != "" {
		fmt.Fprintln(t.out)
	}
	if t.verbose && t.last != nil {
		fmt.Fprintf(t.err, "\n%s\n", t.last.line())
	}
	switch {
	case tooLong(err):
		return fmt.Errorf("%w: shorten it, or give it more room with --ctx", err)
	case err != nil:
		return err
	case answer.full:
		fmt.Fprintf(t.err, "penstock: cut: the context of %d tokens is full (--ctx)\n", t.at.context)
	case answer.cut:
		fmt.Fprintf(t.err, "penstock: cut after %d tokens (--max-tokens)\n", answer.tokens)
	}
	return nil
}
