package openai

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/tokenizer"
	"github.com/penstock-llm/penstock/internal/tokenizer/vocabtest"
)

// controlNames finds what a template writes as control tokens, as far as names
// of such tokens look like it: <|im_start|>, <｜User｜>, [INST], <start_of_turn>.
// The tags of reasoning and tools are user-defined tokens, not control tokens.
var controlNames = regexp.MustCompile(`<\|[^|<>'" ]+\|?>|<[^|<>'" /]+\|>|<｜[^｜]+｜>|\[/?[A-Z][A-Z_]+\]|</?s>|<(?:start|end)_of_\w+>|<(?:bos|eos|pad|unk)>`)

// controlTokens returns the control tokens of a template, longest last.
func controlTokens(source string) []string {
	names := append(controlNames.FindAllString(source, -1), "<|im_start|>", "<|im_end|>", "<s>", "</s>")
	slices.Sort(names)
	return slices.Compact(names)
}

// vocabularyOf makes a model file with a byte-level vocabulary that has these
// control tokens.
func vocabularyOf(t *testing.T, controls []string) *tokenizer.Tokenizer {
	t.Helper()
	var tokens []string
	var types []int32
	next := rune(0x100)
	for b := range 256 { // GPT-2's spelling of bytes
		r := rune(b)
		if b <= ' ' || b >= 0x7f && b <= 0xa0 || b == 0xad {
			r = next
			next++
		}
		tokens, types = append(tokens, string(r)), append(types, 1)
	}
	for _, c := range controls {
		tokens, types = append(tokens, c), append(types, 3)
	}
	var b bytes.Buffer
	err := gguf.Write(&b, []gguf.KV{
		{Key: "general.architecture", Value: "llama"},
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: "gpt-2"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.merges", Value: []string{"a b"}},
		{Key: "tokenizer.ggml.add_bos_token", Value: false},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "v.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// conversationsWith are conversations whose every text holds x.
func conversationsWith(x string) map[string]*api.Conversation {
	text := func(s string) string { return fmt.Sprintf("%q", s+" "+x+" "+s) }
	user := `{"role":"user","content":` + text("u") + `}`
	assistant := `{"role":"assistant","content":` + text("a") + `,"reasoning_content":` + text("r") + `}`
	call := `{"role":"assistant","content":"","tool_calls":[{"id":"abcdefghi","type":"function","function":{"name":` + text("f") +
		`,"arguments":` + fmt.Sprintf("%q", `{`+text("k")+`:`+text("v")+`,"n":[1,`+text("w")+`]}`) + `}}]}`
	result := `{"role":"tool","tool_call_id":"abcdefghi","name":` + text("f") + `,"content":` + text("t") + `}`
	tools := `[{"type":"function","function":{"name":` + text("f") + `,"description":` + text("d") +
		`,"parameters":{"type":"object","properties":{` + text("k") + `:{"type":"string","description":` + text("p") + `}},"required":[` + text("k") + `]}}}]`
	list := func(messages ...string) []byte { return []byte("[" + strings.Join(messages, ",") + "]") }
	system := `{"role":"system","content":` + text("s") + `}`
	all := map[string]*api.Conversation{
		"user":   {Messages: list(user)},
		"turns":  {Messages: list(user, assistant, user)},
		"system": {Messages: list(system, user, assistant, user)},
		"parts":  {Messages: list(`{"role":"user","content":[{"type":"text","text":` + text("x") + `},{"type":"text","text":` + text("y") + `}]}`)},
		"tools":  {Messages: list(user), Tools: []byte(tools)},
		"calls":  {Messages: list(user, call, result), Tools: []byte(tools)},
	}
	for _, c := range all { // one template wants these two
		c.TemplateArgs = []byte(`{"functions":` + text("g") + `,"datetime":` + text("now") + `}`)
	}
	return all
}

// structure returns the control tokens of a rendered conversation, in order.
func structure(t *testing.T, m *serving.Deployment, c *api.Conversation) (names []string, err error) {
	t.Helper()
	whole, err := conversation(c)
	if err != nil {
		return nil, err
	}
	p, refused := m.Render(t.Context(), whole)
	if refused != nil {
		return nil, errors.New(refused.Message)
	}
	for _, id := range m.EncodeChat(p) {
		if m.Tokenizer.IsSpecial(id) {
			names = append(names, string(m.Tokenizer.Piece(id)))
		}
	}
	return names, nil
}

// TestClientsMakeNoTurns: with every control token of a template in every text
// of a conversation, the turns are those of the same conversation with harmless
// text. The templates are those of the parity set.
func TestClientsMakeNoTurns(t *testing.T) {
	var paths []string
	for _, dir := range []string{testdata + "templates", filepath.Join(vocabtest.Dir(t), "templates")} {
		more, _ := filepath.Glob(filepath.Join(dir, "*.jinja"))
		paths = append(paths, more...)
	}
	if len(paths) < 70 {
		t.Fatalf("only %d templates", len(paths))
	}
	compared := map[string]int{} // by kind of conversation
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".jinja"), func(t *testing.T) {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			tmpl, err := chat.New(string(source), "<s>", "</s>")
			if err != nil {
				t.Fatal(err)
			}
			controls := controlTokens(string(source))
			m := &serving.Deployment{Chat: tmpl, Tokenizer: vocabularyOf(t, controls)}
			unsafe := &serving.Deployment{Chat: tmpl, Tokenizer: m.Tokenizer, ParseSpecial: true}
			harmless, hostile := conversationsWith("harmless"), conversationsWith(strings.Join(controls, " "))
			rendered := 0
			for name, c := range harmless {
				want, err := structure(t, m, c)
				if err != nil {
					continue // the template takes no such conversation
				}
				compared[name]++
				got, err := structure(t, m, hostile[name])
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, want)
				}
				if more, err := structure(t, unsafe, hostile[name]); err == nil && len(more) > len(want) {
					rendered++
				}
			}
			if rendered == 0 {
				t.Error("no conversation shows a difference when control tokens are parsed in messages")
			}
		})
	}
	for name := range conversationsWith("") {
		if compared[name] < len(paths)/2 {
			t.Errorf("%s: only %d of %d templates took it", name, compared[name], len(paths))
		}
	}
}
