package markdown

import (
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"
)

// sample has a block of each kind.
const sample = "# Title\n\nHallo *du* **x** `c` ~~d~~ a_b_c\nline two  \nline three\n\n- a\n- [x] b\n\n  - c\n\n2. ordered\n3. more\n\n> quote\n> > deeper\n\n" +
	"```go\nfunc main() { x := \"a\" } // c\n\n\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nSetext\n===\n\n$$\nx_1 + y\n- z\n$$\n\n\\[ a_b * c_d \\]\n\n" +
	"![alt](http://x/y.png) [l](https://a.b \"t\") https://a.b/c\n\n\tindented\n\n---\n\n<div onclick=x>\nmarkup\n</div>\n\n[ref]: https://r.x\n\nשלום 世界 🙂 end\n\n~~~\nopen fence\n"

// joined is the HTML of a document that is over.
func joined(d Document) string {
	var b strings.Builder
	for _, c := range d.Closed {
		b.WriteString(c.HTML)
	}
	return b.String() + strings.Join(d.Open, "")
}

// A page that renders a text while it grows, each time from the end of the last
// closed block on, ends with what renders the whole text at once, however the text
// was cut.
func TestGrowingIsTheWhole(t *testing.T) {
	want := joined(Render(sample, true))
	if len(Render(sample, true).Open) > 0 {
		t.Errorf("a whole text has open blocks")
	}
	units := utf16.Encode([]rune(sample))
	for _, pace := range []int{1, 2, 3, 7, 16, 50, 1000} {
		closed, got := 0, ""
		for at := 0; at < len(units); {
			at = min(at+pace, len(units))
			d := Render(string(utf16.Decode(units[closed:at])), at == len(units))
			for _, b := range d.Closed {
				got += b.HTML
				closed += b.Units
			}
			if at == len(units) && closed != at {
				t.Errorf("pace %d: %d of %d units are closed", pace, closed, at)
			}
		}
		if got != want {
			t.Errorf("pace %d: got\n%s\nwant\n%s", pace, got, want)
		}
	}
}

// The same for any text, cut anywhere, made of what Markdown is made of.
func TestAnyCut(t *testing.T) {
	parts := []string{"$$", "\\[", "\\]", "\\(", "$", "\n", "\n\n", "- ", "1. ", "> ", "```", "```go\n", "|", "|-|", " ", "    ", "a", "*", "**", "_", "[", "](", ")", "<", ">", "<b>",
		"#", "=", "\t", "[x] ", "![", "https://a.b", "`", "~~", "\\", "é", "🙂", "\r\n"}
	rapid.Check(t, func(t *rapid.T) {
		source := utf16.Encode([]rune(strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 40).Draw(t, "parts"), "")))
		cut := rapid.IntRange(0, len(source)).Draw(t, "cut")
		got, closed := "", 0
		for _, b := range Render(string(utf16.Decode(source[:cut])), false).Closed {
			got += b.HTML
			closed += b.Units
		}
		got += joined(Render(string(utf16.Decode(source[closed:])), true))
		want := joined(Render(string(utf16.Decode(source)), true))
		if got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
		if bad := unsafe(got); bad != "" {
			t.Fatalf("got %s", bad)
		}
	})
}

func TestRender(t *testing.T) {
	for source, want := range map[string]string{
		"a **b** _c_":       `<p dir="auto">a <strong>b</strong> <em>c</em></p>`,
		"# a\n":             `<h3 dir="auto">a</h3>`,
		"###### a":          `<h6 dir="auto">a</h6>`,
		"$a_1 b_2$":         `<code class="math" dir="ltr">$a_1 b_2$</code>`,
		`\(x_1*y*\)`:        `<code class="math" dir="ltr">\(x_1*y*\)</code>`,
		"$5 and $6":         `<p dir="auto">$5 and $6</p>`,
		"$$a_1$$ is _it_":   `<code class="math" dir="ltr">$$a_1$$</code> is <em>it</em>`,
		"$$\n- a\n= b\n$$":  "<code class=\"math\">- a\n= b\n</code>",
		"- [ ] a\n- [x] b":  `☑ b`,
		"![p](https://a.b)": `<a href="https://a.b" rel="nofollow noreferrer noopener" target="_blank">p</a>`,
		"![](https://a.b)":  `>https://a.b</a>`,
		"www.a.bc":          `<a href="http://www.a.bc"`,
		"|a|\n|:-:|\n|b|":   `<th dir="auto" class="center">a</th>`,
		"```nolang\na<b\n":  "<span class=\"lang\">nolang</span>",
		"```go\nif\n```":    `<span class="keyword">if</span>`,
		"```diff\n-a\n+b\n": `<span class="added">+b`,
		"a <b>c</b>":        `a <span class="raw">&lt;b&gt;</span>c<span class="raw">&lt;/b&gt;</span>`,
		"<!-- c -->":        `<div class="raw" dir="auto">&lt;!-- c --&gt;</div>`,
		"a\x00b\xff":        "<p dir=\"auto\">a\uFFFDb\uFFFD</p>",
		"":                  "",
	} {
		if got := joined(Render(source, true)); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: got %q, want %q in it", source, got, want)
		}
	}
}

