package alloctest

import "testing"

var sink []byte

func TestPerRun(t *testing.T) {
	if n := PerRun(5, func() {}); n != 0 {
		t.Errorf("nothing allocates %v times", n)
	}
	if n := PerRun(5, func() { sink = make([]byte, 100); sink = make([]byte, 100) }); n != 2 {
		t.Errorf("two objects are counted as %v", n)
	}
	calls := 0
	if n := PerRun(5, func() { // the disturbance is over after the first measurement
		if calls++; calls <= 6 {
			sink = make([]byte, 100)
		}
	}); n != 0 {
		t.Errorf("what only the first measurement saw counts %v", n)
	}
}
