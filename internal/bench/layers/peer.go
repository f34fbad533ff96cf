package layers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/programs"
)

// PeerLayers is another server's core and its speed through HTTP, measured in the same rounds.
type PeerLayers struct {
	Name   string        `json:"name"`
	Layers []LayerResult `json:"layers"` // core, http

	binary string
}

// peers parses --peer. Only llama.cpp is supported: its llama-batched-bench, beside llama-server, measures its core without HTTP.
func (l *Layers) peers() ([]PeerLayers, error) {
	var out []PeerLayers
	for _, text := range l.Peer {
		name, binary, _ := strings.Cut(text, "=")
		if name != "llama-server" || binary == "" {
			return nil, fmt.Errorf("--peer %q: want llama-server=BINARY", text)
		}
		for _, program := range []string{binary, programs.LlamaTools{Dir: filepath.Dir(binary)}.BatchedBench()} {
			if _, err := os.Stat(program); err != nil {
				return nil, fmt.Errorf("--peer: %w", err)
			}
		}
		if len(out) > 0 {
			return nil, fmt.Errorf("two peers are called %q", name)
		}
		out = append(out, PeerLayers{Name: name, binary: binary, Layers: []LayerResult{{Name: name + " core"}, {Name: name + " http"}}})
	}
	return out, nil
}

// peer starts the server and adds the lanes of its core and its HTTP. The core is a program that is started anew for each run.
func (c *processes) peer(ctx context.Context, p *PeerLayers) error {
	s := c.s
	c.add(&p.Layers[0], func(ctx context.Context) (*LayerRun, error) { return peerCore(ctx, p.binary, s) })
	spec, err := programs.Llama(p.binary, programs.Setup{Model: s.Model, Threads: s.Threads, Slots: s.MaxBatch, Context: s.Ctx})
	if err != nil {
		return err
	}
	server, err := programs.Start(ctx, spec)
	if err != nil {
		return err
	}
	c.stops = append(c.stops, server.Stop)
	text, err := s.text()
	if err != nil {
		return err
	}
	job := axis{name: "peer"}.job(s, &hello{URL: spec.URL, Prompt: text})
	job.Target.Extra = map[string]any{"cache_prompt": false} // all requests have the same prompt; this program's layers do not cache it either
	w, err := c.launch(command(ctx, c.layers.Executable), layerJob{Client: &job}, new(hello))
	if err != nil {
		return err
	}
	c.add(&p.Layers[1], func(context.Context) (*LayerRun, error) { return peerHTTP(server, w, s) })
	return nil
}

// peerCore runs one batch of the scenario in llama-batched-bench, which times the prompts and the generated tokens itself.
func peerCore(ctx context.Context, server string, s *Scenario) (*LayerRun, error) {
	if s.PromptTokens == 0 {
		return nil, errors.New("--peer needs --prompt-tokens")
	}
	tools := programs.LlamaTools{Dir: filepath.Dir(server), Model: s.Model, Threads: s.Threads}
	r, err := tools.Batched(ctx, s.batch(), s.PromptTokens, s.Gen)
	if err != nil {
		return nil, err
	}
	return &LayerRun{Requests: r.Sequences, OK: r.Sequences, Tokens: r.Sequences * r.Generate, PromptTotal: r.Sequences * r.Prompt,
		Seconds: r.Prefill + r.Decode, Occupancy: float64(r.Sequences)}, nil
}

func peerHTTP(server *programs.Server, client *worker, s *Scenario) (*LayerRun, error) {
	var got clientRun
	if err := client.ask(question{Warm: true}, &got); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	before := server.UsedCPU()
	if err := client.ask(question{}, &got); err != nil {
		return nil, err
	}
	used := server.UsedCPU() - before
	if got.OK == 0 {
		return nil, fmt.Errorf("every request failed: %s", got.Failure)
	}
	if want := got.OK * s.Gen; got.Tokens != want {
		return nil, fmt.Errorf("unequal work: %d tokens instead of %d", got.Tokens, want)
	}
	if diff := got.Prompt/got.OK - s.PromptTokens; diff < -2 || diff > 2 {
		return nil, fmt.Errorf("unequal work: prompts of %d tokens instead of %d", got.Prompt/got.OK, s.PromptTokens)
	}
	return &LayerRun{Requests: got.Requests, OK: got.OK, Tokens: got.Tokens, PromptTotal: got.Prompt, Seconds: got.Seconds,
		CPU: used.Seconds(), ClientCPU: got.CPU, Failure: got.Failure}, nil
}