// Only complete lines close a block: what looks like a paragraph may become an item
// of the list before it.
func TestOpenLine(t *testing.T) {
	for source, closed := range map[string]int{"1. a\n\n2": 0, "1. a\n\n2\n": 1, "a\n\nb": 0, "a\n\nb\n": 1, "a": 0, "a\n": 0, "```\na\n\nb\n": 0, "": 0} {
		if d := Render(source, false); len(d.Closed) != closed {
			t.Errorf("%q: %d blocks are closed, want %d: %+v", source, len(d.Closed), closed, d)
		}
	}
}

// What no element, attribute or address of may be in any HTML, whatever the text.
var forbidden = []string{"<script", "<img", "<iframe", "<svg", "<style", "<form", "<input", "<object", "<embed", "<meta", "<link", "<base", "<body", "<video", "<math",
	" onerror=", " onclick=", " onload=", " style=", " id=", " src=", " srcset=", "href=\"javascript", "href=\"data", "href=\"vbscript", "href=\"file", "href=\"//", "href=\"/"}

// unsafe looks for what may not be there in the tags of a text.
func unsafe(html string) string {
	for rest := html; ; {
		_, tag, ok := strings.Cut(rest, "<")
		if !ok {
			return ""
		}
		tag, rest, _ = strings.Cut(tag, ">")
		for _, f := range forbidden {
			if strings.Contains(strings.ToLower("<"+tag), f) {
				return "<" + tag + ">"
			}
		}
	}
}

func TestHostile(t *testing.T) {
	text, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(list) < 40 {
		t.Errorf("%d texts only", len(list))
	}
	for _, one := range list {
		one = strings.ReplaceAll(one, `\n`, "\n")
		for _, whole := range []bool{true, false} {
			if bad := unsafe(joined(Render(one, whole))); bad != "" {
				t.Errorf("%q: %s", one, bad)
			}
		}
	}
}

// Whatever the text, rendering ends with HTML without anything dangerous, and its
// closed blocks have the whole text.
func FuzzRender(f *testing.F) {
	f.Add(sample, true)
	f.Add("1. a\n\n2", false)
	f.Add("$$\n\n> $$ \\[\n", false)
	f.Add("```go\n\x00\xff\n", true)
	f.Add("[a]: <b\n\n| a |\n|-|\n", true)
	f.Fuzz(func(t *testing.T, source string, whole bool) {
		if len(source) > 4096 {
			return
		}
		d := Render(source, whole)
		if bad := unsafe(joined(d)); bad != "" {
			t.Errorf("%q: %s", source, bad)
		}
		sum := 0
		for _, b := range d.Closed {
			sum += b.Units
		}
		if all := units([]byte(strings.ToValidUTF8(source, "\uFFFD"))); sum > all || whole && sum != all && strings.TrimSpace(source) != "" {
			t.Errorf("%q: %d of %d units are closed", source, sum, all)
		}
	})
}

// Code of a hostile size or kind is shown whole, coloured or not.
func TestCodeIsWhole(t *testing.T) {
	for _, code := range []string{strings.Repeat("x = \"\\\"", 20_000), "a\r\nb\n", strings.Repeat("/*", 3000), "\t\n \n", strings.Repeat("((((", 2000)} {
		for _, language := range []string{"go", "python", "javascript", "c++", "html", "sql", "bash", "yaml", "rust", "none", ""} {
			var got strings.Builder
			for _, tok := range tokens(language, code) {
				got.WriteString(tok.Value)
			}
			if got.String() != code {
				t.Errorf("%s: %.40q became %.40q", language, code, got.String())
			}
		}
	}
}
