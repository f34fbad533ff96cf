package serving

import (
	"bytes"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// TestMarks: a control token that a format names is that token, in the text of a
// grammar and when it is forced, and never a text that looks like it.
func TestMarks(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	d := &Deployment{Tokenizer: tok}
	var id int32 = -1
	for i := range int32(tok.Vocab()) {
		if tok.IsSpecial(i) && len(tok.Piece(i)) > 1 && !slices.Contains(tok.EOG(), i) {
			id = i
		}
	}
	if id < 0 {
		t.Fatal("the vocabulary has no control token")
	}
	name := string(tok.Piece(id))
	spelled := d.spell("a" + name + "b" + name[:len(name)-1])
	if want := "a" + string(marked(id)) + "b" + name[:len(name)-1]; spelled != want {
		t.Errorf("%q, want %q", spelled, want)
	}
	ids := d.encodeForced([]byte(d.spell("ab" + name + "c")))
	if at := slices.Index(ids, id); at < 1 || at != len(ids)-2 {
		t.Errorf("%v, want the token %d within", ids, id)
	}
	v := d.vocabulary()
	form := &form{notation: asChoice, text: []byte(`["` + name + `", "x"]`)}
	g, err := form.compile()
	if err != nil {
		t.Fatal(err)
	}
	m := g.Matcher(v)
	bits, err := m.Allowed(-1)
	if err != nil {
		t.Fatal(err)
	}
	if bits[id/64]>>(id%64)&1 != 0 {
		t.Error("a control token counts as text")
	}
	for i, b := range bits {
		for j := range 64 {
			if t1 := int32(i*64 + j); b>>j&1 != 0 && !bytes.HasPrefix([]byte(name), tok.Piece(t1)) && string(tok.Piece(t1)) != "x" {
				t.Errorf("token %d, %q, is allowed", t1, tok.Piece(t1))
			}
		}
	}
}
