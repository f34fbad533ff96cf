package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	tea "charm.land/bubbletea/v2"

	"github.com/penstock-llm/penstock/internal/hub"
)

const welcome = `%s
Ctrl-C stops an answer, Ctrl-D leaves, /? lists the commands.
A message of several lines is pasted, or stands between """ and """.

`

// chat reads messages and answers them until the person leaves.
func (t *talk) chat(keepHistory bool) error {
	// main's context ends with Ctrl-C. Here Ctrl-C ends an answer, not the chat, so
	// the chat has a context of its own.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	fmt.Fprintf(t.out, welcome, t.title())
	past := &history{}
	if keepHistory {
		var err error
		if past, err = openHistory(); err != nil {
			fmt.Fprintf(t.err, "penstock: what you type is forgotten when you leave: %v\n", err)
		}
	}
	s := newScreen(ctx, past, t.handle)
	program := tea.NewProgram(s, tea.WithContext(ctx), tea.WithoutSignalHandler())
	t.history, t.out = past, printer{program.Send}
	t.err = t.out
	t.show = func(p piece) error {
		if !p.thought && (t.raw || t.format != nil) {
			_, err := io.WriteString(t.out, p.text)
			return err
		}
		program.Send(p)
		return nil
	}

	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	go func() {
		for range interrupts {
			program.Send(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
		}
	}()
	_, err := program.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, tea.ErrProgramKilled) && !errors.Is(err, tea.ErrProgramPanic) {
		return nil
	}
	return err
}

// look shows the answer to one prompt on a terminal.
func (t *talk) look(ctx context.Context, prompt string) (a answer, err error) {
	s := newScreen(ctx, &history{}, nil)
	s.silent = true
	program := tea.NewProgram(s, tea.WithInput(nil), tea.WithOutput(t.out), tea.WithoutSignalHandler())
	t.show = func(p piece) error {
		program.Send(p)
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	said := make(chan struct{})
	go func() {
		defer close(said)
		a, err = t.say(ctx, prompt)
		program.Send(over{})
	}()
	_, failed := program.Run()
	cancel() // where the screen has failed, nobody sees the rest
	if <-said; failed != nil {
		return a, failed
	}
	return a, err
}

// title is what the model is called.
func (t *talk) title() string {
	if entry, ok := hub.Lookup(t.model); ok {
		return entry.Title
	}
	if t.in == nil {
		return t.at.name
	}
	return t.in.Model.Config().Name
}

// handle carries out a command or answers a message.
func (t *talk) handle(ctx context.Context, message string) error {
	if command, rest, ok := parseCommand(message); ok {
		return t.command(ctx, command, rest)
	}
	return t.reply(t.say(ctx, message))
}

// reply prints what the user can do when an answer was cut or refused.
func (t *talk) reply(a answer, err error) error {
	if a.text != "" || a.thought {
		fmt.Fprintln(t.out)
	}
	if t.verbose && t.last != nil && a.tokens > 0 {
		fmt.Fprintln(t.out, t.last.line())
	}
	switch {
	case tooLong(err):
		return fmt.Errorf("%w: %s", err, t.makeRoom())
	case errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		return err
	case a.full:
		fmt.Fprintf(t.err, "(cut: the context of %d tokens is full: %s)\n", t.at.context, t.makeRoom())
	case a.open:
		fmt.Fprintf(t.err, "(cut after %d tokens: /more goes on)\n", a.tokens)
	case a.cut && a.thought && a.text == "":
		fmt.Fprintf(t.err, "(cut after %d tokens, while it thought: /set parameter max-tokens gives it more, /set nothink has it answer at once)\n", a.tokens)
	case a.cut:
		fmt.Fprintf(t.err, "(cut after %d tokens: /set parameter max-tokens gives it more)\n", a.tokens)
	}
	return nil
}

// makeRoom says what to do about a context that is full.
func (t *talk) makeRoom() string {
	if t.in == nil {
		return "/clear begins a new conversation"
	}
	if most := t.in.Model.Config().Context; t.in.Context() < most {
		return fmt.Sprintf("/clear begins a new conversation, --ctx gives up to %d tokens", most)
	}
	return "/clear begins a new conversation"
}
