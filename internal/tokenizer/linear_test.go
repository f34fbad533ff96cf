package tokenizer

import (
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// hardTexts are texts of about size bytes that are hard on scanners or merges.
func hardTexts(size int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	rng := rand.New(rand.NewPCG(1, 2))
	ideographs := make([]rune, size/3)
	letters := make([]byte, size)
	for i := range ideographs {
		ideographs[i] = 0x4e00 + rune(rng.IntN(0x5000))
	}
	for i := range letters {
		letters[i] = "abcdefghijklmnopqrstuvwxyz"[rng.IntN(26)]
	}
	return map[string]string{
		"spaces":            fill(" "),
		"spaces, then text": fill(" ") + "x",
		"ideographic space": fill("\u3000"),
		"newlines":          fill("\n"),
		"newline, spaces":   "\n" + fill(" "),
		"spaced newlines":   fill(" \n"),
		"one letter":        fill("a"),
		"two letters":       fill("ab"),
		"random letters":    string(letters),
		"capitals":          "À" + fill("B"),
		"mixed case":        fill("aA"),
		"words":             fill("the cat sat "),
		"ideographs":        string(ideographs),
		"digits":            fill("7"),
		"other digits":      fill("½"),
		"signs":             fill("!"),
		"apostrophes":       fill("'"),
		"contractions":      fill("'ll"),
		"marks":             fill("\u0301"),
		"controls":          fill("\x01"),
		"emoji":             fill("👨‍👩‍👧"),
		"angle brackets":    fill("<"),
		"half a name":       fill("<|im_"),
		"names":             fill("<|im_end|><|endoftext|></s><eos>[SEP]"),
		"sentinels":         fill("<sentinel:1"),
		"long sentinel":     "<sentinel:" + fill("1"),
		"image":             fill("IMG"),
		"stray bytes":       fill("\xe4\xb8"),
	}
}

// raceFactor is how much less text the race detector leaves time for.
func raceFactor() int {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return 4
		}
	}
	return 1
}

// within fails the test if work takes more processor time than it may, which
// doesn't depend on what else the machine does.
func within(t *testing.T, limit time.Duration, what string, work func()) {
	t.Helper()
	start := cpu.Used()
	work()
	if took := cpu.Used() - start; took > limit {
		t.Errorf("%s: %v, limit %v", what, took, limit)
	} else {
		t.Logf("%-20s %v", what, took.Round(time.Millisecond))
	}
}

// TestEncodeIsLinear encodes 1 MB of hard texts with every algorithm.
func TestEncodeIsLinear(t *testing.T) {
	texts := hardTexts(1 << 20 / raceFactor())
	for _, name := range []string{"llama-bpe", "gemma-4", "llama-spm", "bert-bge", "nomic-bert-moe"} {
		t.Run(name, func(t *testing.T) {
			tok := open(t, name)
			for _, what := range []string{
				"spaces, then text", "newlines", "one letter", "two letters", "random letters", "ideographs",
				"signs", "half a name", "names", "stray bytes",
			} {
				within(t, 30*time.Second, what, func() { tok.Encode(texts[what], true, true) })
			}
		})
	}
}

// TestSplitIsLinear splits hard texts with every pre-tokenizer. Of these a
// quadratic scanner would take minutes.
func TestSplitIsLinear(t *testing.T) {
	texts := hardTexts(1 << 18 / raceFactor())
	for name, s := range schemeTable {
		within(t, 60*time.Second, name, func() {
			for what, text := range texts {
				n := 0
				s.stages.split(text, func(piece string) bool { n += len(piece); return true })
				if n != len(text) {
					t.Errorf("%s: the pieces of %s have %d bytes, not %d", name, what, n, len(text))
				}
			}
		})
	}
}
