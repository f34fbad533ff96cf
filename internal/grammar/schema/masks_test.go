package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/grammar"
	"pgregory.net/rapid"
)

// littlePieces is a vocabulary of all bytes, some longer tokens that cross the borders of lexemes, and a token that ends a text.
func littlePieces() (pieces [][]byte, end int32) {
	for b := range 256 {
		pieces = append(pieces, []byte{byte(b)})
	}
	for _, p := range []string{`{"`, `":`, `": "`, `", "`, `"}`, `"]`, `}}`, `[1`, `1,`, `, `, `: `, `ab`, `abc`, `true`, `null`, `fal`, `é"`, "\xc3", "\xa9a", `10`, `.5`, `-1`, `\n`, `\u00`,
		"\n  ", `x1": `, `"a": `, `aaaaaaaaaaaa`, `2024-0`, `],`, `[]`, `{}`, `","`, `","a`, `a", "b"`, `"a","a`, `["a`} {
		pieces = append(pieces, []byte(p))
	}
	return append(pieces, nil), int32(len(pieces))
}

// walkDown follows one text of a grammar through its masks.
type walkDown struct {
	t      interface{ Fatalf(string, ...any) }
	g      *grammar.Grammar
	v      *grammar.Vocabulary
	pieces [][]byte
	end    int32
	tokens []int32
	text   []byte
	m      *grammar.Matcher
}

func newWalk(t interface{ Fatalf(string, ...any) }, g *grammar.Grammar) *walkDown {
	pieces, end := littlePieces()
	v := grammar.NewVocabulary(pieces, []int32{end})
	return &walkDown{t: t, g: g, v: v, pieces: pieces, end: end, m: g.Matcher(v)}
}

// again is a matcher of the same grammar at the same place.
func (w *walkDown) again() *grammar.Matcher {
	m := w.g.Matcher(w.v)
	for _, t := range w.tokens {
		if err := m.Accept(t); err != nil {
			w.t.Fatalf("after %q: %q is refused the second time: %v", w.text, w.pieces[t], err)
		}
	}
	return m
}

// naive is what Allowed must be, found out by trying every token: those behind which the text can be complete in time, or else as soon as
// possible.
func (w *walkDown) naive(left int) []int32 {
	var least []int
	var may []int32
	for t := range w.pieces {
		m := w.again()
		if m.Accept(int32(t)) == nil {
			may = append(may, int32(t))
			if int32(t) == w.end {
				least = append(least, -1)
			} else {
				least = append(least, m.Least())
			}
		}
	}
	if left < 0 || len(may) == 0 {
		return may
	}
	limit := max(left-2, slices.Min(least)) // one token is chosen now, another one ends the text
	out := []int32{}
	for i, t := range may {
		if least[i] <= limit {
			out = append(out, t)
		}
	}
	return out
}

func (w *walkDown) allowed(left int) []int32 {
	bits, err := w.m.Allowed(left)
	if err != nil {
		w.t.Fatalf("after %q: %v", w.text, err)
	}
	var out []int32
	for t := range w.pieces {
		if bits[t>>6]>>(t&63)&1 != 0 {
			out = append(out, int32(t))
		}
	}
	return out
}

func (w *walkDown) accept(token int32) {
	if err := w.m.Accept(token); err != nil {
		w.t.Fatalf("after %q: %q is allowed, but: %v", w.text, w.pieces[token], err)
	}
	w.tokens = append(w.tokens, token)
	w.text = append(w.text, w.pieces[token]...)
}

// TestMasksOfSchemas has texts of random schemas written by choosing among the tokens of the masks. Now and then a mask is compared with
// what Accept says of every token. Each text must be complete in time, and valid.
func TestMasksOfSchemas(t *testing.T) {
	written := 0
	rapid.Check(t, func(t *rapid.T) {
		text := jsonSchema(2).Draw(t, "schema")
		g, err := Compile([]byte(text), Limits{})
		if err != nil {
			t.Skip(err)
		}
		writeDown(t, g, text)
		written++
	})
	if written == 0 {
		t.Error("nothing was written")
	}
}

