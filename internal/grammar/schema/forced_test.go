package schema

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// forcedCases are schemas with texts of theirs.
var forcedCases = []struct{ schema, text string }{
	{`{"type":"object","properties":{"find_flights":{"type":"object","properties":{"origin_city":{"type":"string"},"departure_date":{"type":"string","format":"date"},
		"cabin_class":{"enum":["economy","premium economy","business"]}},"required":["origin_city","departure_date","cabin_class"],"additionalProperties":false}},
		"required":["find_flights"],"additionalProperties":false}`,
		`{"find_flights": {"origin_city": "Lisbon", "departure_date": "2026-05-17", "cabin_class": "premium economy"}}`},
	{`{"type":"object","properties":{"kind":{"const":"a rather long constant, with \"quotes\" and 12345 digits"},"größe_日本":{"type":"integer"}},"required":["kind","größe_日本"],"additionalProperties":false}`,
		`{"kind": "a rather long constant, with \"quotes\" and 12345 digits", "größe_日本": 42}`},
	{`{"type":"array","items":{"enum":[{"latitude":48.8566,"longitude":2.3522},null]},"minItems":2,"maxItems":2}`, `[{"latitude": 48.8566, "longitude": 2.3522}, null]`},
	{`{"type":"object","properties":{"HTTPResponseStatusCode":{"const":true},"x_y_z__w":{"type":"null"},"    four spaces":{"const":"\n\n\ttabs"}},
		"required":["HTTPResponseStatusCode","x_y_z__w","    four spaces"],"additionalProperties":false}`,
		`{"HTTPResponseStatusCode": true, "x_y_z__w": null, "    four spaces": "\n\n\ttabs"}`},
}

// TestForcedTokensAreTheTokenizersOwn: wherever a text has come to, as the tokenizer cuts it, the tokens that are forced there are those that
// the tokenizer has next. So a model that writes as it was trained to gets the tokens that it would have chosen itself.
func TestForcedTokensAreTheTokenizersOwn(t *testing.T) {
	for _, name := range []string{"smollm2", "gemma3:270m", "qwen2.5-coder:0.5b"} {
		t.Run(name, func(t *testing.T) { testForced(t, hubtest.Open(t, name)) })
	}
}

func testForced(t *testing.T, f *gguf.File) {
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	pieces := make([][]byte, tok.Vocab())
	for id := range pieces {
		if !tok.IsSpecial(int32(id)) {
			pieces[id] = tok.Piece(int32(id))
		}
	}
	v := grammar.NewVocabulary(pieces, tok.EOG())
	encode := func(text []byte) []int32 { return tok.Encode(string(text), false, false) }
	all, forced := 0, 0
	for _, c := range forcedCases {
		g, err := Compile([]byte(c.schema), Limits{Time: patient.Time, Order: grammar.InOrder})
		if err != nil {
			t.Fatal(err)
		}
		m := g.Matcher(v)
		tokens := encode([]byte(c.text))
		all += len(tokens)
		until := 0 // the tokens before this one are forced
		for i, id := range tokens {
			must, err := m.ForcedTokens(encode)
			if err != nil {
				t.Fatal(err)
			}
			for k, f := range must {
				if i+k >= len(tokens) || tokens[i+k] != f {
					t.Errorf("%q: token %d of the text is %q, forced is %q as number %d of %d", c.text, i+k, tok.Piece(tokens[min(i+k, len(tokens)-1)]), tok.Piece(f), k, len(must))
					break
				}
			}
			until = max(until, i+len(must))
			if i < until {
				forced++
			}
			bits, err := m.Allowed(-1)
			if err != nil {
				t.Fatal(err)
			}
			if bits[id>>6]>>(id&63)&1 == 0 {
				t.Fatalf("%q: token %d, %q, is not allowed", c.text, i, tok.Piece(id))
			}
			if err := m.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
		if !m.Complete() {
			t.Errorf("%q is not complete", c.text)
		}
	}
	t.Logf("%d of %d tokens are forced", forced, all)
	if forced < all/4 {
		t.Error("too few are forced")
	}
}
