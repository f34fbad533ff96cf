package kernels

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

func TestKernels(t *testing.T) {
	k := &Kernels{Formats: []string{"Q8_0", "Q4_K"}, Rows: 64, Cols: 256, Columns: []int{1, 8}, Threads: 1, Time: time.Millisecond, Tier: cpu.Detect(), coldBytes: 1 << 20}
	var out bytes.Buffer
	if err := k.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Q8_0", "Q4_K", "GOPS", "of reads", "of the ceiling"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	for _, bad := range []*Kernels{{Formats: []string{"Q9"}, Rows: 64, Cols: 256, Columns: []int{1}, Time: 1}, {Rows: 64, Cols: 100}, {Rows: 64, Cols: 256},
		{Formats: []string{"Q8_0"}, Rows: 64, Cols: 256, Columns: []int{0}, Time: 1}} {
		if err := bad.Run(t.Context(), &out); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
