package regex

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
	"pgregory.net/rapid"
)

// patterns draws patterns of what both engines have, over a small alphabet.
func patterns() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return drawPattern(t, 3) })
}

func drawPattern(t *rapid.T, depth int) string {
	atom := rapid.SampledFrom([]string{"a", "b", "c", "é", "日", "[ab]", "[^a]", "[a-c]", `\d`, `\w`, ".", "1", "-", `\.`, `[^\d]`, `\u0062`})
	if depth == 0 {
		return atom.Draw(t, "atom")
	}
	sub := func() string { return drawPattern(t, depth-1) }
	switch rapid.IntRange(0, 11).Draw(t, "shape") {
	case 0, 1:
		return sub() + sub()
	case 2:
		return "(?:" + sub() + "|" + sub() + ")"
	case 3:
		return "(" + sub() + ")" + rapid.SampledFrom([]string{"*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"}).Draw(t, "times")
	case 4:
		return "^" + sub()
	case 5:
		return sub() + "$"
	case 6:
		return "(?:^|" + sub() + ")" + sub()
	case 7:
		return "(?=" + sub() + ")" + sub()
	case 8:
		return "(?!" + sub() + ")" + sub()
	case 9:
		return sub() + "(?:" + sub() + "|$)"
	default:
		return atom.Draw(t, "atom") + sub()
	}
}

func TestPatternAgainstRegexp2(t *testing.T) {
	texts := rapid.StringOfN(rapid.SampledFrom([]rune("abc1-.é日\nx")), 0, 7, -1)
	rapid.Check(t, func(t *rapid.T) {
		pattern := patterns().Draw(t, "pattern")
		oracle, err := regexp2.Compile(pattern, regexp2.ECMAScript)
		if err != nil {
			t.Skip(err)
		}
		s := NewSet(1 << 16)
		r, err := s.Pattern(pattern)
		if err != nil {
			if strings.Contains(err.Error(), "inside of a repetition") {
				t.Skip(err)
			}
			t.Fatalf("%q: %v", pattern, err)
		}
		for range 8 {
			text := texts.Draw(t, "text")
			want, err := oracle.MatchString(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Match(r, []byte(text)); got != want {
				t.Fatalf("%q in %q: %v, want %v", pattern, text, got, want)
			}
			q := s.Quoted(r)
			raw, _ := json.Marshal(text)
			if got := s.Match(q, raw[1:len(raw)-1]); got != want {
				t.Fatalf("%q quoted in %s: %v, want %v", pattern, raw, got, want)
			}
			viable(t, s, q, raw[1:len(raw)-1], want)
		}
	})
}

// viable checks that Deriv is Empty for no prefix of a string of r.
func viable(t *rapid.T, s *Set, r ID, text []byte, match bool) {
	for i, b := range text {
		if r = s.Deriv(r, b); r == Empty {
			if match {
				t.Fatalf("%q is refused at byte %d", text, i)
			}
			return
		}
	}
}

// TestDerivIsExact walks at random and checks that a state that is not Empty has
// a string, found by walking on along falling distances.
func TestDerivIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSet(1 << 18)
		a, err := s.Pattern(patterns().Draw(t, "a"))
		if err != nil {
			t.Skip(err)
		}
		b, err := s.Pattern(patterns().Draw(t, "b"))
		if err != nil {
			t.Skip(err)
		}
		r := s.And(a, s.NotText(b), s.Repeat(s.AnyRune(), 1, 6))
		if rapid.Bool().Draw(t, "quoted") {
			r = s.Quoted(r)
		}
		if !s.Inhabited(r) {
			return
		}
		for range 12 {
			finish(t, s, r)
			var on []ID
			for b := range 256 {
				if d := s.Deriv(r, byte(b)); d != Empty {
					on = append(on, d)
				}
			}
			if len(on) == 0 {
				break
			}
			r = on[rapid.IntRange(0, len(on)-1).Draw(t, "branch")]
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	})
}

// finish walks to the end of a shortest string.
func finish(t *rapid.T, s *Set, r ID) {
	for steps := 0; !s.Nullable(r); steps++ {
		best, at := far, Empty
		for b := range 256 {
			if d := s.Deriv(r, byte(b)); d != Empty && s.Dist(d) < best {
				best, at = s.Dist(d), d
			}
		}
		if at == Empty || steps > 200 {
			t.Fatalf("no way to the end after %d steps", steps)
		}
		r = at
	}
}

