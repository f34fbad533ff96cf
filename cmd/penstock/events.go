package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/penstock-llm/penstock/internal/server/kvevents"
)

// eventFlags say where routers learn what the prefix cache has.
type eventFlags struct {
	KVEvents       string `name:"kv-events" help:"Address, such as 127.0.0.1:5557, where routers that know prefix caches learn what this one has: vLLM's events, over ZeroMQ. They tell the tokens of prompts to everybody who connects." env:"PENSTOCK_KV_EVENTS" placeholder:"HOST:PORT"`
	KVEventsReplay string `name:"kv-events-replay" help:"Address where the last of these events can be had again." env:"PENSTOCK_KV_EVENTS_REPLAY" placeholder:"HOST:PORT"`
	KVEventsName   string `name:"kv-events-name" help:"Name of this server in the topics of events, kv@NAME@MODEL; the address it listens on if left out." env:"PENSTOCK_KV_EVENTS_NAME" placeholder:"NAME"`
	KVEventsArrays bool   `name:"kv-events-arrays" help:"Write events as arrays, as vLLM did before 0.29, instead of maps." env:"PENSTOCK_KV_EVENTS_ARRAYS"`
}

// publishEvents starts the publisher of events, if that is asked for. end ends it.
func (c *serveCommand) publishEvents(ctx context.Context, f *front) (end func(), err error) {
	e := &c.Events
	if e.KVEvents == "" {
		if e.KVEventsReplay != "" {
			return nil, &usageError{fmt.Errorf("--kv-events-replay without --kv-events: there would be nothing to replay"), "penstock serve"}
		}
		return func() {}, nil
	}
	cfg := kvevents.Config{Name: e.KVEventsName, Arrays: e.KVEventsArrays}
	if cfg.Name == "" {
		cfg.Name = f.at.String()
	}
	if strings.Contains(cfg.Name, "@") {
		return nil, &usageError{fmt.Errorf("--kv-events-name %s: want a name without @, which separates the parts of a topic", clip(cfg.Name)), "penstock serve"}
	}
	if cfg.Events, err = c.eventListener(ctx, "--kv-events", e.KVEvents); err != nil {
		return nil, err
	}
	if e.KVEventsReplay != "" {
		if cfg.Replay, err = c.eventListener(ctx, "--kv-events-replay", e.KVEventsReplay); err != nil {
			cfg.Events.Close()
			return nil, err
		}
	}
	return f.server.PublishEvents(cfg).Close, nil
}

// eventListener listens on one address. Events ask nobody for a key, so that other
// machines reach them only if that was said.
func (c *serveCommand) eventListener(ctx context.Context, flag, text string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", text)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, clip(text), err)
	}
	if exposed([]net.Listener{l}) && !c.Guard.Insecure {
		l.Close()
		return nil, &usageError{fmt.Errorf("%s %s: other machines reach it, and would learn the tokens of all prompts without a key: "+
			"choose 127.0.0.1, or say --insecure if everybody who reaches it may know them", flag, clip(text)), "penstock serve"}
	}
	return l, nil
}
