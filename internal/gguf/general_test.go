package gguf

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withMeta is a file that holds nothing but these keys.
func withMeta(t *testing.T, meta ...KV) *File {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, meta, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Parse("m.gguf", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSampling(t *testing.T) {
	f := withMeta(t,
		KV{"general.sampling.temp", float32(0.7)}, KV{"general.sampling.top_k", int32(20)}, KV{"general.sampling.top_p", float32(0.8)},
		KV{"general.sampling.min_p", 0.05}, KV{"general.sampling.penalty_repeat", float32(1.1)}, KV{"general.sampling.penalty_last_n", int32(-1)})
	want := Sampling{Temperature: new(0.7), TopK: new(20), TopP: new(0.8), MinP: new(0.05), RepeatPenalty: new(1.1), RepeatLastN: new(-1)}
	if diff := cmp.Diff(want, f.Sampling()); diff != "" {
		t.Error(diff)
	}
}

func TestSamplingThatIsMissingOrUseless(t *testing.T) {
	nan := float32(math.NaN())
	for name, meta := range map[string][]KV{
		"missing": {{"general.name", "m"}},
		"useless": {
			{"general.sampling.temp", float32(-1)}, {"general.sampling.top_k", int64(1) << 40}, {"general.sampling.top_p", float32(1.5)},
			{"general.sampling.min_p", nan}, {"general.sampling.penalty_repeat", float32(0)}, {"general.sampling.penalty_last_n", int32(-2)},
		},
		"of another kind": {{"general.sampling.temp", "hot"}, {"general.sampling.top_k", float32(20)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(Sampling{}, withMeta(t, meta...).Sampling()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
