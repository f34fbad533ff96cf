package eval

import (
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// fidelity is what llama.cpp, of llama-cpp-python 0.3.36, says of testdata/english.txt:
//
//	llama-quantize --allow-requantize MODEL.gguf F32.gguf F32
//	llama-perplexity -m F32.gguf -f english.txt -c 512 --chunks 2 -ctk f32 -ctv f32 -fa off --kl-divergence-base BASE
//	llama-perplexity -m MODEL.gguf -f english.txt -c 512 --chunks 2 -fa on --no-repack --kl-divergence-base OTHER
//
// The divergences are those of the logits in OTHER from those in BASE.
// ppl is the first's perplexity, that of the weights with nothing rounded; the
// rest is how far the second, what llama.cpp serves with, is from it.
// docs/fidelity.md has the same of all 1,020 positions of the text; half of them
// have to do here.
var fidelity = []struct {
	model     string
	ppl       float64
	kl, kl99  float64
	agreement float64
}{
	{"smollm2", 31.2208, 0.002530, 0.008661, 0.96471},
	{"gemma3:270m", 26.5947, 0.004423, 0.019304, 0.95294},
}

// Bounds on what is ours alone.
const (
	referenceBound = 0.0001 // the reference's perplexity from llama.cpp's

	// exactBound is the KL divergence that the exact model may have from the
	// reference: a thousandth of that which llama.cpp serves with.
	exactBound = 2.5e-6

	// perplexityBound is how far the fast path's perplexity may be from the
	// reference's: four standard errors, sqrt(2·0.002/510) each, that a KL divergence
	// of 0.002 gives the mean of 510 positions by chance.
	perplexityBound = 0.0112

	// agreementNoise is what chance adds to or takes from the agreement: 4 of 510
	// positions, of some 15 where two tokens are almost as likely.
	agreementNoise = 0.008
)

// TestFidelity: on real models and English text the fast path is as close to
// unrounded weights as llama.cpp is, and those say what llama.cpp says without any
// rounding.
//
// The float64 sums of the reference would take as long as all other tests. So the
// unrounded weights are multiplied as float32 by the fast path's kernels (the exact
// model), and the reference vouches for that on the first tokens of the text.
func TestFidelity(t *testing.T) {
	for _, f := range fidelity {
		t.Run(f.model, func(t *testing.T) {
			file := hubtest.Open(t, f.model)
			ids, bos := english(t, file)
			exact := load(t, unrounded(t, file), model.Options{Tier: cpu.Detect(), Weights: model.WeightsExact, MaxRows: 256})
			checkExact(t, exact, load(t, file, model.Options{Reference: true, MaxRows: 64}), ids, bos)

			fast := load(t, file, model.Options{Tier: cpu.Detect(), MaxRows: 256})
			r, err := Compare(t.Context(), fast, exact, ids, Options{Chunks: 2, BOS: bos})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d positions: perplexity %.4f, unrounded %.4f; KL mean %.6f, 99 %% %.6f; top-1 %.2f %%",
				r.Scored, r.Perplexity, r.Reference, r.KLMean, r.KLP99, 100*r.Top1)
			if math.Abs(r.Reference/f.ppl-1) > referenceBound {
				t.Errorf("the perplexity without rounding is %.4f, llama.cpp says %.4f", r.Reference, f.ppl)
			}
			if math.Abs(r.Perplexity/r.Reference-1) > perplexityBound {
				t.Errorf("the fast path's perplexity is %.4f, without rounding it is %.4f", r.Perplexity, r.Reference)
			}
			if r.KLMean > f.kl || r.KLP99 > f.kl99 {
				t.Errorf("KL divergence %.6f, 99 %% below %.6f; llama.cpp's is %.6f and %.6f", r.KLMean, r.KLP99, f.kl, f.kl99)
			}
			if r.Top1 < f.agreement-agreementNoise {
				t.Errorf("the likeliest token agrees at %.2f %%, llama.cpp's at %.2f %%", 100*r.Top1, 100*f.agreement)
			}
		})
	}
}

// checkExact compares the exact model with the reference on the first 64 tokens.
func checkExact(t *testing.T, exact, reference *model.Model, ids []int32, bos int32) {
	t.Helper()
	r, err := Compare(t.Context(), exact, reference, ids, Options{Context: 64, Chunks: 1, BOS: bos})
	if err != nil {
		t.Fatal(err)
	}
	if t.Logf("the exact model's KL divergence from the reference: %.2g", r.KLMean); r.KLMean > exactBound {
		t.Errorf("that is beyond %g", exactBound)
	}
}

// unrounded is f with its weights as float32.
func unrounded(t *testing.T, f *gguf.File) *gguf.File {
	t.Helper()
	var meta []gguf.KV
	for _, k := range f.Keys() {
		v, _ := f.Value(k)
		meta = append(meta, gguf.KV{Key: k, Value: v})
	}
	tensors := slices.Clone(f.Tensors())
	for i := range tensors {
		w := &tensors[i]
		row, data := make([]float32, w.Cols()), make([]byte, 0, 4*w.Rows()*w.Cols())
		for r := range w.Rows() {
			if err := quant.Dequantize(w.Type, row, w.Part(r, 1).Data); err != nil {
				t.Fatal(err)
			}
			for _, v := range row {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
			}
		}
		w.Type, w.Data = quant.F32, data
	}
	whole, err := gguf.Assemble("unrounded "+f.Path(), meta, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

func english(t *testing.T, f *gguf.File) (ids []int32, bos int32) {
	t.Helper()
	data, err := os.ReadFile("testdata/english.txt")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	bos = -1
	if tok.AddsBOS() {
		bos = tok.BOS()
	}
	return tok.Encode(string(data), true, false), bos
}
