package instance

import (
	"bytes"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

func TestGuesses(t *testing.T) {
	for _, c := range []struct {
		name string
		meta []gguf.KV
		want string
	}{
		{"BPE", []gguf.KV{{Key: "tokenizer.ggml.model", Value: "gpt2"}}, "m.gguf does not say how chats are written (ChatML is used), " +
			"nor how text is split before it is tokenised (llama.cpp's default is used), " +
			"nor which token ends an answer (known ones such as <|im_end|> are looked for)"},
		{"SentencePiece", []gguf.KV{{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "tokenizer.chat_template", Value: "{{ messages }}"}},
			"m.gguf does not say which token ends an answer (token 2 is used)"},
		{"nothing to guess", []gguf.KV{
			{Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.pre", Value: "qwen2"},
			{Key: "tokenizer.ggml.eos_token_id", Value: uint32(1)}, {Key: "tokenizer.chat_template", Value: "{{ messages }}"},
		}, ""},
	} {
		var b bytes.Buffer
		if err := gguf.Write(&b, c.meta, nil); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Parse("dir/m.gguf", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got := Guesses(f); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
	tiny, err := tinymodel.Open(tinymodel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := Guesses(tiny); got != "" {
		t.Errorf("a complete model: %s", got)
	}
}
