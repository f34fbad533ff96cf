package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/server"
)

// The draft model of the command line guesses for the model that it names, and for no
// other: the answers are those without it.
func TestDraftModelOfOneModel(t *testing.T) {
	alone := completion(t, severalServer(t, &serveCommand{}, 1<<30, "tiny-llama"), "tiny-llama")
	c := &serveCommand{LoadOnDemand: true, KeepAlive: stay(time.Hour)}
	c.Engine.Ctx, c.Engine.MaxBatch, c.Engine.DraftModel = 256, 4, "tiny-llama"
	dir := tinyStore(t, "tiny-llama", "tiny-gemma3")
	s := newShelf(c, hub.Open(hub.Config{Root: dir}), instance.Options{Tier: cpu.Detect(), Threads: 2}, func(string) {})
	main := c.entry("tiny-llama")
	main.DraftModel = filepath.Join(dir, "tiny-llama.gguf")
	m, err := s.add(main, main.DraftModel)
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(server.Config{Version: "test", Residency: s.residency(nil)})
	d, err := s.first(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv.Attach(d)
	defer func() {
		if err := srv.Close(context.Background()); err != nil {
			t.Error(err)
		}
		s.close()
	}()
	if d.Engine.Config().Draft == nil {
		t.Error("nothing guesses for the model that has a draft model")
	}
	if got := completion(t, srv, "tiny-llama"); got != alone {
		t.Errorf("with a draft model %q, without %q", got, alone)
	}
	completion(t, srv, "tiny-gemma3") // which has another vocabulary: it is loaded without one
}
