package grammar

import (
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// quickly follows a text of tokens, and says how many of them Quick knew. What Quick
// says has to be what Accept and Prepare say.
func quickly(t *testing.T, g *Grammar, v *Vocabulary, tokens []int32, left int) (known int) {
	t.Helper()
	encode := func(text []byte) (ids []int32) {
		for _, b := range text {
			ids = append(ids, int32(b))
		}
		return ids
	}
	f, slow := g.Follow(v, encode), g.Follow(v, encode)
	for _, o := range []*Follower{f, slow} {
		if err := o.Prepare(left); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(tokens); {
		at := len(f.m.text)
		forced, ok := f.Quick(tokens[i], left-1)
		if !ok && (len(f.m.text) != at || len(f.m.states) != at+1) {
			t.Fatal("Quick has done something, and says that it has not")
		}
		want, err := slow.Accept(tokens[i])
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			known++
		} else if forced, err = f.Accept(tokens[i]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(forced, want) {
			t.Fatalf("Quick (%v) forces %v, Accept %v", ok, forced, want)
		}
		i += 1 + len(forced)
		if left -= 1 + len(forced); left <= 0 {
			break
		}
		if err := slow.Prepare(left); err != nil {
			t.Fatal(err)
		}
		if !ok {
			if err := f.Prepare(left); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(f.Allowed(), slow.Allowed()) {
			t.Fatalf("Quick (%v) allows other tokens behind %q", ok, f.m.text)
		}
	}
	return known
}

// TestQuick follows one text several times: from the second time on all is known, and
// nothing is allocated; but near the limit of tokens each mask is another one.
func TestQuick(t *testing.T) {
	g, v := jsonGrammar(t), letters()
	var tokens []int32
	text := `{"a":[true,null,{"bc":12}],"é":"x"}`
	for _, b := range []byte(text) {
		tokens = append(tokens, int32(b))
	}
	if n := quickly(t, g, v, tokens, 1000); n == len(tokens) {
		t.Error("all is known before anything came")
	}
	forced := 0
	for _, word := range []string{"rue", "ull"} {
		forced += len(word)
	}
	if n := quickly(t, g, v, tokens, 1000); n != len(tokens)-forced {
		t.Errorf("%d of %d tokens are known the second time, %d are forced", n, len(tokens), forced)
	}
	quickly(t, g, v, tokens, len(tokens)+2)
	f := g.Follow(v, nil)
	if err := f.Prepare(1000); err != nil {
		t.Fatal(err)
	}
	if n := alloctest.PerRun(1, func() {
		for _, id := range tokens[:6] {
			if _, ok := f.Quick(id, 900); !ok {
				t.Error("not known")
			}
		}
		f.m.truncate(0)
	}); n != 0 {
		t.Errorf("Quick allocates %v times", n)
	}
	f.m.a.mu.Lock()
	defer f.m.a.mu.Unlock()
	if _, ok := f.Quick(tokens[0], 900); ok {
		t.Error("Quick waits for who is at work")
	}
}

// TestQuickInDistinctStrings follows lists of strings that all differ. Where a text has been, all is known; where another one goes on, nothing is.
func TestQuickInDistinctStrings(t *testing.T) {
	b := NewBuilder(Limits{})
	set := b.Regex()
	list := b.Rule("list")
	b.Define(list, b.Seq(b.Literal("["), b.Distinct(Distinct{Texts: set.Text(), Min: 1, Max: regex.Unbounded, Comma: set.Literal(",")}), b.Literal("]")))
	g, err := b.Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	v := letters()
	follow := func(text string) (known int) {
		var tokens []int32
		for _, b := range []byte(text) {
			tokens = append(tokens, int32(b))
		}
		return quickly(t, g, v, tokens, 1000)
	}
	const text = `["ab","a","c"]`
	follow(text)
	if n := follow(text); n != len(text) {
		t.Errorf("%d of %d tokens are known the second time", n, len(text))
	}
	if n, m := follow(`["a","ab","b"]`), follow(`["b","a","ab"]`); n > 6 || m > 6 {
		t.Errorf("%d and %d tokens of other texts are known", n, m)
	}
	if g.Match([]byte(`["a","ab","a"]`)) {
		t.Error("a string comes twice")
	}
}
