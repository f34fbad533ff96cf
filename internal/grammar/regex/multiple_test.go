package regex

import (
	"fmt"
	"strconv"
	"testing"
)

func TestMultiple(t *testing.T) {
	s := NewSet(1 << 16)
	for _, c := range []struct{ unit, places int }{{1, 0}, {2, 0}, {7, 0}, {10, 0}, {77, 0}, {429, 0}, {1, 2}, {15, 1}, {3, 2}, {125, 3}} {
		r := s.Multiple(c.unit, c.places)
		power := 1
		for range c.places {
			power *= 10
		}
		for n := range 3000 { // n thousandths
			want := n*power%(1000*c.unit) == 0
			text := fmt.Sprintf("%d.%03d", n/1000, n%1000)
			if got := s.Match(r, []byte(text)); got != want {
				t.Errorf("Multiple(%d, %d) has %s: %v, want %v", c.unit, c.places, text, got, want)
			}
			if got, want := s.Match(r, []byte(strconv.Itoa(n))), n*power%c.unit == 0; got != want {
				t.Errorf("Multiple(%d, %d) has %d: %v, want %v", c.unit, c.places, n, got, want)
			}
		}
		for _, text := range []string{"-7", "7.0.0", "x"} {
			if s.Match(r, []byte(text)) {
				t.Errorf("Multiple(%d, %d) has %q", c.unit, c.places, text)
			}
		}
	}
	if r := s.And(s.Multiple(7, 0), s.Literal("13")); s.Inhabited(r) {
		t.Error("13 is said to be a multiple of 7")
	}
	if d := s.Dist(s.Deriv(s.Multiple(77, 0), '1')); d != 2 {
		t.Errorf("a multiple of 77 that begins with 1 takes %d more digits, want 2 (154)", d)
	}
}
