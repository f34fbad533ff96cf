package llamaserver

import (
	"encoding/json"
	"math"
	"testing"
)

// A token that cannot come has a probability of zero, whose logarithm JSON does
// not have.
func TestProbabilitiesAreValidJSON(t *testing.T) {
	for _, p := range []float32{float32(math.Inf(-1)), float32(math.NaN()), -1, 0} {
		b, err := json.Marshal(finite(p))
		if err != nil {
			t.Errorf("%v: %v", p, err)
		}
		if p == -1 && string(b) != "-1" {
			t.Errorf("%v became %s", p, b)
		}
	}
}
