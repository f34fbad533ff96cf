package quantize

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// shape is a model without numbers worth speaking of.
type shape struct {
	arch                   string
	layers, heads, kvHeads int
	experts, dim, hidden   int
	untied                 bool
}

func (s shape) open(t *testing.T) *gguf.File {
	t.Helper()
	meta := []gguf.KV{{Key: "general.architecture", Value: s.arch}, {Key: s.arch + ".block_count", Value: uint32(s.layers)},
		{Key: s.arch + ".attention.head_count", Value: uint32(s.heads)}, {Key: s.arch + ".attention.head_count_kv", Value: uint32(s.kvHeads)},
		{Key: s.arch + ".expert_count", Value: uint32(s.experts)}}
	var tensors []gguf.Tensor
	add := func(name string, shape ...int) {
		tensor := gguf.Tensor{Name: name, Type: quant.F16, Shape: shape}
		tensor.Data = make([]byte, 2*tensor.Elements())
		tensors = append(tensors, tensor)
	}
	add("token_embd.weight", s.dim, 4)
	if s.untied {
		add("output.weight", s.dim, 4)
	}
	add("output_norm.weight", s.dim)
	for _, l := range order(s.layers) {
		p := fmt.Sprintf("blk.%d.", l)
		for _, m := range []string{"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"} {
			add(p+m+".weight", s.dim, 4)
		}
		add(p+"attn_norm.weight", s.dim)
		add(p+"ffn_gate_inp.weight", s.dim, 4)
		add(p+"ffn_down.weight", s.hidden, 4)
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, tensors); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse("shape", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// order is that in which a file may have its layers: as text, 10 comes before 2.
func order(layers int) []int {
	var all []int
	for i := range layers {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b int) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

// TestChoose: how many matrices of each type llama-quantize's mixes have for a model of
// the shape of Llama 3 8B. The lists of layers are its, too.
func TestChoose(t *testing.T) {
	llama := shape{arch: "llama", layers: 32, heads: 32, kvHeads: 8, dim: 256, hidden: 512, untied: true}
	for _, c := range []struct {
		mix     string
		shape   shape
		weighed bool
		want    map[string]int
	}{
		{"Q4_K_M", llama, false, map[string]int{"Q4_K": 193, "Q6_K": 33}},
		{"Q4_K_S", llama, false, map[string]int{"Q4_K": 217, "Q5_K": 8, "Q6_K": 1}},
		{"Q5_K_M", llama, false, map[string]int{"Q5_K": 193, "Q6_K": 33}},
		{"Q3_K_M", llama, false, map[string]int{"Q3_K": 129, "Q4_K": 92, "Q5_K": 4, "Q6_K": 1}},
		{"Q3_K_L", llama, false, map[string]int{"Q3_K": 129, "Q5_K": 96, "Q6_K": 1}},
		{"Q2_K", llama, false, map[string]int{"Q2_K": 129, "Q3_K": 64, "Q4_K": 32, "Q6_K": 1}},
		{"Q8_0", llama, false, map[string]int{"Q8_0": 226}},
		{"Q4_0", llama, false, map[string]int{"Q4_0": 225, "Q6_K": 1}},
		{"Q4_0", llama, true, map[string]int{"Q4_0": 221, "Q4_1": 4, "Q6_K": 1}},
		{"IQ4_XS", llama, false, map[string]int{"IQ4_XS": 189, "Q5_K": 36, "Q6_K": 1}},
		{"IQ2_XXS", llama, true, map[string]int{"IQ2_XXS": 188, "Q2_K": 5, "Q4_K": 32, "Q5_K": 1}},
		{"IQ3_XXS", llama, false, map[string]int{"IQ3_XXS": 64, "IQ2_S": 64, "IQ3_S": 33, "Q4_K": 36, "Q3_K": 28, "Q5_K": 1}},
		{"F16", llama, false, map[string]int{"F16": 226}},
	} {
		f := c.shape.open(t)
		mix, ok := Parse(c.mix, false)
		if !ok {
			t.Fatalf("no %s", c.mix)
		}
		got := map[string]int{}
		tensors := f.Tensors()
		for i, kind := range choose(f, mix, c.weighed) {
			if quantizable(tensors[i]) {
				got[kind.String()]++
			} else if kind != quant.F16 {
				t.Errorf("%s: %s is %v", c.mix, tensors[i].Name, kind)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.mix, diff)
		}
	}
}

// TestFallback: rows that are not whole blocks get a type near to the mix's.
func TestFallback(t *testing.T) {
	f := shape{arch: "qwen2", layers: 2, heads: 14, kvHeads: 2, dim: 96, hidden: 256}.open(t)
	for name, want := range map[string]string{"Q4_K_M": "Q5_0", "Q6_K": "Q8_0", "Q5_K_S": "Q5_1", "Q2_K": "Q4_0", "IQ3_S": "IQ4_NL", "IQ4_XS": "IQ4_NL"} {
		mix, _ := Parse(name, false)
		types := choose(f, mix, true)
		if got := types[slices.IndexFunc(f.Tensors(), func(t gguf.Tensor) bool { return t.Name == "blk.1.ffn_up.weight" })]; got.String() != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	odd := gguf.Tensor{Shape: []int{33, 2}}
	if got := fallback(odd, quant.Q4_K); got != quant.F16 {
		t.Errorf("rows of 33: %v", got)
	}
}

func TestParse(t *testing.T) {
	for name, want := range map[string]string{"q4_k": "Q4_K_M", "Q4_K_M": "Q4_K_M", "iq2_xxs": "IQ2_XXS", "Q3_K": "Q3_K_M"} {
		if mix, ok := Parse(name, false); !ok || mix.Name != want {
			t.Errorf("%s: %+v, %v", name, mix, ok)
		}
	}
	if mix, ok := Parse("q4_k", true); !ok || !mix.Pure || mix.Base != quant.Q4_K {
		t.Errorf("%+v, %v", mix, ok)
	}
	for name, pure := range map[string]bool{"Q4_K_M": true, "Q9": false, "I32": true, "": false} {
		if _, ok := Parse(name, pure); ok {
			t.Errorf("%q is taken", name)
		}
	}
	for _, name := range Names() {
		if mix, ok := Parse(name, false); !ok || !slices.Contains(quant.Targets(), mix.Base) {
			t.Errorf("%s cannot be written", name)
		}
	}
}

// TestImportanceFiles: both formats are read as they were written.
func TestImportanceFiles(t *testing.T) {
	m := &Importance{Datasets: []string{"a.txt"}, Chunks: 3, ChunkSize: 4, Entries: map[string]*Entry{}}
	m.Add("blk.0.attn_q.weight", 0, 1, [][]float32{{1, 2, 0}, {3, 0, 0}, {0, 0, 1}, {0, 0, 0}})
	m.Add("blk.0.ffn_up_exps.weight", 1, 3, [][]float32{{2, 4}, {0, 2}})
	m.Entries["blk.1.attn_q.weight"] = &Entry{Sums: make([]float32, 3), Counts: make([]float32, 1)} // nothing was seen
	dir := t.TempDir()
	for name, write := range map[string]func(b *bytes.Buffer) error{
		"m.gguf": func(b *bytes.Buffer) error { return m.Write(b) }, "m.dat": func(b *bytes.Buffer) error { return m.WriteLegacy(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := ReadImportance(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.Chunks != 3 || !slices.Equal(got.Datasets, m.Datasets) || len(got.Entries) != 2 {
			t.Errorf("%s: %+v", name, got)
		}
		if w := got.Entries["blk.0.attn_q.weight"].Columns(0); !slices.Equal(w, []float32{2.5, 1, 0.25}) {
			t.Errorf("%s: %v", name, w)
		}
		all := got.Entries["blk.0.ffn_up_exps.weight"]
		var columns []float32
		for i := range all.Counts {
			columns = append(columns, all.Columns(i)...)
		}
		if !slices.Equal(columns, []float32{1, 1, 2, 10, 1, 1}) {
			t.Errorf("%s: %v", name, columns)
		}
		for cut := range b.Bytes()[:b.Len()-16] { // of a GGUF file only its padding may be missing
			if err := os.WriteFile(path, b.Bytes()[:cut], 0o644); err != nil {
				t.Fatal(err)
			}
			if m, err := ReadImportance(path); err == nil && len(m.Entries) < 2 {
				t.Errorf("%s, cut after %d bytes, is read", name, cut)
			}
		}
	}
}

func TestImportanceRefused(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":    {nil, "fewer bytes"},
		"nothing":  {make([]byte, 12), "it has no entries"},
		"text":     {[]byte("one two three four"), "it has a name of"},
		"negative": {[]byte("\x01\x00\x00\x00\xff\xff\xff\xff"), "it has a name of -1 bytes"},
		"huge":     {[]byte("\x01\x00\x00\x00\x01\x00\x00\x00a\x01\x00\x00\x00\xff\xff\xff\x7f"), "fewer bytes"},
		"nan":      {[]byte("\x01\x00\x00\x00\x01\x00\x00\x00a\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\xc0\x7f"), "has the number NaN"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadImportance(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path+" is no importance matrix: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWrite: a file that was written has the mix's types, its name, and where its
// importance came from.
func TestWrite(t *testing.T) {
	f := shape{arch: "llama", layers: 2, heads: 4, kvHeads: 4, dim: 256, hidden: 256}.open(t)
	m := &Importance{Datasets: []string{"a.txt"}, Chunks: 7, Entries: map[string]*Entry{}}
	m.Add("blk.1.ffn_down.weight", 0, 1, [][]float32{make([]float32, 256)})
	mix, _ := Parse("Q4_K_M", false)
	c, err := Plan(f, mix, m, "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	last := int64(0)
	if err := c.Write(t.Context(), &b, func(_ string, done, total int64) { last = total - done }); err != nil || last != 0 {
		t.Fatalf("%v, %d bytes left", err, last)
	}
	out, err := gguf.Parse("out", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, key := range out.Keys() {
		got[key], _ = out.Value(key)
	}
	for key, want := range map[string]any{"general.file_type": uint32(15), "general.quantization_version": uint32(2), "quantize.imatrix.file": "m.gguf",
		"quantize.imatrix.dataset": "a.txt", "quantize.imatrix.entries_count": uint32(1), "quantize.imatrix.chunks_count": uint32(7)} {
		if got[key] != want {
			t.Errorf("%s is %v in %v", key, got[key], slices.Sorted(maps.Keys(got)))
		}
	}
	if tensor, _ := out.Tensor("token_embd.weight"); tensor.Type != quant.Q6_K {
		t.Errorf("the token table is %v", tensor.Type)
	}
	m.Entries["blk.1.ffn_down.weight"] = &Entry{Sums: make([]float32, 6), Counts: make([]float32, 2)}
	if _, err := Plan(f, mix, m, ""); err == nil || !strings.Contains(err.Error(), "is of another model: for blk.1.ffn_down.weight it has 2 matrices of 3 columns") {
		t.Errorf("%v", err)
	}
	m.Entries = map[string]*Entry{"elsewhere": {Sums: make([]float32, 1), Counts: []float32{1}}}
	if _, err := Plan(f, mix, m, ""); err == nil || !strings.Contains(err.Error(), "none of its 1 tensors") {
		t.Errorf("%v", err)
	}
}
