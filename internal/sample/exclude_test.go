package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// say samples n tokens one after the other, from logits that are different each
// time.
func say(t rapid.TB, p Params, vocab, n int, seed uint64) []int32 {
	t.Helper()
	s := New(kernel.New(kernel.Tiers()[0]), vocab, n)
	rnd := rand.NewPCG(seed, 0)
	var said []int32
	for i := range n {
		var out Output
		if err := s.Sample(Input{Logits: row(vocab, seed+uint64(i), 1), Params: &p, Rand: rnd, History: said}, &out); err != nil {
			t.Fatal(err)
		}
		said = append(said, out.Token)
	}
	return said
}

func TestBadWordsNeverCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SliceOfN(rapid.Int32Range(0, 4), 1, 3), 1, 3).Draw(t, "words")
		said := say(t, Params{Temperature: 1, TopP: 1, BadWords: words}, 6, 60, rapid.Uint64().Draw(t, "seed"))
		for _, w := range words {
			for i := range said {
				if i+len(w) <= len(said) && slices.Equal(said[i:i+len(w)], w) {
					t.Fatalf("%v is in %v", w, said)
				}
			}
		}
	})
}

func TestMinTokensExcludeTheEnd(t *testing.T) {
	p := Params{Temperature: 1, TopP: 1, MinTokens: 30, Ends: []int32{0, 2}}
	for seed := range uint64(20) {
		said := say(t, p, 4, 60, seed)
		first := slices.IndexFunc(said, func(t int32) bool { return t == 0 || t == 2 })
		if first < 30 || first > 50 {
			t.Errorf("seed %d: the first end is token %d", seed, first)
		}
	}
}

func TestAllowedTokensAlone(t *testing.T) {
	got := map[int32]int{}
	for _, id := range say(t, Params{Temperature: 1, TopP: 1, Allowed: []uint64{1<<3 | 1<<7, 1}}, 200, 300, 1) {
		got[id]++
	}
	if len(got) != 3 || got[3] == 0 || got[7] == 0 || got[64] == 0 {
		t.Errorf("got %v", got)
	}
}

func TestNothingLeft(t *testing.T) {
	p := Params{Allowed: []uint64{1 << 3}, BadWords: [][]int32{{3}}}
	var out Output
	if err := New(kernel.New(kernel.Tiers()[0]), 10, 10).Sample(Input{Logits: make([]float32, 10), Params: &p}, &out); err != ErrNoToken {
		t.Errorf("got %v", err)
	}
}

func TestEndRepeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Int32Range(0, 2), 1, 60).Draw(t, "text")
		got := make([]int32, len(text))
		endRepeats(got, text)
		for i := range text {
			n := int32(0)
			for int(n) <= i && text[i-int(n)] == text[len(text)-1-int(n)] {
				n++
			}
			if got[i] != n {
				t.Fatalf("%v at %d: got %d, want %d", text, i, got[i], n)
			}
		}
	})
}

// DRY keeps a model from saying the same thing again: the logits want a cycle.
func TestDRYBreaksACycle(t *testing.T) {
	const vocab = 50
	run := func(p Params) (repeated int) {
		s := New(kernel.New(kernel.Tiers()[0]), vocab, 200)
		said := []int32{0}
		for range 100 {
			x := make([]float32, vocab)
			last := said[len(said)-1]
			x[(last+1)%10] = 5
			x[10+last%40] = 2
			var out Output
			if err := s.Sample(Input{Logits: x, Params: &p, History: said}, &out); err != nil {
				t.Fatal(err)
			}
			said = append(said, out.Token)
		}
		n := make([]int32, len(said))
		endRepeats(n, said)
		return int(slices.Max(n[:len(said)-1]))
	}
	if n := run(Params{}); n < 80 {
		t.Fatalf("without DRY only %d tokens repeat", n)
	}
	if n := run(Params{DRY: DRY{Multiplier: 0.8, Base: 1.75, AllowedLength: 2, LastN: -1}}); n > 8 {
		t.Errorf("with DRY %d tokens repeat", n)
	}
}

// The time of DRY does not depend on how repetitive the text is, nor on the base.
func TestDRYIsLinear(t *testing.T) {
	const vocab, n = 1000, 100_000
	s := New(kernel.New(kernel.Tiers()[0]), vocab, n)
	p := Params{DRY: DRY{Multiplier: 1, Base: 1.0001, AllowedLength: 2, LastN: -1}}
	x := make([]float32, vocab)
	s.dontRepeat(x, &Input{Params: &p, History: make([]int32, n)}) // quadratic time would take minutes
	if want := float32(math.Pow(1.0001, n-3)); math.Abs(float64(-x[0]/want-1)) > 0.01 {
		t.Errorf("the penalty is %v, want %v", -x[0], want)
	}
}

func TestParseOrder(t *testing.T) {
	order, err := ParseOrder([]string{"dry", "temperature", "typical", "top_k"})
	if want := []Stage{DontRepeat, Temperature, TypicalP, TopK}; err != nil || !slices.Equal(order, want) {
		t.Errorf("got %v, %v", order, err)
	}
	if order, err = ParseLetters("edskypmxt"); err != nil || !slices.Equal(order, DefaultOrder) {
		t.Errorf("got %v, %v", order, err)
	}
	if order, err = ParseOrder(nil); err != nil || order == nil || len(order) != 0 {
		t.Errorf("no samplers are %v, %v", order, err)
	}
	names := make([]string, len(DefaultOrder))
	for i, s := range DefaultOrder {
		names[i] = s.String()
	}
	if again, err := ParseOrder(names); err != nil || !slices.Equal(again, DefaultOrder) {
		t.Errorf("%v is read as %v, %v", names, again, err)
	}
	for _, bad := range [][]string{{"mirostat"}, {"infill"}, {""}, {"top_k", "top-k"}, {strings.Repeat("x", 1000)}} {
		if _, err := ParseOrder(bad); err == nil || len(err.Error()) > 250 {
			t.Errorf("%.20v: %v", bad, err)
		}
	}
	if _, err := ParseLetters("kk"); err == nil {
		t.Error("kk is accepted")
	}
}
