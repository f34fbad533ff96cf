package limits

import (
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
)

func TestReadBandwidth(t *testing.T) {
	if b := readBandwidth(2, 1<<20, time.Millisecond); b < 1e6 {
		t.Errorf("%v bytes/s", b)
	}
}

func TestClock(t *testing.T) {
	if hz := clock(1); hz < 2e8 || hz > 1e10 {
		t.Errorf("%v Hz", hz)
	}
	if l := Probe(kernel.New(cpu.Generic).Tier(), 1); l.Ops != 0 || l.Bandwidth <= 0 {
		t.Errorf("%+v", l)
	}
}
