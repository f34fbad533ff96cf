package eval

import (
	"math"
	"testing"

	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestImportance: the inputs of the first layer's queries are the normalised embeddings;
// every matrix of a layer saw every token, those of experts as many as chose them.
func TestImportance(t *testing.T) {
	for _, arch := range []string{"llama", "qwen3moe"} {
		file, err := tinymodel.Open(tinymodel.Options{Arch: arch})
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(file, model.Options{Reference: true, Threads: 2, MaxRows: 5})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		tokens := []int32{5, 9, 12, 9, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 3}
		got, err := Importance(t.Context(), m, file, tokens, Options{Context: 8, BOS: -1})
		if err != nil {
			t.Fatal(err)
		}
		if got.Chunks != 2 || got.ChunkSize != 8 {
			t.Errorf("%d chunks of %d", got.Chunks, got.ChunkSize)
		}
		c := m.Config()
		table, _ := file.Tensor("token_embd.weight")
		weight, _ := file.Tensor("blk.0.attn_norm.weight")
		norm := nn.Norm{Weight: make([]float32, c.Dim), Eps: float32(c.NormEps)}
		if err := quant.Dequantize(weight.Type, norm.Weight, weight.Data); err != nil {
			t.Fatal(err)
		}
		want := make([]float64, c.Dim)
		row := make([]float32, c.Dim)
		for _, token := range tokens[:16] {
			if err := quant.Dequantize(table.Type, row, table.Part(int(token), 1).Data); err != nil {
				t.Fatal(err)
			}
			norm.Apply(row)
			for i, v := range row {
				want[i] += float64(v) * float64(v) / 16
			}
		}
		for i, w := range got.Entries["blk.0.attn_q.weight"].Columns(0) {
			if math.Abs(float64(w)-want[i]) > 1e-4*want[i] {
				t.Fatalf("%s: column %d is %g, want %g", arch, i, w, want[i])
			}
		}
		for _, tensor := range file.Tensors() {
			e := got.Entries[tensor.Name]
			if e == nil {
				continue
			}
			var rows float32
			for _, n := range e.Counts {
				rows += n
			}
			want := 16
			if len(tensor.Shape) > 2 {
				want *= c.ExpertsUsed
			}
			if int(rows) != want || len(e.Sums) != len(e.Counts)*tensor.Cols() {
				t.Errorf("%s: %s saw %v rows, want %d", arch, tensor.Name, rows, want)
			}
		}
		if _, ok := got.Entries["blk.0.ffn_down.weight"]; ok == (arch == "qwen3moe") {
			t.Errorf("%s: %v", arch, ok)
		}
		if _, err := Importance(t.Context(), m, file, tokens[:7], Options{Context: 8}); err == nil {
			t.Error("a text that is too short is taken")
		}
	}
	fast, err := tinymodel.Open(tinymodel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(fast, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := Importance(t.Context(), m, fast, make([]int32, 8), Options{Context: 8}); err == nil {
		t.Error("the fast path tells what it computes with")
	}
}
