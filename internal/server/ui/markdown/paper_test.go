package markdown

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// flat are all rows, with an empty one between two blocks.
func flat(blocks ...[]string) string {
	var all []string
	for _, b := range blocks {
		all = append(all, strings.Join(b, "\n"))
	}
	return strings.Join(all, "\n\n")
}

// Each kind of block, as it stands on a terminal without colours.
func TestPaper(t *testing.T) {
	closed, n, open := Paper{Width: 40}.Rows(sample+"~~~\n\nA `&lt;` \\(a_1 \\* b\\) <b>&amp;</b>\n", true)
	if n != len(sample)+len("~~~\n\nA `&lt;` \\(a_1 \\* b\\) <b>&amp;</b>\n") || open != nil {
		t.Errorf("%d bytes, open %q", n, open)
	}
	want := strings.Join([]string{
		"Title", "", "Hallo du x `c` d a_b_c", "line two", "line three", "", "• a", "[x] b", "  • c", "", "2. ordered", "3. more", "",
		"│ quote", "│", "│ │ deeper", "", "  func main() { x := \"a\" } // c", "", " a  │ b", "────┼───", " 1  │ 2", "", "Setext", "",
		"  $$", "  x_1 + y", "  - z", "  $$", "", "  \\[ a_b * c_d \\]", "",
		"picture: alt → http://x/y.png l", "https://a.b https://a.b/c", "", "  indented", "", "────────", "", "<div onclick=x>", "markup", "</div>", "",
		"שלום 世界 🙂 end", "", "  open fence", "", "A `&lt;` \\(a_1 \\* b\\) <b>&</b>",
	}, "\n")
	if got := ansi.Strip(flat(closed...)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A text that is shown while it grows, each time from the end of the last closed
// block on, ends as it does when it is shown at once. Every row fits the terminal.
func TestPaperGrows(t *testing.T) {
	p := Paper{Width: 24, Colour: true}
	want, _, _ := p.Rows(sample, true)
	for _, pace := range []int{3, 50, 1000} {
		var got [][]string
		done := 0
		for at := 0; at < len(sample); {
			for at = min(at+pace, len(sample)); at < len(sample) && !utf8.RuneStart(sample[at]); {
				at++
			}
			closed, n, open := p.Rows(sample[done:at], at == len(sample))
			got, done = append(got, closed...), done+n
			for _, row := range slices.Concat(append(closed, open...)...) {
				if ansi.StringWidth(row) > p.Width {
					t.Fatalf("%q is wider than %d", row, p.Width)
				}
			}
		}
		if flat(got...) != flat(want...) {
			t.Errorf("%d bytes at a time:\n%s\nwant\n%s", pace, flat(got...), flat(want...))
		}
	}
}

// Colours are the terminal's own.
func TestPaperColours(t *testing.T) {
	closed, _, _ := Paper{Width: 40, Colour: true}.Rows("Say `c`:\n\n```go\nreturn \"a\" // c\n```\n", true)
	want := "Say \x1b[36mc\x1b[m:\n\n  \x1b[35mreturn\x1b[0m \x1b[32m\"a\"\x1b[0m \x1b[90m// c\x1b[0m"
	if got := flat(closed...); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
