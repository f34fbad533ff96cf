package metrics

import (
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram(1, 2, 5)
	for _, v := range []float64{0, 1, 1.5, 5, 6, 100} {
		h.Observe(v)
	}
	s := h.Snapshot()
	if !slices.Equal(s.Counts, []uint64{2, 1, 1, 2}) || s.Count != 6 || s.Sum != 113.5 {
		t.Errorf("got %+v", s)
	}
	if n := alloctest.PerRun(100, func() { h.Observe(3) }); n != 0 {
		t.Errorf("Observe allocates %v times", n)
	}
}
