package llamaserver

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Tokens that were guessed are in the timings where there are any, wrong ones too.
func TestTimingsOfGuesses(t *testing.T) {
	for want, timing := range map[string]serving.Timing{
		`"draft_n":7,"draft_n_accepted":3`: {Drafted: 7, Accepted: 3},
		`"draft_n":7,"draft_n_accepted":0`: {Drafted: 7},
		"":                                 {Predicted: 5},
	} {
		b, err := json.Marshal(timings(timing))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b); !strings.Contains(got, want) || strings.Contains(got, "draft") != (want != "") {
			t.Errorf("%+v became %s", timing, got)
		}
	}
}

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
