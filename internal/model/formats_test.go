package model_test

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestFewBitsFollowReference is TestFastFollowsReference for a small model of the
// formats that are rarer than those there. Rows of 256 values are whole blocks of all.
func TestFewBitsFollowReference(t *testing.T) {
	for _, typ := range []quant.Type{
		quant.MXFP4, quant.IQ3_S, quant.IQ2_S, quant.TQ1_0, quant.Q1_0,
	} {
		t.Run(typ.String(), func(t *testing.T) {
			o := tinymodel.Options{Arch: "qwen3", Type: typ, Dim: 256, FF: 256, Layers: 1}
			ref, rc := tiny(t, o, Options{Reference: true, Threads: 2}, 8)
			fast, fc := tiny(t, o, Options{Tier: cpu.Detect(), Threads: 2}, 8)
			vocab := ref.Config().Vocab
			want := all(ref, rc, newTalk(1, vocab, 20, 3, 2), 20)
			got := all(fast, fc, newTalk(1, vocab, 20, 3, 2), 20)
			if d := distance(got, want); !(d < 0.08) {
				t.Errorf("logits differ by %.5f of their deviation, bound 0.08", d)
			}
		})
	}
}

// Formats that have no decoder are refused by their names.
func TestOtherFormatsAreRefused(t *testing.T) {
	refused := 0
	for typ := range quant.Type(64) {
		if !typ.Known() || quant.Dequantize(typ, nil, nil) == nil {
			continue
		}
		refused++
		f := rebuild(t, tinymodel.Options{Dim: 256}, func(ts []gguf.Tensor) []gguf.Tensor {
			for i := range ts {
				if ts[i].Name == "blk.0.attn_q.weight" {
					ts[i].Type = typ
					ts[i].Data = make([]byte, ts[i].Rows()*typ.RowBytes(ts[i].Cols()))
				}
			}
			return ts
		})
		wantError(t, f, "blk.0.attn_q.weight", "type "+typ.String(), "not supported", "another quantisation")
	}
	if refused != 10 { // integers, F64, activations' formats, IQ1 and NVFP4
		t.Errorf("%d formats are refused, want 10", refused)
	}
}
