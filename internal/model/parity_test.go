//go:build parity

package model_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kvcache"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// The logits of every decoder are those of llama.cpp, for files that this project makes
// up and for those that llama.cpp's own test makes up. `make parity-archs` builds the
// two programs and says where they are in PARITY_DIR. PENSTOCK_CPU caps the tier of the fast path,
// PARITY_ONLY picks the files whose names it matches. Results are kept in PARITY_DIR;
// PARITY_DOCS is the page whose table is written again from them.

// paritySteps are the rows of the steps: of the prompt every remainder of rows, and then
// what is decoded after it.
var paritySteps = []int{1, 2, 3, 4, 5, 6, 7, 9, 16, 31, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}

const (
	referenceBound = 1e-4 // root mean square of the differences, of the logits' deviation
	fastBound      = 0.02 // of the log-probability of one of the ten likeliest tokens
)

func TestParityWithLlamaCpp(t *testing.T) {
	dir := os.Getenv("PARITY_DIR")
	made := map[string]bool{}
	for _, o := range parityVariants() {
		made[o.Arch] = true
	}
	for _, arch := range Architectures() {
		if traits, _ := TraitsOf(arch); !made[arch] && !traits.Encoder {
			t.Errorf("architecture %s has no tiny model in parityVariants", arch)
		}
	}
	tier := parityTier()
	var table []parityResult
	for _, file := range parityFiles(t, dir) {
		name := strings.TrimSuffix(filepath.Base(file), ".gguf")
		t.Run(name, func(t *testing.T) {
			f, err := gguf.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			arch, _ := f.Str("general.architecture")
			r := parityResult{Name: name, Architecture: arch, Tier: tier.String()}
			vocab := describe(t, f).Vocab
			want := llamaRows(t, dir, file, vocab, oracleRows{width: vocab})
			if variant, tiny := strings.CutPrefix(name, "tiny-"); tiny && os.Getenv("PARITY_UPDATE") != "" {
				writeGolden(t, goldenFile(variant), "logits of the tiny model: row, token, logit", want)
			}
			got := ourLogits(t, f, Options{Reference: true, Threads: 2})
			r.Reference = distance(got, want)
			r.Fast = likeliest(ourLogits(t, f, Options{Tier: tier, Threads: 2}), want)
			if !(r.Reference < referenceBound) {
				t.Errorf("reference: logits differ by %.2e of their deviation, bound %g", r.Reference, referenceBound)
			}
			if !(r.Fast < fastBound) {
				t.Errorf("fast: log-probabilities differ by up to %.4f, bound %g", r.Fast, fastBound)
			}
			table = append(table, r)
		})
	}
	fmt.Printf("\n| file | reference: error of the logits | fast, %v: largest error of a log-probability |\n|---|---|---|\n", tier)
	for _, r := range table {
		fmt.Printf("| %s | %.1e | %.4f |\n", r.Name, r.Reference, r.Fast)
	}
	keepParity(t, dir, table)
	if page := os.Getenv("PARITY_DOCS"); page != "" {
		writeParity(t, dir, page)
	}
}

// parityTier is the highest that PENSTOCK_CPU allows.
func parityTier() cpu.Tier {
	if tier, err := cpu.ParseTier(os.Getenv("PENSTOCK_CPU")); err == nil {
		return tier
	}
	return cpu.Detect()
}

