package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tokenizer/vocabtest"
)

func BenchmarkNew(b *testing.B) {
	for _, name := range []string{"qwen2", "llama-bpe", "gemma-4", "llama-spm", "nomic-bert-moe"} {
		b.Run(name, func(b *testing.B) {
			f, err := gguf.Open(vocabtest.Vocabulary(b, name))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	text := sourceText(b)
	for _, name := range []string{"gpt-2", "qwen2", "llama-bpe", "refact", "deepseek-llm", "llama-spm", "gemma-4", "bert-bge", "nomic-bert-moe"} {
		b.Run(name, func(b *testing.B) {
			tok := open(b, name)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				tok.Encode(text, true, true)
			}
		})
	}
}

// sourceText is the package's own source: words, signs and white space.
func sourceText(tb testing.TB) string {
	tb.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		tb.Fatal("no source files: ", err)
	}
	var text strings.Builder
	for _, path := range files {
		source, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		text.Write(source)
	}
	return text.String()
}
