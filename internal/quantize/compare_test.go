//go:build parity

package quantize

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// TestAgainstLlamaQuantize compares with llama-quantize on a model of floats: the types of
// all tensors, and the errors. It prints a row of a table for each mix. `make
// quantize-table` runs it.
func TestAgainstLlamaQuantize(t *testing.T) {
	model, program := os.Getenv("QUANTIZE_MODEL"), os.Getenv("LLAMA_QUANTIZE")
	if model == "" || program == "" {
		t.Fatal("QUANTIZE_MODEL and LLAMA_QUANTIZE name a model and llama-quantize: make quantize-table does")
	}
	model = known(t, model)
	in, err := gguf.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var importance *Importance
	matrix := os.Getenv("QUANTIZE_IMATRIX")
	if matrix == "made-up" {
		matrix = madeUp(t, in)
	}
	if matrix != "" {
		if importance, err = ReadImportance(matrix); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range Names() {
		if only := os.Getenv("QUANTIZE_ONLY"); only != "" && !strings.Contains(","+only+",", ","+name+",") {
			continue
		}
		mix, _ := Parse(name, false)
		t.Run(name, func(t *testing.T) { compare(t, in, mix, &peer{program, model, matrix, importance}) })
	}
}

// known is the model under an architecture that llama-quantize knows: MPNet's tensors are
// called as BERT's.
func known(t *testing.T, path string) string {
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if arch, _ := f.Str("general.architecture"); arch != "mpnet" {
		return path
	}
	var meta []gguf.KV
	for _, key := range f.Keys() {
		v, _ := f.Value(key)
		if key == "general.architecture" {
			v = "bert"
		}
		meta = append(meta, gguf.KV{Key: strings.Replace(key, "mpnet.", "bert.", 1), Value: v})
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "bert.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gguf.Write(out, meta, f.Tensors()), out.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

// madeUp is an importance matrix of numbers that are spread as those of models are: some
// columns matter a hundred times as much as others.
func madeUp(t *testing.T, in *gguf.File) string {
	rng := rand.New(rand.NewPCG(1, 2))
	m := &Importance{Datasets: []string{"made up"}, Chunks: 1, ChunkSize: 512, Entries: map[string]*Entry{}}
	for _, tensor := range in.Tensors() {
		if !strings.HasPrefix(tensor.Name, "blk.") || !quantizable(tensor) {
			continue
		}
		e := &Entry{Sums: make([]float32, tensor.Cols()), Counts: []float32{512}}
		for i := range e.Sums {
			e.Sums[i] = float32(512 * math.Exp(1.2*rng.NormFloat64()))
		}
		m.Entries[tensor.Name] = e
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "made-up.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Write(out), out.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

// sampled is how many rows of a tensor are compared.
const sampled = 48

// peer is llama-quantize with a model.
type peer struct {
	program, model, matrix string
	importance             *Importance
}

func compare(t *testing.T, in *gguf.File, mix Mix, p *peer) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	args := []string{p.model, out, mix.Name}
	if p.matrix != "" {
		args = append([]string{"--imatrix", p.matrix}, args...)
	}
	if text, err := exec.Command(p.program, args...).CombinedOutput(); err != nil {
		t.Logf("llama-quantize makes no %s of it: %s", mix.Name, lastLine(text))
		return
	}
	theirs, err := gguf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	types := choose(in, mix, p.importance != nil)
	var sums [3]float64 // errors of ours and theirs, and the weights themselves
	var worst float64
	var worstName string
	different := 0
	for i, tensor := range in.Tensors() {
		other, ok := theirs.Tensor(tensor.Name)
		if !ok || other.Type != types[i] {
			different++
			t.Errorf("%s: %v, llama-quantize has %v", tensor.Name, types[i], other.Type)
			continue
		}
		if types[i] == tensor.Type {
			continue
		}
		e := (&Conversion{importance: p.importance}).entry(tensor.Name)
		if e == nil || len(e.Counts) == 1 { // some rows of each are enough
			rows := min(tensor.Rows(), sampled)
			tensor, other = tensor.Part(0, rows), other.Part(0, rows)
		}
		data, err := recodeTensor(t.Context(), in, tensor, types[i], e)
		if err != nil {
			t.Fatal(err)
		}
		ours, size := distance(t, tensor, types[i], data, e)
		their, _ := distance(t, tensor, types[i], other.Data, e)
		sums[0], sums[1], sums[2] = sums[0]+ours, sums[1]+their, sums[2]+size
		if ratio := math.Sqrt(ours / their); their > 0 && ratio > worst {
			worst, worstName = ratio, fmt.Sprintf("%s (%v)", tensor.Name, types[i])
		}
	}
	ratio := math.Sqrt(sums[0] / sums[1])
	fmt.Printf("| %s | %d | %.4f | %.4f | %.3f | %.3f %s |\n", mix.Name, different, math.Sqrt(sums[0]/sums[2]), math.Sqrt(sums[1]/sums[2]), ratio, worst, worstName)
	if ratio > 1.02 {
		t.Errorf("the error is %.3f times llama-quantize's", ratio)
	}
}

// distance is the squared error of a tensor's data, and the squares of the tensor, each
// weighed by the importance of its column.
func distance(t *testing.T, tensor gguf.Tensor, kind quant.Type, data []byte, e *Entry) (err, size float64) {
	mats := 1
	if e != nil {
		mats = len(e.Counts)
	}
	each := tensor.Rows() / mats
	x, y := make([]float32, tensor.Cols()), make([]float32, tensor.Cols())
	var w []float32 // of the matrix that the row is in
	for row := range tensor.Rows() {
		part := tensor.Part(row, 1)
		n := kind.RowBytes(tensor.Cols())
		if err := quant.Dequantize(tensor.Type, x, part.Data); err != nil {
			t.Fatal(err)
		}
		if err := quant.Dequantize(kind, y, data[row*n:][:n]); err != nil {
			t.Fatal(err)
		}
		if e != nil && row%each == 0 {
			w = e.Columns(row / each)
		}
		for i := range x {
			by := 1.0
			if w != nil {
				by = float64(w[i])
			}
			d := float64(x[i] - y[i])
			err, size = err+by*d*d, size+by*float64(x[i])*float64(x[i])
		}
	}
	return err, size
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
