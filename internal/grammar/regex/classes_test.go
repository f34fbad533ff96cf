package regex

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestClasses holds the ways to ask for a byte's class against each other.
func TestClasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := [4]uint64{1}
		for _, b := range rapid.SliceOfN(rapid.IntRange(1, 255), 0, 40).Draw(t, "edges") {
			mark(&edges, b)
		}
		c := newClasses(edges)
		class, first := -1, 0
		for b := range 256 {
			if edges[b>>6]>>(b&63)&1 != 0 {
				class, first = class+1, b
			}
			if got := c.Of(byte(b)); got != class || int(c.Table()[b]) != class || int(c.First(byte(b))) != first {
				t.Fatalf("byte %d: class %d, %d, first %d; want %d and %d", b, got, c.Table()[b], c.First(byte(b)), class, first)
			}
			if next := c.Next(b); next <= b || next < 256 && edges[next>>6]>>(next&63)&1 == 0 {
				t.Fatalf("byte %d: the next class begins at %d", b, next)
			}
		}
		if c.Len() != class+1 {
			t.Fatalf("%d classes, want %d", c.Len(), class+1)
		}
	})
}

// TestCoveredAlternatives derives a pattern that can be read in very many ways: its
// derivatives stay small, and match what they should.
func TestCoveredAlternatives(t *testing.T) {
	s := NewSet(1 << 14)
	r, err := s.Whole(`(.{1,63}\.){1,127}[a-z]{2,6}`)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a.bb.ccc.", 12) + "com"
	if !s.Match(r, []byte(text)) || s.Match(r, []byte(text+".")) || s.Match(r, []byte("com")) {
		t.Error("wrong about the texts of the pattern")
	}
	for i := range len(text) {
		r = s.Deriv(r, text[i])
		if n := s.nodes[r].n; n > 16 {
			t.Fatalf("behind %d bytes there are %d alternatives", i+1, n)
		}
	}
	if s.Err() != nil || s.Len() > 4000 {
		t.Errorf("%d expressions, %v", s.Len(), s.Err())
	}
}

// TestCovers holds it against containment.
func TestCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSet(1 << 14)
		draw := func(name string) ID {
			var parts []ID
			for _, letter := range []string{"a", "b"} {
				low := rapid.IntRange(0, 2).Draw(t, name)
				high := rapid.SampledFrom([]int{Unbounded, low, low + 1, low + 3}).Draw(t, name)
				parts = append(parts, s.Repeat(s.Literal(letter), low, high))
			}
			return s.Concat(parts...)
		}
		a, b := draw("a"), draw("b")
		if s.covers(a, b) && !s.Contains(a, b) {
			t.Fatal("what is covered is not contained")
		}
		if either := s.Or(a, b); !s.Contains(either, a) || !s.Contains(either, b) || !s.Contains(s.Or(b, a), either) {
			t.Fatal("an alternative is missing")
		}
	})
}
