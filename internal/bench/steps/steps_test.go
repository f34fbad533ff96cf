package steps

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

func tinyPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{}); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSteps(t *testing.T) {
	s := &Steps{Model: tinyPath(t), Batch: 3, Ctx: 20, Steps: 5, Prefill: 30, Threads: 1, Tier: cpu.Detect(), Output: results.Output{Out: filepath.Join(t.TempDir(), "s.json")}}
	var out, progress bytes.Buffer
	s.Progress = &progress
	if err := s.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if got, want := progress.String(), "5 steps of 3 sequences\na prompt of 30 tokens\n"; got != want {
		t.Errorf("progress:\n%s\nwant:\n%s", got, want)
	}
	data, err := os.ReadFile(s.Out)
	if err != nil {
		t.Fatal(err)
	}
	var v Result
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if v.Decode.Steps != 1 || v.Decode.Rows != 3 || len(v.Reads.Steps) != 4 || v.Reads.Bytes == 0 || v.Reads.Share == 0 || v.Prefill.Rows == 0 {
		t.Errorf("%+v\n%+v", v.Decode, v.Prefill)
	}
	var share float64
	for _, w := range v.Decode.Work {
		share += w.Share
	}
	if math.Abs(share-1) > 1e-9 {
		t.Errorf("the shares add up to %v", share)
	}
	for _, want := range []string{"attention", "sampling", "of weights", "prefill of"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}
