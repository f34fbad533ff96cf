package engine

import (
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// forcingSchema leaves the model little to choose: its names are forced runs of several tokens.
const forcingSchema = `{"type":"object","properties":{"the name of the river":{"type":"string","maxLength":9},"how long it is":{"type":"integer"}},
	"required":["the name of the river","how long it is"],"additionalProperties":false}`

// The greedy answer under a grammar is the same to the bit alone and in any company, with forced tokens and without, although forced tokens
// come in the step before or, when they are found too late, in the one after.
func TestConstrainedInAnyCompany(t *testing.T) {
	for _, o := range []tinymodel.Options{{Arch: "llama", Type: quant.Q4_1}, {Arch: "qwen2", Type: quant.Q4_0}} {
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
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
		g, err := schema.Compile([]byte(forcingSchema), schema.Limits{Order: grammar.InOrder})
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(f, model.Options{Tier: kernel.Tiers()[0], Threads: 2, MaxRows: 128})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		mo := model.Options{Tier: kernel.Tiers()[0]}
		for name, encode := range map[string]func([]byte) []int32{
			"forced": func(text []byte) []int32 { return tok.Encode(string(text), false, false) }, "free": nil,
		} {
			r := subject(short)
			r.Constraint = func() Constraint { return g.Follow(v, encode) }
			base := companies(seven, short)[0]
			base.with = nil
			want := base.answerTo(t, m, mo, r)
			var text strings.Builder
			forced := 0
			for _, s := range want {
				text.Write(tok.Piece(s.id))
				if s.logprob == 0 {
					forced++
				}
			}
			if !strings.HasPrefix(text.String(), "{") || (forced > 2) != (encode != nil) {
				t.Errorf("%s, %s: %q has %d forced tokens", o.Arch, name, text.String(), forced)
			}
			for _, c := range companies(seven, short) {
				for _, guesses := range []bool{false, true} {
					c.cfg.Speculate, c.cfg.always = guesses, true
					if d := differ(c.answerTo(t, m, mo, r), want); d != "" {
						t.Errorf("%s, %s, %s, guesses %v: %s", o.Arch, name, c.name, guesses, d)
					}
				}
			}
		}
	}
}
