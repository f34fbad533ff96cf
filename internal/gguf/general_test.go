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

func TestLabel(t *testing.T) {
	const hash = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
	all := []KV{
		{"general.name", "Qwen2.5 Coder 0.5B Instruct"}, {"general.basename", "Qwen2.5-Coder"},
		{"general.size_label", "0.5B"}, {"general.finetune", "Instruct"}, {"general.architecture", "qwen2"},
	}
	for _, c := range []struct {
		path string
		meta []KV
		want string
	}{
		{"/srv/models/my-tune-q4_k_m.gguf", all, "my-tune-q4_k_m"},
		{"/srv/models/Model.GGUF", all, "Qwen2.5-Coder-0.5B-Instruct"},
		{"ggml-model-q4_0.gguf", all, "Qwen2.5-Coder-0.5B-Instruct"},
		{"model-f16.gguf", all, "Qwen2.5-Coder-0.5B-Instruct"},
		{"/var/lib/blobs/sha256-" + hash, all, "Qwen2.5-Coder-0.5B-Instruct"},
		{hash, all[1:], "Qwen2.5-Coder-0.5B-Instruct"},
		{"model.gguf", []KV{{"general.name", "/home/jane/models/tiny llama/"}}, "tiny-llama"},
		{"model.gguf", []KV{{"general.name", hash}, {"general.basename", "model"}, {"general.architecture", "qwen2"}}, "qwen2"},
		{"model.gguf", []KV{{"general.name", `C:\models\phi`}}, "phi"},
		{"model.gguf", nil, "model"},
		{"m.gguf", all, "m"},
		{"modeling-q4.gguf", all, "modeling-q4"},
	} {
		f := withMeta(t, c.meta...)
		f.path = c.path
		if got := f.Label(); got != c.want {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
}