// parityFiles are the files of llama.cpp's test, and tiny models of every decoder.
func parityFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	only := regexp.MustCompile(os.Getenv("PARITY_ONLY"))
	for _, arch := range Architectures() {
		traits, _ := TraitsOf(arch)
		if traits.Encoder || !only.MatchString(arch) {
			continue
		}
		out := t.TempDir()
		if text, err := exec.Command(filepath.Join(dir, "test-llama-archs"), "-a", arch, "-s", "1", "-o", out).CombinedOutput(); err != nil {
			t.Fatalf("test-llama-archs -a %s: %v: %s", arch, err, text)
		}
		made, err := filepath.Glob(filepath.Join(out, arch+"-*.gguf"))
		if err != nil || len(made) == 0 {
			t.Fatalf("test-llama-archs -a %s: no files: %v", arch, err)
		}
		for _, file := range made {
			if strings.HasSuffix(file, "-moe.gguf") && !traits.Mixed {
				t.Logf("%s: with experts it is not served", arch)
				continue
			}
			if strings.HasSuffix(file, "-dense.gguf") && traits.Experts {
				t.Logf("%s: without experts it is not served", arch)
				continue
			}
			files = append(files, stripped(t, file))
		}
	}
	for name, o := range parityVariants() {
		if !only.MatchString("tiny-" + name) {
			continue
		}
		path := filepath.Join(t.TempDir(), "tiny-"+name+".gguf")
		if err := tinymodel.Write(path, o); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	slices.SortFunc(files, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return files
}

// scaled are the architectures in whose graphs llama.cpp makes use of the scales of the
// feed-forward network and of experts. In the others it reads them and leaves them out.
var scaled = map[string]bool{"llama": true, "mistral3": true, "qwen3": true, "qwen3moe": true, "cohere2": true}

// stripped is a copy of a file of llama.cpp's test without what its graphs leave out: the
// scales of the feed-forward network but of the architectures in scaled, and what follows
// the states: the classifier and the layers over pooled states.
func stripped(t *testing.T, file string) string {
	t.Helper()
	f, err := gguf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	arch, _ := f.Str("general.architecture")
	tensors := slices.DeleteFunc(f.Tensors(), func(t gguf.Tensor) bool {
		scale := !scaled[arch] && strings.HasSuffix(t.Name, ".scale") && strings.Contains(t.Name, ".ffn_")
		return scale || strings.HasPrefix(t.Name, "cls.") || strings.HasPrefix(t.Name, "dense_")
	})
	var meta []gguf.KV
	for _, key := range f.Keys() {
		v, _ := f.Value(key)
		meta = append(meta, gguf.KV{Key: key, Value: v})
	}
	var out bytes.Buffer
	if err := gguf.Write(&out, meta, tensors); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// oracleRows says what llama.cpp is asked for: logits, or final states.
type oracleRows struct {
	width  int // of a row
	states bool
}

// llamaRows are llama.cpp's rows, one for each token of the text.
func llamaRows(t *testing.T, dir, file string, vocab int, what oracleRows) [][]float32 {
	t.Helper()
	var ids []string
	for _, id := range parityText(vocab) {
		ids = append(ids, fmt.Sprint(id))
	}
	args := []string{file, strings.Join(ids, ","), "48"}
	if what.states {
		args = append(args, "states")
	}
	cmd := exec.Command(filepath.Join(dir, "logits"), args...)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	if err := cmd.Run(); err != nil {
		t.Fatalf("llama.cpp: %v: %s", err, failure.String())
	}
	if out.Len() != parityTokens*what.width*4 {
		t.Fatalf("llama.cpp: %d bytes for %d tokens of %d", out.Len(), parityTokens, what.width)
	}
	rows := make([][]float32, parityTokens)
	for i := range rows {
		rows[i] = make([]float32, what.width)
		if err := binary.Read(&out, binary.LittleEndian, rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// ourLogits feeds the same tokens in steps of all sizes.
func ourLogits(t *testing.T, f *gguf.File, o Options) (all [][]float32) {
	t.Helper()
	m, err := Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.NewStore(kvcache.Room{Blocks: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := newTalk(1, m.Config().Vocab, parityTokens, 3, 1, 4, 0, 5, 2)
	for _, n := range paritySteps {
		all = append(all, step(m, c, []int{n}, s)[0]...)
	}
	if len(all) != parityTokens {
		t.Fatalf("%d rows of %d", len(all), parityTokens)
	}
	return all
}

// likeliest is the largest difference of the log-probabilities of the ten tokens that
// are likeliest in want.
func likeliest(got, want [][]float32) (largest float64) {
	for i := range want {
		ids := make([]int, len(want[i]))
		for id := range ids {
			ids[id] = id
		}
		slices.SortFunc(ids, func(a, b int) int { return cmp.Compare(want[i][b], want[i][a]) })
		g, w := logNorm(got[i]), logNorm(want[i])
		for _, id := range ids[:10] {
			d := (float64(got[i][id]) - g) - (float64(want[i][id]) - w)
			largest = max(largest, math.Abs(d))
		}
	}
	return largest
}

// logNorm is the logarithm of the sum of the exponentials.
func logNorm(x []float32) float64 {
	peak := float64(slices.Max(x))
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - peak)
	}
	return peak + math.Log(sum)
}

// writeGolden keeps some of llama.cpp's numbers for the tests of every day.
func writeGolden(t *testing.T, file, what string, rows [][]float32) {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "# llama.cpp's %s. make parity-archs PARITY_UPDATE=1 writes them.\n", what)
	for _, row := range goldenRows {
		for i := 0; i < len(rows[row]); i += len(rows[row])/goldenNumbers + 1 {
			fmt.Fprintf(&out, "%d %d %.6f\n", row, i, rows[row][i])
		}
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
