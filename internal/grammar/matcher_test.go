package grammar

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
	"pgregory.net/rapid"
)

// jsonGrammar is all of JSON, compact, spaced or indented.
func jsonGrammar(t testing.TB) *Grammar {
	t.Helper()
	b := NewBuilder(Limits{})
	s := b.Regex()
	whole := func(p string) Node {
		r, err := s.Whole(p)
		if err != nil {
			t.Fatal(err)
		}
		return b.Lexeme(r)
	}
	ws := whole(`[ \n\t]{0,20}`)
	str := b.Lexeme(s.Concat(s.Literal(`"`), s.Quoted(s.Text()), s.Literal(`"`)))
	value := b.Rule("value")
	list := func(open, sep, end string, item Node) Node {
		comma := b.Seq(ws, b.Literal(sep), ws)
		return b.Seq(b.Literal(open), ws, b.Optional(b.Seq(item, b.Repeat(b.Seq(comma, item), 0, regex.Unbounded), ws)), b.Literal(end))
	}
	member := b.Seq(str, ws, b.Literal(":"), ws, b.Call(value))
	b.Define(value, b.Choice(str, whole(`-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?`), whole(`true|false|null`), list("[", ",", "]", b.Call(value)), list("{", ",", "}", member)))
	g, err := b.Compile(value)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestJSON(t *testing.T) {
	g := jsonGrammar(t)
	for text, want := range map[string]bool{
		`{"a": [1, 2.5e3, {"b": null}], "c": "\u00e9\ud83d\ude00é"}`: true,
		"{\n  \"a\": [\n    1\n  ]\n}":                               true,
		`[]`:                                                         true, `{}`: true, `-0`: true, `01`: false, `{"a":1,}`: false, `[1 2]`: false, `"a`: false, `{"a"}`: false, "\"\xff\"": false, `nul`: false, ``: false,
	} {
		if got := g.Match([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// letters is a vocabulary of all bytes and some longer tokens; the token 256 ends
// the text, and the token 257 is a control token.
func letters(extra ...string) *Vocabulary {
	var pieces [][]byte
	for b := range 256 {
		pieces = append(pieces, []byte{byte(b)})
	}
	pieces = append(pieces, nil, nil)
	for _, e := range append(extra, `":`, `"a`, `{"`, `": "`, "é", "\xe6\x97", "aé", `"]`, "}}", "abc", "ab", "ab", strings.Repeat("a", 12), strings.Repeat("b", 31), `a"`, "\xa5", "1,", ", ") {
		pieces = append(pieces, []byte(e))
	}
	return NewVocabulary(pieces, []int32{256})
}

// drawGrammar draws rules without left recursion: rule i calls later rules
// anywhere, and any rule behind a letter.
func drawGrammar(t *rapid.T) (*Builder, Rule) {
	b := NewBuilder(Limits{})
	s := b.Regex()
	n := rapid.IntRange(1, 4).Draw(t, "rules")
	for i := range n {
		b.Rule(fmt.Sprint("r", i))
	}
	lexemes := []regex.ID{s.Literal("a"), s.Literal("ab"), s.Literal("c"), s.Star(s.Literal("b")), s.AnyRune(), s.Plus(s.ByteRange('a', 'c')), s.Repeat(s.Runes(regex.Range{Lo: 'é', Hi: 'é'}, regex.Range{Lo: 'a', Hi: 'b'}), 1, 3), s.Quoted(s.Plus(s.AnyRune())), s.And(s.Text(), s.Not(s.Literal("a")))}
	var node func(i, depth int) Node
	node = func(i, depth int) Node {
		k := rapid.IntRange(0, 7).Draw(t, "node")
		if depth == 0 {
			k = 0
		}
		switch k {
		case 1:
			return b.Seq(node(i, depth-1), node(i, depth-1))
		case 2, 3:
			return b.Choice(node(i, depth-1), node(i, depth-1))
		case 4:
			low := rapid.IntRange(0, 2).Draw(t, "low")
			return b.Repeat(node(i, depth-1), low, rapid.SampledFrom([]int{low, low + 1, regex.Unbounded}).Draw(t, "high"))
		case 5:
			return b.Seq(b.Literal("a"), b.Call(Rule(rapid.IntRange(0, n-1).Draw(t, "rule"))))
		case 6:
			if i+1 < n {
				return b.Call(Rule(rapid.IntRange(i+1, n-1).Draw(t, "later")))
			}
		}
		return b.Lexeme(rapid.SampledFrom(lexemes).Draw(t, "lexeme"))
	}
	for i := range n {
		b.Define(Rule(i), node(i, 3))
	}
	return b, 0
}

// oracle is a slow recogniser over the nodes of a Builder: the ends of what a node
// matches from a position on.
type oracle struct {
	b    *Builder
	text string
	memo map[[2]int32]map[int]bool
}

func (o *oracle) ends(n Node, at int) map[int]bool {
	k := [2]int32{int32(n), int32(at)}
	if m, ok := o.memo[k]; ok {
		return m
	}
	m := map[int]bool{}
	e := o.b.nodes[n]
	switch e.op {
	case opLexeme:
		for i := at; i <= len(o.text); i++ {
			if o.b.set.Match(regex.ID(e.aux[0]), []byte(o.text[at:i])) {
				m[i] = true
			}
		}
	case opCall:
		m = o.ends(o.b.rules[e.aux[0]].body, at)
	case opSeq:
		m[at] = true
		for _, a := range e.args {
			m = o.after(m, a)
		}
	case opChoice:
		for _, a := range e.args {
			for i := range o.ends(a, at) {
				m[i] = true
			}
		}
	case opRepeat:
		now := map[int]bool{at: true}
		for i := 0; i <= int(e.aux[0])+len(o.text)+1 && (e.aux[1] < 0 || i <= int(e.aux[1])); i++ {
			if i >= int(e.aux[0]) {
				for j := range now {
					m[j] = true
				}
			}
			now = o.after(now, e.args[0])
		}
	}
	o.memo[k] = m
	return m
}

func (o *oracle) after(from map[int]bool, n Node) map[int]bool {
	m := map[int]bool{}
	for i := range from {
		for j := range o.ends(n, i) {
			m[j] = true
		}
	}
	return m
}

func TestMatchAgainstOracle(t *testing.T) {
	texts := rapid.StringOfN(rapid.SampledFrom([]rune(`abcé"`)), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		b, start := drawGrammar(t)
		g, err := b.Compile(start)
		if err != nil {
			t.Skip(err)
		}
		for range 8 {
			text := texts.Draw(t, "text")
			o := &oracle{b: b, text: text, memo: map[[2]int32]map[int]bool{}}
			if got, want := g.Match([]byte(text)), o.ends(b.rules[start].body, 0)[len(text)]; got != want {
				t.Fatalf("%q: %v, want %v", text, got, want)
			}
		}
	})
}

func tokensOf(bits []uint64) (out []int32) {
	for t := range int32(len(bits) * 64) {
		if hasBit(bits, t) {
			out = append(out, t)
		}
	}
	return out
}

// takeBack brings a matcher back to where its text had n bytes.
func takeBack(m *Matcher, n int) {
	m.truncate(n)
	m.ended = false
}

// over reports whether nothing may follow: the text is complete and can't go on.
func over(m *Matcher) bool {
	return m.ended || m.read(func(c *config) bool { return c.complete && len(c.threads) == 0 })
}

// naive is the tokens that Accept takes, one by one.
func naive(m *Matcher) (out []int32) {
	at := len(m.text)
	for t := range int32(len(m.v.pieces)) {
		if m.Accept(t) == nil {
			takeBack(m, at)
			out = append(out, t)
		}
	}
	return out
}

// TestMaskIsNaive walks random texts of random grammars and compares each mask
// with what Accept says of every token.
func TestMaskIsNaive(t *testing.T) {
	v := letters()
	rapid.Check(t, func(t *rapid.T) {
		b, start := drawGrammar(t)
		g, err := b.Compile(start)
		if err != nil {
			t.Skip(err)
		}
		m := g.Matcher(v)
		for range 10 {
			bits, err := m.Allowed(-1)
			if err != nil {
				t.Fatal(err)
			}
			got := tokensOf(bits)
			if want := naive(m); !slices.Equal(got, want) {
				t.Fatalf("after %q: %v, want %v", m.text, got, want)
			}
			if len(got) == 0 {
				if !over(m) {
					t.Fatalf("after %q: no way on", m.text)
				}
				return
			}
			forced, err := m.Forced()
			if err != nil {
				t.Fatal(err)
			}
			tok := got[rapid.IntRange(0, len(got)-1).Draw(t, "token")]
			if p := v.pieces[tok]; len(forced) > 0 && (len(p) == 0 || !strings.HasPrefix(string(forced), string(p[:min(len(p), len(forced))]))) {
				t.Fatalf("after %q: %q is forced, but %q allowed", m.text, forced, p)
			}
			before, at := slices.Clone(m.states), len(m.text)
			if err := m.Accept(tok); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(t, "take back") == 0 {
				takeBack(m, at)
				if again, _ := m.Allowed(-1); !slices.Equal(m.states, before) || !slices.Equal(tokensOf(again), got) {
					t.Fatal("a token that is taken back leaves another state")
				}
			}
		}
	})
}

// TestEndsInTime draws tokens at random with a bound, and expects a whole text.
func TestEndsInTime(t *testing.T) {
	v := letters()
	whole := jsonGrammar(t)
	rapid.Check(t, func(t *rapid.T) {
		g := whole
		if rapid.Bool().Draw(t, "random") {
			b, start := drawGrammar(t)
			var err error
			if g, err = b.Compile(start); err != nil {
				t.Skip(err)
			}
		}
		m := g.Matcher(v)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		left := m.Least() + 1 + rapid.IntRange(0, 40).Draw(t, "more")
		for ; left > 0 && !m.ended; left-- {
			bits, err := m.Allowed(left)
			if err != nil {
				t.Fatal(err)
			}
			may := tokensOf(bits)
			if len(may) == 0 {
				t.Fatalf("no token after %q", m.text)
			}
			if err := m.Accept(may[r.IntN(len(may))]); err != nil {
				t.Fatal(err)
			}
		}
		if !m.ended {
			t.Fatalf("%q is not complete", m.text)
		}
	})
}

// TestArenaMoves runs with so little memory that arenas fill up all the time.
func TestArenaMoves(t *testing.T) {
	g := jsonGrammar(t)
	g.limits.Memory = g.set.Bytes() + 200<<10
	v := letters()
	m, o := g.Matcher(v), jsonGrammar(t).Matcher(v)
	text := strings.Repeat(`[{"a":`, 30) + `"\u00e9x\n"` + strings.Repeat(`}]`, 30)
	first := m.a
	for i := range len(text) {
		bits, err := m.Allowed(-1)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := o.Allowed(-1)
		if !slices.Equal(bits, want) {
			t.Fatalf("after %q the masks differ", m.text)
		}
		if err := m.Accept(int32(text[i])); err != nil {
			t.Fatal(err)
		}
		if err := o.Accept(int32(text[i])); err != nil {
			t.Fatal(err)
		}
	}
	if !m.Complete() || m.a == first {
		t.Errorf("complete %v, still in the first arena %v", m.Complete(), m.a == first)
	}
}

func TestForcedTokens(t *testing.T) {
	b := NewBuilder(Limits{})
	s := b.Regex()
	start := b.Rule("start")
	b.Define(start, b.Seq(b.Lexeme(s.Concat(s.Literal(`{"`), s.Quoted(s.Literals([]string{"name"})), s.Literal(`": "`))), b.Lexeme(s.Quoted(s.Text())), b.Literal(`"}`)))
	g, err := b.Compile(start)
	if err != nil {
		t.Fatal(err)
	}
	v := letters("name", `": "x`)
	m := g.Matcher(v)
	encode := func(text []byte) (out []int32) {
		for len(text) > 0 {
			best := int32(text[0])
			for t, p := range v.pieces {
				if len(p) > len(v.pieces[best]) && strings.HasPrefix(string(text), string(p)) {
					best = int32(t)
				}
			}
			out, text = append(out, best), text[len(v.pieces[best]):]
		}
		return out
	}
	forced, err := m.ForcedTokens(encode)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, tok := range forced {
		text = append(text, v.pieces[tok]...)
	}
	if string(text) != `{"name` { // the token `": "x` could cross the end of `": "`
		t.Errorf("forced %q", text)
	}
}

func TestCompileErrors(t *testing.T) {
	compile := func(f func(b *Builder, r Rule)) error {
		b := NewBuilder(Limits{Instructions: 1000, Expressions: 1000})
		r := b.Rule("r")
		f(b, r)
		_, err := b.Compile(r)
		return err
	}
	for want, f := range map[string]func(b *Builder, r Rule){
		"left recursion": func(b *Builder, r Rule) {
			b.Define(r, b.Choice(b.Literal("a"), b.Seq(b.Nothing(), b.Call(r), b.Literal("b"))))
		},
		"not defined":    func(b *Builder, r Rule) {},
		"never ends":     func(b *Builder, r Rule) { b.Define(r, b.Seq(b.Literal("a"), b.Call(r))) },
		"more than 1000": func(b *Builder, r Rule) { b.Define(r, b.Repeat(b.Literal("a"), 0, 5000)) },
		"too large":      func(b *Builder, r Rule) { b.Define(r, b.Literal(strings.Repeat("ab", 5000))) },
		"contradicts": func(b *Builder, r Rule) {
			b.Define(r, b.Lexeme(b.Regex().And(b.Regex().Plus(b.Regex().Literal("a")), b.Regex().Plus(b.Regex().Literal("b")))))
		},
	} {
		if err := compile(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRegexAndChoice(t *testing.T) {
	g, err := Regex(`\d{3}-[a-f]+|x`, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := Choice([]string{"yes", "no", "not sure"}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		g    *Grammar
		text string
		want bool
	}{{g, "123-abc", true}, {g, "x", true}, {g, "a123-abc", false}, {g, "123-", false}, {h, "no", true}, {h, "not sure", true}, {h, "not", false}, {h, "yesno", false}} {
		if got := c.g.Match([]byte(c.text)); got != c.want {
			t.Errorf("%q: %v", c.text, got)
		}
	}
	if _, err := Choice(nil, Limits{}); err == nil {
		t.Error("a choice of nothing compiles")
	}
}

// TestTokensThatAreNoText expects the token that ends a text where the text is
// complete and nowhere else, and control tokens nowhere.
func TestTokensThatAreNoText(t *testing.T) {
	m := jsonGrammar(t).Matcher(letters())
	for _, c := range []struct {
		text string
		end  bool
	}{{"1", true}, {"2e", false}, {"5", true}} {
		if err := m.AcceptBytes([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		bits, err := m.Allowed(-1)
		if err != nil {
			t.Fatal(err)
		}
		if hasBit(bits, 256) != c.end || m.Complete() != c.end {
			t.Errorf("%s: end allowed %v, complete %v", m.text, hasBit(bits, 256), m.Complete())
		}
		if hasBit(bits, 257) || m.Accept(257) == nil || m.Accept(-1) == nil || m.Accept(1<<20) == nil {
			t.Errorf("%s: a token without text is allowed", m.text)
		}
	}
	if err := m.Accept(256); err != nil || !over(m) {
		t.Errorf("ended %v: %v", over(m), err)
	}
	if bits, _ := m.Allowed(-1); len(tokensOf(bits)) > 0 || m.Accept('1') == nil {
		t.Error("tokens behind the end")
	}
}

// TestSharedGrammar has many matchers use one grammar at the same time.
func TestSharedGrammar(t *testing.T) {
	g, v := jsonGrammar(t), letters()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			m := g.Matcher(v)
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for left := 60; left > 0 && !m.ended; left-- {
				bits, err := m.Allowed(left)
				if err != nil {
					t.Error(err)
					return
				}
				may := tokensOf(bits)
				if err := m.Accept(may[r.IntN(len(may))]); err != nil {
					t.Error(err)
					return
				}
			}
			if !m.ended || !json.Valid(m.text) {
				t.Errorf("%q is not complete", m.text)
			}
		})
	}
	all.Wait()
}

// TestPausedWalks has many texts of one grammar at a time, over a vocabulary so large that walks pause for one another, and expects the masks that
// one text alone has.
func TestPausedWalks(t *testing.T) {
	var extra []string
	for a := 'a'; a < 'a'+24; a++ {
		for b := 'a'; b < 'a'+24; b++ {
			extra = append(extra, string([]rune{a, b, '"', ','}), string([]rune{'\n', a, b, a}), string([]rune{a, b, '\\', 'n'}))
		}
	}
	v := letters(extra...)
	if len(v.rest) <= 2*pauseAfter {
		t.Fatalf("walks over %d nodes do not pause", len(v.rest))
	}
	shared, alone := jsonGrammar(t), jsonGrammar(t)
	var all sync.WaitGroup
	var checked sync.Mutex
	for i := range 4 {
		all.Go(func() {
			m := shared.Matcher(v)
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for range 30 {
				bits, err := m.Allowed(-1)
				if err != nil {
					t.Error(err)
					return
				}
				checked.Lock()
				o := alone.Matcher(v)
				if len(m.text) > 0 {
					err = o.AcceptBytes(m.text)
				}
				want, err2 := o.Allowed(-1)
				checked.Unlock()
				if err != nil || err2 != nil || !slices.Equal(bits, want) {
					t.Errorf("after %q: %v, %v, %d tokens, want %d", m.text, err, err2, len(tokensOf(bits)), len(tokensOf(want)))
					return
				}
				may := tokensOf(bits)
				may = slices.DeleteFunc(may, func(tok int32) bool { return tok == 256 })
				if len(may) == 0 {
					return
				}
				if err := m.Accept(may[r.IntN(len(may))]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// FuzzJSON compares the grammar of JSON with encoding/json.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e+3,"\u00e9\ud83d\ude00"],"b":null}`, `[[],{}]`, `"\ud800"`, `01`, "\"\xff\""} {
		f.Add([]byte(seed))
	}
	g := jsonGrammar(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if g.Match(text) && !json.Valid(text) {
			t.Fatalf("%q is accepted", text)
		}
	})
}

// TestOpen: a text that may be cut goes on to its last token, where another one has
// to end; what is not complete is led to its end in both.
func TestOpen(t *testing.T) {
	v := letters()
	for _, open := range []bool{false, true} {
		b := NewBuilder(Limits{})
		start := b.Rule("text")
		s := b.Regex()
		words := b.Lexeme(s.Star(s.Runes(regex.Range{Lo: 'a', Hi: 'z'})))
		if open {
			words = b.Seq(words, b.Open())
		}
		b.Define(start, b.Seq(words, b.Optional(b.Literal("[1,2]"))))
		g, err := b.Compile(start)
		if err != nil {
			t.Fatal(err)
		}
		allowed := func(text string, left int) (next string) {
			m := g.Matcher(v)
			if err := m.AcceptBytes([]byte(text)); err != nil {
				t.Fatal(err)
			}
			bits, err := m.Allowed(left)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range tokensOf(bits) {
				next += string(v.pieces[id])
			}
			return next
		}
		if next := allowed("a", 1); strings.Contains(next, "a") != open || strings.Contains(next, "[") {
			t.Errorf("open %v: with one token left, %q may follow a text", open, next)
		}
		if next := allowed("a", 4); !strings.Contains(next, "a") || strings.Contains(next, "[") {
			t.Errorf("open %v: with four tokens left, %q may follow a text", open, next)
		}
		if next := allowed("a[1,2]", 1); next != "" {
			t.Errorf("open %v: %q may follow the whole text", open, next)
		}
		if next := allowed("a[1,2", 2); next != "]" {
			t.Errorf("open %v: %q may follow a list", open, next)
		}
	}
}
