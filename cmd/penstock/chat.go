package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	tea "charm.land/bubbletea/v2"

	"github.com/penstock-llm/penstock/internal/engine"
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
	t.out = printer{program.Send}
	t.err = t.out

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

// title is what the model is called.
func (t *talk) title() string {
	if entry, ok := hub.Lookup(t.model); ok {
		return entry.Title
	}
	if t.remote != nil {
		return t.remote.name
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
	if a.text != "" && !strings.HasSuffix(a.text, "\n") {
		fmt.Fprintln(t.out)
	}
	switch {
	case errors.Is(err, engine.ErrTooLong):
		return fmt.Errorf("%w: %s", err, t.makeRoom())
	case errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		return err
	case a.full:
		fmt.Fprintf(t.err, "(cut: the context of %d tokens is full: %s)\n", t.context(), t.makeRoom())
	case a.cut:
		fmt.Fprintf(t.err, "(cut after %d tokens: /more goes on)\n", a.tokens)
	}
	return nil
}

// makeRoom says what to do about a context that is full.
func (t *talk) makeRoom() string {
	if t.remote != nil {
		return "/clear begins a new conversation"
	}
	if most := t.in.Model.Config().Context; t.in.Context() < most {
		return fmt.Sprintf("/clear begins a new conversation, --ctx gives up to %d tokens", most)
	}
	return "/clear begins a new conversation"
}
