package nn

import "testing"

// TestSecondPart: the rows of a text after its first separator are of its second part,
// those of the text beside it are not.
func TestSecondPart(t *testing.T) {
	tokens := []int32{1, 2, 9, 3, 9, 1, 2, 9}
	e := Embedding{Add: []float32{1}, Second: []float32{2}, Separator: 9}
	for row, want := range []float32{1, 1, 1, 2, 2} {
		if got := e.Part(tokens, 0, row)[0]; got != want {
			t.Errorf("row %d: %g, want %g", row, got, want)
		}
	}
	for row := 5; row < 8; row++ {
		if got := e.Part(tokens, 5, row)[0]; got != 1 {
			t.Errorf("row %d of the next text: %g", row, got)
		}
	}
	e.Second = nil
	if got := e.Part(tokens, 0, 4)[0]; got != 1 {
		t.Errorf("without a type of its own: %g", got)
	}
}
