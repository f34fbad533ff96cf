package instance_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/instance"
)

// patience is how long loading a model of a few hundred megabytes may take on a
// machine that is busy with other tests.
const patience = 2 * time.Minute

func open(t *testing.T, name string) *instance.Instance {
	t.Helper()
	in, err := instance.Open(hubtest.Path(t, name), instance.Options{Tier: cpu.Detect(), MaxBatch: 4, Context: 512})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%s loaded in %.2f s", name, in.Loaded.Seconds())
	if in.Loaded > patience {
		t.Errorf("loading took %v", in.Loaded)
	}
	return in
}

// say returns what the model says to a prompt, always choosing the likeliest token.
func say(t *testing.T, in *instance.Instance, prompt string, tokens int) string {
	t.Helper()
	s, err := in.Engine.Submit(t.Context(), engine.Request{Prompt: in.Tokenizer.Encode(prompt, true, true), MaxTokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var ids []int32
	for {
		token, more, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return in.Tokenizer.Decode(ids, false)
		}
		ids = append(ids, token.ID)
	}
}

func TestSmolLM2KnowsTheCapitalOfFrance(t *testing.T) {
	in := open(t, "smollm2")
	template, err := chat.Load(in.File)
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := template.Render(t.Context(), []chat.Message{
		chat.NewMessage("system", "You are a helpful assistant."),
		chat.NewMessage("user", "What is the capital of France?"),
	}, chat.Options{GenerationPrompt: true})
	if err != nil {
		t.Fatal(err)
	}
	// Its first word is nearly a tie with "La", which rounding may decide: it is given.
	if answer := say(t, in, prompt.Text+"The", 30); answer != " capital of France is Paris." {
		t.Errorf("it goes on with %q", answer)
	}
}

func TestGemmaKnowsTheCapitalOfFrance(t *testing.T) {
	in := open(t, "gemma3:270m")
	if answer := say(t, in, "The capital of Germany is Berlin. The capital of France is", 8); !strings.HasPrefix(answer, " Paris") {
		t.Errorf("it goes on with %q", answer)
	}
}
