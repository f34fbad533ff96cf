package regex

import (
	"strconv"
	"testing"
)

func TestMultiple(t *testing.T) {
	s := NewSet(1 << 16)
	for _, unit := range []int{1, 2, 7, 10, 77, 429} {
		r := s.Multiple(unit)
		for n := range 2000 {
			if got, want := s.Match(r, []byte(strconv.Itoa(n))), n%unit == 0; got != want {
				t.Errorf("Multiple(%d) has %d: %v, want %v", unit, n, got, want)
			}
		}
		for _, text := range []string{"-7", "7.0", "x"} {
			if s.Match(r, []byte(text)) {
				t.Errorf("Multiple(%d) has %q", unit, text)
			}
		}
	}
	if r := s.And(s.Multiple(7), s.Literal("13")); s.Inhabited(r) {
		t.Error("13 is said to be a multiple of 7")
	}
}
