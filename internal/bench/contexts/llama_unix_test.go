//go:build unix

package contexts

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLlama: llama.cpp is asked for the long context with both types of cache, and the better one of a round counts.
func TestLlama(t *testing.T) {
	c := tiny(t)
	c.Llama = t.TempDir()
	program := "#!/bin/sh\n" + `case "$*" in
*"-npp 3000 -ntg 16 -npl 1"*"-ctk f16 -ctv f16") echo '{"pp":3000,"tg":16,"pl":1,"t_pp":1.5,"t_tg":0.5}' ;;
*"-npp 3000 -ntg 16 -npl 1"*"-ctk q8_0 -ctv q8_0") echo '{"pp":3000,"tg":16,"pl":1,"t_pp":3,"t_tg":0.25}' ;;
*) exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(c.Llama, "llama-batched-bench"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	c.JSON = true
	var out, progress bytes.Buffer
	c.Progress = &progress
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if want := "round 2 of 2, llama.cpp, q8_0: prompt of 3000 and 16 tokens after it\n"; !strings.HasSuffix(progress.String(), want) {
		t.Errorf("progress:\n%s\nwant at the end:\n%s", progress.String(), want)
	}
	var got Result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for i, best := range map[int]float64{oneLong: 64, promptLong: 2000} { // tokens/s: of q8_0, of f16
		name := got.Points[i].Name + " / llama.cpp with its best cache"
		at := slices.IndexFunc(got.Ratios, func(q Ratio) bool { return q.Name == name })
		if at < 0 || len(got.Ratios[at].Values) != c.Rounds {
			t.Fatalf("no ratio %q for each round: %+v", name, got.Ratios)
		}
		for round, ratio := range got.Ratios[at].Values {
			if want := got.Points[i].Speeds[round] / best; math.Abs(ratio-want) > 1e-9*want {
				t.Errorf("%s, round %d: %g, want %g", name, round, ratio, want)
			}
		}
	}
	if lower := got.Series()[1+lowerRatio]; !lower.Lower || !strings.HasPrefix(lower.Name, "time of a token") {
		t.Errorf("%q is the ratio of which less is better", lower.Name)
	}
	var table bytes.Buffer
	if err := got.print(&table); err != nil || !strings.Contains(table.String(), "llama.cpp, q8_0: one stream, context 3000") {
		t.Errorf("the table lacks llama.cpp's figures: %v\n%s", err, table.String())
	}
	c.Llama = t.TempDir()
	if err := c.Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "llama-batched-bench") {
		t.Errorf("without the program: %v", err)
	}
}