// writeDown has a text of a schema written, as TestMasksOfSchemas says.
func writeDown(t *rapid.T, g *grammar.Grammar, text string) {
	s := oracle(t, text)
	w := newWalk(t, g)
	left := w.m.Least() + 1 + rapid.IntRange(0, 20).Draw(t, "more")
	for checks := 0; ; left-- {
		if left <= 0 {
			t.Fatalf("schema %s: %q is not complete in time", text, w.text)
		}
		may := w.allowed(left)
		if checks < 2 && rapid.IntRange(0, 5).Draw(t, "check") == 0 {
			checks++
			if want := w.naive(left); !slices.Equal(may, want) {
				t.Fatalf("schema %s, after %q, %d left: %v, want %v", text, w.text, left, may, want)
			}
			if all, want := w.allowed(-1), w.naive(-1); !slices.Equal(all, want) {
				t.Fatalf("schema %s, after %q: %v, want %v", text, w.text, all, want)
			}
		}
		if len(may) == 0 {
			t.Fatalf("schema %s: no token after %q", text, w.text)
		}
		token := may[rapid.IntRange(0, len(may)-1).Draw(t, "token")]
		if token == w.end {
			break
		}
		w.accept(token)
	}
	if !json.Valid(w.text) || !valid(t, s, string(w.text)) {
		t.Fatalf("schema %s: %q is not valid", text, w.text)
	}
}

// TestMasksOfDistinctStrings does the same for arrays of strings that must differ, of which there are many, or hardly enough.
func TestMasksOfDistinctStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		item := rapid.SampledFrom([]string{`"type":"string"`, `"type":"string","pattern":"^[ab]{1,2}$"`, `"type":"string","pattern":"^(a|,|\"|\\\\)*$"`, `"type":"string","maxLength":1`,
			`"enum":["a","b","ab","abc","é","a,b","1","2","3","4","5","\""]`, `"type":"string","pattern":"a$"`}).Draw(t, "item")
		from := rapid.IntRange(0, 3).Draw(t, "from")
		list := fmt.Sprintf(`{"type":"array","items":{%s},"uniqueItems":true,"minItems":%d,"maxItems":%d}`, item, from, from+rapid.IntRange(2, 9).Draw(t, "more items"))
		text := fmt.Sprintf(rapid.SampledFrom([]string{`%s`, `{"type":"object","properties":{"a":%s},"required":["a"],"additionalProperties":false}`,
			`{"anyOf":[{"type":"array","items":{"type":"string","maxLength":3}},%s]}`, `{"type":"array","items":%s,"minItems":1,"maxItems":2}`}).Draw(t, "around"), list)
		g, err := Compile([]byte(text), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		writeDown(t, g, text)
	})
}

// FuzzMasks walks a schema's masks as the second text says: what they allow is accepted, there is a way on until the text is complete, it
// is JSON then, and neither memory nor time go beyond their bounds.
func FuzzMasks(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"type":"integer","minimum":3}},"required":["a"]}`, []byte("abcdefgh"))
	f.Add(`{"anyOf":[{"pattern":"^a[b-d]{2,3}$"},{"multipleOf":0.01,"type":"number"}]}`, []byte{1, 200, 7, 9})
	f.Add(`{"$defs":{"x":{"items":{"$ref":"#/$defs/x"}}},"$ref":"#/$defs/x"}`, []byte{9, 9, 9, 9, 9, 9})
	f.Add(`{"format":"date-time","minLength":5}`, []byte{250, 3, 3, 4})
	f.Add(`{"type":"array","items":{"type":"string","maxLength":3},"uniqueItems":true,"minItems":3}`, []byte{1, 30, 7, 9, 60, 12, 12, 34, 34})
	const memory = 4 << 20
	f.Fuzz(func(t *testing.T, text string, choices []byte) {
		start := time.Now()
		g, err := Compile([]byte(text), Limits{Grammar: grammar.Limits{Instructions: 1 << 14, Expressions: 1 << 13, Memory: memory}})
		if err != nil {
			return
		}
		w := newWalk(t, g)
		left := w.m.Least() + 2 + len(choices)
		if left > 1000 {
			return
		}
		for i := 0; ; i++ {
			bits, err := w.m.Allowed(left - i)
			if err != nil {
				return // too much memory: a refusal
			}
			var may []int32
			for t := range w.pieces {
				if bits[t>>6]>>(t&63)&1 != 0 {
					may = append(may, int32(t))
				}
			}
			if len(may) == 0 || i >= left {
				t.Fatalf("%q leads nowhere", w.text)
			}
			choice := 0
			if i < len(choices) {
				choice = int(choices[i])
			}
			token := may[choice%len(may)]
			if token == w.end {
				break
			}
			if w.m.Accept(token) != nil {
				t.Fatalf("after %q: %q is allowed, but refused", w.text, w.pieces[token])
			}
			w.text = append(w.text, w.pieces[token]...)
		}
		if !json.Valid(w.text) {
			t.Fatalf("%q is no JSON", w.text)
		}
		if n := g.Bytes(); n > 4*memory {
			t.Fatalf("%d bytes", n)
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Fatalf("took %v", took)
		}
	})
}
