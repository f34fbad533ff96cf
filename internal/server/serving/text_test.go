package serving

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// A text that grows token by token is cut exactly where the whole text's first
// stop string begins, and no part of a stop string was given out before.
func TestStopsFindTheFirst(t *testing.T) {
	letters := rapid.StringOfN(rapid.RuneFrom([]rune("abé")), 0, 40, -1)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("abé")), 1, 5, -1), 1, 4).Draw(t, "words")
		whole := letters.Draw(t, "text")
		s := newStops(words)
		var text, given []byte
		stopped := false
		for rest := whole; rest != "" && !stopped; {
			n := rapid.IntRange(1, 4).Draw(t, "characters")
			piece := firstRunes(rest, n)
			rest = rest[len(piece):]
			from := len(text)
			text = append(text, piece...)
			if at, word := s.find(text, from); at >= 0 {
				if !strings.HasPrefix(string(text[at:]), word) {
					t.Fatalf("no %q at %d of %q", word, at, text)
				}
				text, stopped = text[:at], true
			}
			out := len(text)
			if !stopped {
				out -= s.held(text)
			}
			if out < len(given) || !strings.HasPrefix(string(text), string(given)) {
				t.Fatalf("%q was given out, but the text is %q", given, text)
			}
			given = append(given[:0], text[:out]...)
		}
		want := whole
		for _, w := range words {
			if i := strings.Index(whole, w); i >= 0 && i < len(want) {
				want = whole[:i]
			}
		}
		// Several tokens' worth of text at once may hold a later stop string that
		// ends earlier; then the cut is later than the first beginning, never earlier.
		if got := string(text); stopped && !strings.HasPrefix(got, want) || !stopped && got != whole {
			t.Fatalf("got %q of %q, stop strings %q, want %q", got, whole, words, want)
		}
		for _, w := range words {
			if strings.Contains(string(text), w) {
				t.Fatalf("%q is in %q", w, text)
			}
		}
	})
}

func firstRunes(s string, n int) string {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return s[:i]
}

func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("a\"\\\n\r\t\x00\x1f\x7f\u2028é🙂\xff\xc3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		quoted := append(AppendJSON([]byte{'"'}, text), '"')
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%q: %v", quoted, err)
		}
		if want := strings.ToValidUTF8(string(text), "\ufffd"); got != want && len(got) != len(want) {
			// ToValidUTF8 makes one mark of a run of bad bytes; compare without them.
			clean := func(s string) string { return strings.ReplaceAll(s, "\ufffd", "") }
			if clean(got) != clean(want) {
				t.Errorf("%q came back as %q", text, got)
			}
		}
		if string(AppendQuoted(nil, string(text))) != string(quoted) {
			t.Errorf("text and bytes differ for %q", text)
		}
	})
}
