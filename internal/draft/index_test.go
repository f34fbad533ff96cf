package draft

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/alloctest"
)

// numbers is a text of distinct tokens.
func numbers(from, to int32) (list []int32) {
	for t := from; t < to; t++ {
		list = append(list, t)
	}
	return list
}

// A copy is guessed from its fourth token on, a changed token makes it break off, and
// it goes on behind that.
func TestCopy(t *testing.T) {
	x := New(512)
	source := numbers(100, 200)
	text := append(slices.Clone(source), 7, 8)
	guess := make([]int32, 6)
	type step struct {
		token int32
		n     int
		sure  Class
		first int32
	}
	steps := []step{
		{100, 0, 0, 0}, {101, 0, 0, 0}, {102, 6, Short, 103}, {103, 6, Short, 104}, {104, 6, Medium, 105}, {105, 6, Medium, 106},
		{9, 0, 0, 0},         // changed: 106 was guessed
		{107, 6, Near, 108},  // and the copy goes on
		{108, 6, Near, 109},  // its two tokens are no gram yet
		{109, 6, Short, 110}, // now they are
		{110, 6, Short, 111}, {111, 6, Medium, 112},
	}
	for _, s := range steps {
		text = append(text, s.token)
		n, sure := x.Guess(text, guess)
		if n != s.n || n > 0 && (sure != s.sure || guess[0] != s.first || guess[n-1] != s.first+int32(n)-1) {
			t.Fatalf("after %d: %d tokens %v, class %d; want %+v", s.token, n, guess[:n], sure, s)
		}
	}
	for k := int32(112); k < 130; k++ {
		text = append(text, k)
	}
	if _, sure := x.Guess(text, guess); sure != Long {
		t.Errorf("after 19 tokens: class %d", sure)
	}
}

// A text that goes round is guessed beyond its end.
func TestPeriod(t *testing.T) {
	x := New(64)
	text := []int32{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3}
	guess := make([]int32, 9)
	if n, _ := x.Guess(text, guess); n != 9 || !slices.Equal(guess, []int32{4, 1, 2, 3, 4, 1, 2, 3, 4}) {
		t.Errorf("%d: %v", n, guess)
	}
}

// Of several places the one with the longest match is copied, of equal ones the last.
func TestLongestMatch(t *testing.T) {
	x := New(64)
	text := []int32{5, 1, 2, 3, 50, 6, 1, 2, 3, 60, 7, 1, 2, 3, 70, 6, 1, 2, 3}
	guess := make([]int32, 1)
	if x.Guess(text, guess); guess[0] != 60 {
		t.Errorf("longest: %v", guess)
	}
	text = append(text, 8, 1, 2, 3)
	if x.Guess(text, guess); guess[0] != 8 {
		t.Errorf("latest: %v", guess)
	}
}

// Whatever the text, and in whatever pieces it is taken in, a guess is what follows the
// same tokens in the text, and the memory does not grow.
func TestGuessesStandInTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.SampledFrom([]int{1, 64, 200}).Draw(t, "window")
		vocab := rapid.SampledFrom([]int32{1, 2, 5, 50}).Draw(t, "vocab")
		x, size := New(window), len(New(window).prev)
		guess := make([]int32, rapid.IntRange(0, 12).Draw(t, "room"))
		var text []int32
		for range rapid.IntRange(1, 40).Draw(t, "pieces") {
			text = append(text, rapid.SliceOfN(rapid.Int32Range(0, vocab-1), 1, 30).Draw(t, "piece")...)
			n, sure := x.Guess(text, guess)
			if n != 0 && n != len(guess) {
				t.Fatalf("%d tokens of %d", n, len(guess))
			}
			if n > 0 && sure != Near && !follows(text, guess[:n]) {
				t.Fatalf("%v does not follow %v anywhere", guess[:n], text[len(text)-3:])
			}
			if len(x.prev) != size || len(x.last) != size {
				t.Fatal("the index has grown")
			}
		}
	})
}

// follows reports whether a guess stands somewhere behind the last three tokens of a text.
func follows(text, guess []int32) bool {
	all := append(slices.Clone(text), guess...)
	for at := 3; at < len(text); at++ {
		if slices.Equal(all[at-3:at], text[len(text)-3:]) && slices.Equal(all[at:at+len(guess)], guess) {
			return true
		}
	}
	return false
}

func TestGuessAllocatesNothing(t *testing.T) {
	x := New(4096)
	text := make([]int32, 0, 4096)
	guess := make([]int32, 8)
	if n := alloctest.PerRun(1000, func() {
		text = append(text, int32(len(text)*len(text)%11))
		x.Guess(text, guess)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkGuess is one guess in a text that repeats itself much: what a step pays.
func BenchmarkGuess(b *testing.B) {
	text := make([]int32, 0, 4000)
	for i := range 4000 {
		text = append(text, int32(i*i%97%13))
	}
	guess := make([]int32, 8)
	x, n := New(4096), 100
	for b.Loop() {
		if n++; n == len(text) {
			x, n = New(4096), 100
		}
		x.Guess(text[:n], guess)
	}
}
