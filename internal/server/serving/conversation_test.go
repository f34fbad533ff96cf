package serving

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// soon fails the test if f takes longer than work whose cost grows with the size
// of its input can take.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	start := cpu.Used()
	f()
	if d := cpu.Used() - start; d > 10*time.Second {
		t.Errorf("%s: %v", what, d)
	}
}

// TestPublishedDefaults: the model's own system message and stop strings count where a
// request has none.
func TestPublishedDefaults(t *testing.T) {
	d := &Deployment{System: "Be brief.", Stop: []string{"END"}}
	user, system := chat.NewMessage("user", "hi"), chat.NewMessage("developer", "Be long.")
	if got := d.opened([]chat.Message{user}); len(got) != 2 || got[0].Role != "system" || got[0].Parts[0].Text != "Be brief." || got[1].Role != "user" {
		t.Errorf("%+v", got)
	}
	if got := d.opened([]chat.Message{system, user}); len(got) != 2 || got[0].Role != "developer" {
		t.Errorf("%+v", got)
	}
	if got := (&Deployment{}).opened([]chat.Message{user}); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if got := d.stops(nil); !slices.Equal(got, d.Stop) {
		t.Errorf("%q", got)
	}
	if got := d.stops([]string{"x"}); !slices.Equal(got, []string{"x"}) {
		t.Errorf("%q", got)
	}
}

// TestManyTools: as many tools as a request's body has room for are checked at once.
func TestManyTools(t *testing.T) {
	tools := make([]Tool, 180_000)
	for i := range tools {
		tools[i].Name = fmt.Sprintf("%06d", i)
	}
	c := &Conversation{Choice: ToolChoice{Mode: Required, Name: "179999"}}
	soon(t, "many tools", func() {
		if err := c.check(tools); err != nil {
			t.Error(err)
		}
	})
	tools[179_999].Name = "000000"
	if err := c.check(tools); err == nil || !strings.Contains(err.Message, "tools[179999]") {
		t.Errorf("two tools of one name: %v", err)
	}
}

// TestBudget: a budget notices reasoning that begins after white space, ends it
// with the closing mark, and leaves an answer without reasoning alone. What it
// remembers does not grow.
func TestBudget(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	marks := &answer.Reasoner{Open: "<think>", Close: "</think>"}
	encode := func(text string) []int32 { return tok.Encode(text, false, true) }
	write := func(b *thinkingBudget, ids ...int32) {
		for _, id := range ids {
			if _, err := b.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := newThinkingBudget(3, tok, marks, false)
	write(b, encode(strings.Repeat("\n \t", 5000))...)
	if b.over || b.thinking || cap(b.tail) > 256 {
		t.Errorf("after white space: over %v, thinking %v, it remembers %d bytes", b.over, b.thinking, cap(b.tail))
	}
	write(b, encode("<think>")...)
	if b.over || !b.thinking {
		t.Fatalf("after the mark: over %v, thinking %v", b.over, b.thinking)
	}
	for range 3 {
		if b.Allowed() != nil {
			t.Error("it ends too early")
		}
		write(b, encode("a")...)
	}
	for _, want := range encode("</think>") {
		mask := b.Allowed()
		if mask == nil || mask[want/64] != 1<<(want%64) {
			t.Fatal("it does not allow the closing mark alone")
		}
		write(b, want)
	}
	if !b.over || b.Allowed() != nil {
		t.Error("it does not end")
	}
	plain := newThinkingBudget(3, tok, marks, false)
	write(plain, encode("an answer <think>")...)
	if !plain.over {
		t.Error("an answer that does not begin with reasoning has none")
	}
	write(b, encode("a")...) // the step loop allocates nothing
	if n := alloctest.PerRun(10, func() {
		b := b
		b.over, b.thinking, b.left = false, true, 100
		b.Accept(encode("a")[0])
	}) - alloctest.PerRun(10, func() { encode("a") }); n > 0 {
		t.Errorf("a token allocates %v times", n)
	}
}

// TestManyPieces: the arguments of a call are put together from a piece for
// every token.
func TestManyPieces(t *testing.T) {
	var c Collected
	soon(t, "arguments in many pieces", func() {
		c.gather([]answer.Part{{Kind: answer.Call, Name: "f", ID: "1"}})
		for range 300_000 {
			c.gather([]answer.Part{{Kind: answer.Call, Text: []byte("abcdef")}})
		}
	})
	if len(c.Calls) != 1 || len(c.arguments[0]) != 1_800_000 {
		t.Errorf("%d calls", len(c.Calls))
	}
}
