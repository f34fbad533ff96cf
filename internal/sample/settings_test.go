package sample

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each setting comes from the first party that has it, and is as usual if none has.
func TestSettings(t *testing.T) {
	usual := Settings{Seed: new(int64(7))}.Params()
	if usual.Temperature != 0.8 || usual.TopK != 40 || usual.TopP != 0.95 || usual.MinP != 0.05 || usual.RepeatPenalty != 1 || usual.RepeatLastN != 64 {
		t.Errorf("usual is %+v", usual)
	}
	if err := usual.Validate(100); err != nil {
		t.Error(err)
	}
	if usual.changes() || usual.chained() {
		t.Error("the usual settings need more than a cut and a draw")
	}
	flags := Settings{Temperature: new(0.0), TopK: new(-1), RepeatLastN: new(-1)}
	file := Settings{Temperature: new(0.7), TopP: new(0.0), PresencePenalty: new(1.5)}
	catalogue := Settings{Seed: new(int64(7)), TopP: new(0.9), MinP: new(0.0), RepeatPenalty: new(1.1), FrequencyPenalty: new(0.5)}
	want := usual
	want.Temperature, want.TopK, want.RepeatLastN, want.TopP, want.PresencePenalty = 0, 0, -1, 1e-9, 1.5
	want.MinP, want.RepeatPenalty, want.FrequencyPenalty = 0, 1.1, 0.5
	if diff := cmp.Diff(want, Merge(flags, file, catalogue).Params()); diff != "" {
		t.Error(diff)
	}
	for _, random := range []*int64{nil, new(int64(-1)), new(int64(RandomSeed)), new(int64(1 << 40))} {
		a, b := Settings{Seed: random}.Params().Seed, Settings{Seed: random}.Params().Seed
		if a == b || a >= RandomSeed || b >= RandomSeed {
			t.Errorf("seeds %d and %d", a, b)
		}
	}
}
