package answer

import (
	"reflect"
	"strings"
	"testing"
)

// TestSplit feeds answers in two pieces, split at every byte, also within a character:
// the result is that of the whole.
func TestSplit(t *testing.T) {
	for _, w := range writers {
		for _, c := range conversations {
			if w.onlyOne && len(c.calls) > 1 || w.bare && c.before != "" {
				continue
			}
			text := w.says(c.before, c.calls)
			whole := w.feed(t, w.parser(Options{}), text, 0)
			if len(whole.calls) != len(c.calls) || whole.text != c.before {
				t.Fatalf("%s: %q has %d calls", w.format, text, len(whole.calls))
			}
			for split := range len(text) {
				if got := w.feedSplit(t, text, split); !reflect.DeepEqual(got, whole) {
					t.Fatalf("%s/%s: %q and %q: %+v, want %+v", w.format, c.name, text[:split], text[split:], got, whole)
				}
			}
		}
	}
}

// feedSplit writes text in two pieces; control tokens come whole.
func (w writer) feedSplit(t testing.TB, text string, split int) *parsed {
	p, got := w.parser(Options{}), &parsed{}
	write := func(piece string) {
		p.Write([]byte(piece))
		got.add(t, p.Parts())
	}
	for done := 0; done < len(text); {
		at, mark := len(text), ""
		for _, m := range w.marks {
			if i := strings.Index(text[done:], m); i >= 0 && done+i < at {
				at, mark = done+i, m
			}
		}
		if done < split && split < at {
			write(text[done:split])
			write(text[split:at])
		} else if at > done {
			write(text[done:at])
		}
		if done = at; mark != "" {
			p.Control(mark)
			got.add(t, p.Parts())
			done += len(mark)
		}
	}
	got.add(t, p.Finish(false))
	return got
}

// TestCut ends answers after every character: what was given out is never taken
// back, and no call appears that the whole answer does not have.
func TestCut(t *testing.T) {
	for _, w := range writers {
		c := conversations[3]
		if w.onlyOne {
			c = conversations[0]
		}
		text := []rune(w.calls(c.calls))
		whole := w.feed(t, w.parser(Options{}), string(text), 0)
		for n := range text {
			got := w.feed(t, w.parser(Options{}), string(text[:n]), 0, true)
			byOne := w.feed(t, w.parser(Options{}), string(text[:n]), 1, true)
			if !reflect.DeepEqual(got, byOne) {
				t.Fatalf("%s: %q: at once %+v, one by one %+v", w.format, string(text[:n]), got, byOne)
			}
			for i, call := range got.calls {
				if call.name != whole.calls[i].name || !strings.HasPrefix(whole.calls[i].args, call.args) {
					t.Fatalf("%s: %q: call %d is %+v, in the end %+v", w.format, string(text[:n]), i, call, whole.calls[i])
				}
			}
		}
	}
}