func TestQuotedEscapes(t *testing.T) {
	s := NewSet(1 << 16)
	any := s.Quoted(s.Text())
	word := s.Quoted(s.Literals([]string{"aé", "😀", "a\"b", "/"}))
	for _, c := range []struct {
		r    ID
		text string
		want bool
	}{
		{any, `\ud83d\ude00 \u00e9 \n\/`, true},
		{any, `\ud83d`, false},
		{any, `\ude00`, false},
		{any, "a\nb", false},
		{any, `a"b`, false},
		{any, `\x`, false},
		{any, "\xff", false},
		{word, `\u0061\u00E9`, false},
		{word, `a\u00e9`, true},
		{word, `\uD83D\uDE00`, true},
		{word, `\uD83D\uDE01`, false},
		{word, `a\"b`, true},
		{word, `a\u0022b`, true},
		{word, `\/`, true},
		{word, `a"b`, false},
	} {
		if got := s.Match(c.r, []byte(c.text)); got != c.want {
			t.Errorf("%s: %v", c.text, got)
		}
	}
	prefix := func(text string) bool {
		r := word
		for i := range len(text) {
			r = s.Deriv(r, text[i])
		}
		return r != Empty
	}
	for text, want := range map[string]bool{`\u`: true, `\u1`: false, `a\u002`: true, `a\u007`: false, `\u006`: false, `\ud8`: true, `\ud83d\ude01`: false, `\ud83d\ude0`: true, `a\n`: false, `a\`: true} {
		if got := prefix(text); got != want {
			t.Errorf("prefix %s: %v", text, got)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		`(?<=a)b`: "lookbehind", `(a)\1`: "back reference", `\bword`: "word boundary", `a{3,2}`: "maximum is below", `[z-a]`: "range ends before",
		`(`: "unmatched (", `[a`: "unmatched [", `a)`: "unmatched )", `*a`: "repeats nothing", `\p{Klingon}`: "property", `a**`: "repeats a repetition",
		`a{999999}`: "more than", `a\`: "backslash", `(?>a)`: "kind of group", `(^a)*`: "inside of a repetition",
	} {
		if _, err := NewSet(1 << 16).Pattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
}

func TestAlgebra(t *testing.T) {
	s := NewSet(1 << 16)
	p := func(text string) ID {
		r, err := s.Whole(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		a, b               string
		contains, disjoint bool
	}{
		{`[a-z]+`, `abc|x`, true, false},
		{`[a-z]{2,4}`, `[a-z]{1,3}`, false, false},
		{`a*`, `b+`, false, true},
		{`.*`, `[^\n]*`, false, false},
		{`[^]*`, `\p{L}+`, true, false},
		{`(ab)*`, `(abab)*`, true, false},
	} {
		if got := s.Contains(p(c.a), p(c.b)); got != c.contains {
			t.Errorf("%s contains %s: %v", c.a, c.b, got)
		}
		if got := !s.Inhabited(s.And(p(c.a), p(c.b))); got != c.disjoint {
			t.Errorf("%s disjoint from %s: %v", c.a, c.b, got)
		}
	}
	if d := s.Dist(s.And(s.Plus(s.AnyRune()), s.NotText(s.Repeat(s.AnyRune(), 0, 9)))); d != 10 {
		t.Errorf("ten characters take %d bytes", d)
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{`^[a-z]{1,30}$`, `(?!a)\p{L}*`, `\ud83d\ude00`, `((((a{9}){9}){9}){9})`, `(a|b|[^c-]){3,}$|^`} {
		f.Add(seed, "abc")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		s := NewSet(1 << 12)
		r, err := s.Pattern(pattern)
		if err != nil {
			return
		}
		if s.Match(s.And(r, s.text), []byte(text)) && !utf8.ValidString(text) && s.Err() == nil {
			t.Fatalf("%q matches %q, which is no text", pattern, text)
		}
		if s.Len() > 1<<12 {
			t.Fatalf("%d expressions", s.Len())
		}
	})
}
