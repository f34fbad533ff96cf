package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tokenizer/vocabtest"
)

// vocabulary names with expected ids beside them, and those without.
var (
	testedVocabularies = []string{
		"bert-bge", "command-r", "deepseek-coder", "deepseek-llm", "falcon", "gemma-4", "gpt-2", "llama-bpe",
		"llama-spm", "mpt", "phi-3", "qwen2", "qwen35", "refact", "starcoder",
	}
	untestedVocabularies = []string{"aquila", "baichuan", "gpt-neox", "nomic-bert-moe"}
)

// separator stands between the texts of an .inp file.
const separator = "\n__ggml_vocab_test__\n"

// opened are the tokenizers that tests have built so far; building them takes
// longer than most tests.
var opened sync.Map

// open returns the tokenizer of one of llama.cpp's vocabularies.
func open(tb testing.TB, name string) *Tokenizer {
	tb.Helper()
	if t, ok := opened.Load(name); ok {
		return t.(*Tokenizer)
	}
	f, err := gguf.Open(vocabtest.Vocabulary(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	t, err := New(f)
	if err != nil {
		tb.Fatal(err)
	}
	opened.Store(name, t)
	return t
}

// TestParity encodes the texts that llama.cpp tests its tokenizers with.
func TestParity(t *testing.T) {
	for _, name := range testedVocabularies {
		t.Run(name, func(t *testing.T) {
			tok := open(t, name)
			path := vocabtest.Vocabulary(t, name)
			texts := strings.Split(strings.TrimSuffix(read(t, path+".inp"), separator), separator)
			lines := strings.Split(strings.TrimSuffix(read(t, path+".out"), "\n"), "\n")
			if len(texts) != len(lines) || len(texts) < 40 {
				t.Fatalf("%d texts, %d lines of ids", len(texts), len(lines))
			}
			for i, text := range texts {
				if got, want := tok.Encode(text, false, false), ids(t, lines[i]); !slices.Equal(got, want) {
					t.Errorf("%q\n got %v\nwant %v", text, got, want)
				}
			}
		})
	}
}

// TestEveryVocabulary makes sure that the lists above leave none out.
func TestEveryVocabulary(t *testing.T) {
	files, err := filepath.Glob(vocabtest.Vocabulary(t, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "ggml-vocab-"), ".gguf")
		_, err := os.Stat(path + ".out")
		list := testedVocabularies
		if err != nil {
			list = untestedVocabularies
		}
		if !slices.Contains(list, name) {
			t.Errorf("%s is not in the lists of this file", name)
		}
	}
	if want := len(testedVocabularies) + len(untestedVocabularies); len(files) != want {
		t.Errorf("%d vocabularies, want %d", len(files), want)
	}
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func ids(t *testing.T, line string) []int32 {
	t.Helper()
	out := []int32{}
	for field := range strings.FieldsSeq(line) {
		id, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, int32(id))
	}
	return out
}
