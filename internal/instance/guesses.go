package instance

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/model"
)

// Guesses names, in one line, what a file lacks and what is taken in its place.
// It is empty if the file says all that a model needs: a wrong guess makes a good
// model talk nonsense, and whoever serves it should know where to look.
func Guesses(f *gguf.File) string {
	if c, err := model.Describe(f); err == nil && c.Encoder {
		return "" // nobody chats with it, and it writes no answers
	}
	var lacks []string
	if template, _ := f.Str("tokenizer.chat_template"); strings.TrimSpace(template) == "" {
		lacks = append(lacks, "how chats are written (ChatML is used)")
	}
	kind, _ := f.Str("tokenizer.ggml.model")
	if pre, _ := f.Str("tokenizer.ggml.pre"); kind == "gpt2" && pre == "" {
		lacks = append(lacks, "how text is split before it is tokenised (llama.cpp's default is used)")
	}
	if _, ok := f.Uint("tokenizer.ggml.eos_token_id"); !ok {
		otherwise := "known ones such as <|im_end|> are looked for"
		if kind == "llama" {
			otherwise = "token 2 is used"
		}
		lacks = append(lacks, "which token ends an answer ("+otherwise+")")
	}
	if len(lacks) == 0 {
		return ""
	}
	return fmt.Sprintf("%s does not say %s", filepath.Base(f.Path()), strings.Join(lacks, ", nor "))
}
