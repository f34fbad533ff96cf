package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/server"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestEncoderGreeting: the commands that serve prints for an encoder are those that it
// answers.
func TestEncoderGreeting(t *testing.T) {
	for labels, want := range map[int]string{0: "/v1/embeddings", 1: "/rerank"} {
		path := filepath.Join(t.TempDir(), "bert.gguf")
		if err := tinymodel.Write(path, tinymodel.Options{Arch: "bert", Labels: labels}); err != nil {
			t.Fatal(err)
		}
		in, err := instance.Open(path, instance.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		greeting{at: address{host: "127.0.0.1", port: 80}}.print(&out, &server.Deployment{Config: in.Model.Config(), Engine: in.Engine}, model.KV16)
		if got := out.String(); !strings.Contains(got, want) || strings.Contains(got, "chat") {
			t.Errorf("%d labels: %s", labels, got)
		}
		if guesses := instance.Guesses(in.File); guesses != "" {
			t.Errorf("guessed: %s", guesses)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}
