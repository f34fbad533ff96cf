package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWordsVaryWithSeedAndNumber(t *testing.T) {
	first := func(seed uint64, i int) string { return Words{Words: 30, Seed: seed}.Conversation(i).Turns[0].Text }
	if a, again := first(1, 0), first(1, 0); a != again || a == first(1, 1) || a == first(2, 0) {
		t.Error("prompts must repeat for the same seed and number, and differ otherwise")
	}
	if n := len(strings.Fields(first(1, 5))); n != 30 {
		t.Errorf("%d words", n)
	}
	w := Words{Words: 5, Prefix: 20, Turns: 3, Seed: 9}
	a, b := w.Conversation(0), w.Conversation(1)
	if len(a.Turns) != 3 || commonWords(a.Turns[0].Text, b.Turns[0].Text) < 20 || commonWords(a.Turns[1].Text, b.Turns[1].Text) > 4 {
		t.Errorf("%+v\n%+v", a.Turns, b.Turns)
	}
}

func commonWords(a, b string) int {
	x, y := strings.Fields(a), strings.Fields(b)
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

func TestReadFile(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "p.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list, err := ReadFile(write(`{"prompt":"a","max_tokens":7}
"b"

{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u1"},{"role":"assistant","content":"old"},{"role":"user","content":"u2"}]}
{"conversations":[{"from":"human","value":"h"},{"from":"gpt","value":"g"}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 4 || list[0].Turns[0].MaxTokens != 7 || list[1].Turns[0].Text != "b" ||
		len(list[2].Turns) != 2 || len(list[2].Turns[0].Messages) != 2 || len(list[3].Turns) != 1 {
		t.Errorf("%+v", list)
	}
	for _, bad := range []string{"", "{}", "x", `{"messages":[{"role":"system","content":"s"}]}`, `{"prompt":5}`} {
		if _, err := ReadFile(write(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, err := ReadFile("/does/not/exist"); err == nil {
		t.Error("a missing file was accepted")
	}
}
