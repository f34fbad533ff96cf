package serving

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// A request of a few kilobytes does not make the server hold gigabytes of breakers.
func TestBreakersAreBounded(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	d := &Deployment{Tokenizer: tok}
	long, ok := breakerSequences(d, []string{strings.Repeat("e", maxWordText)}, maxSequences)
	if !ok || len(long) == 0 {
		t.Fatalf("%d sequences, %v", len(long), ok)
	}
	for _, s := range long {
		if len(s) > 1+maxBreakerRest {
			t.Errorf("a sequence of %d tokens", len(s))
		}
	}
	if _, ok := breakerSequences(d, []string{"e", "eee"}, 2); ok {
		t.Error("more sequences than allowed")
	}
	var texts []string
	for i := range maxBreakers + 1 {
		texts = append(texts, fmt.Sprintf("e%d", i))
	}
	for n, bad := range map[int]bool{maxBreakers: false, maxBreakers + 1: true} {
		var c Check
		if d.breakers.of(d, &c, texts[:n]); (c.Err() != nil) != bad {
			t.Errorf("%d breakers: %v", n, c.Err())
		}
	}
	if got := beginning("aé世", 5) + beginning("aé世", 6) + beginning("aé", 2); got != "aéaé世a" {
		t.Errorf("%q", got)
	}
}
