package quantize

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Importance is an importance matrix: how large the inputs of each matrix are, by column,
// over a text. Errors in columns with large inputs cost most. Files are those of
// llama-imatrix, in either of its formats.
type Importance struct {
	Datasets  []string // texts that it was made from
	Chunks    int      // of the text
	ChunkSize int      // tokens
	Entries   map[string]*Entry
}

// Entry is what was seen at the inputs of a tensor: of a tensor of experts for each of
// them.
type Entry struct {
	Sums   []float32 // of squares: [matrices][columns]
	Counts []float32 // rows that the sums are of: [matrices]
}

// Columns are the mean squares of the columns of matrix i; 1 for all where nothing was
// seen.
func (e *Entry) Columns(i int) []float32 {
	n := len(e.Sums) / len(e.Counts)
	w := make([]float32, n)
	for c, sum := range e.Sums[i*n:][:n] {
		w[c] = 1
		if e.Counts[i] > 0 {
			w[c] = sum / e.Counts[i]
		}
	}
	return w
}

// Suffixes of the tensors of an entry.
const (
	sumsSuffix   = ".in_sum2"
	countsSuffix = ".counts"
)

// maxText bounds the names in the older format.
const maxText = 1 << 16

// ReadImportance reads a file of llama-imatrix: GGUF, or the format that it had before.
func ReadImportance(path string) (*Importance, error) {
	head := make([]byte, 4)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, fmt.Errorf("%s is no importance matrix: it has %w", path, errShort)
	}
	var m *Importance
	if string(head) == "GGUF" {
		m, err = readGGUF(path)
	} else {
		m, err = readLegacy(io.MultiReader(bytes.NewReader(head), bufio.NewReader(f)))
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no importance matrix: %w", path, err)
	}
	return m, nil
}

var errShort = errors.New("fewer bytes than its beginning says")

// check refuses a matrix with numbers that mean nothing.
func (m *Importance) check() error {
	if len(m.Entries) == 0 {
		return errors.New("it has no entries")
	}
	for name, e := range m.Entries {
		if len(e.Counts) == 0 || len(e.Sums) == 0 || len(e.Sums)%len(e.Counts) != 0 {
			return fmt.Errorf("%.80q has %d sums and %d counts", name, len(e.Sums), len(e.Counts))
		}
		for _, v := range slices.Concat(e.Sums, e.Counts) {
			if !(v >= 0) || math.IsInf(float64(v), 0) {
				return fmt.Errorf("%.80q has the number %v", name, v)
			}
		}
	}
	return nil
}

func readGGUF(path string) (*Importance, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if kind, _ := f.Str("general.type"); kind != "imatrix" {
		return nil, errors.New("it is a model, or something else: llama-imatrix and penstock imatrix make what is wanted")
	}
	m := &Importance{Entries: map[string]*Entry{}}
	m.Datasets, _ = f.Strs("imatrix.datasets")
	chunks, _ := f.Int("imatrix.chunk_count")
	size, _ := f.Int("imatrix.chunk_size")
	m.Chunks, m.ChunkSize = int(chunks), int(size)
	for _, t := range f.Tensors() {
		name, ok := strings.CutSuffix(t.Name, sumsSuffix)
		if !ok {
			continue
		}
		counts, ok := f.Tensor(name + countsSuffix)
		if !ok {
			return nil, fmt.Errorf("%.80q has no counts", name)
		}
		e := &Entry{Sums: make([]float32, t.Elements()), Counts: make([]float32, counts.Elements())}
		if err := errors.Join(quant.Dequantize(t.Type, e.Sums, t.Data), quant.Dequantize(counts.Type, e.Counts, counts.Data)); err != nil {
			return nil, err
		}
		m.Entries[name] = e
	}
	return m, nil
}

// readLegacy reads the older format: the number of entries, each with its name, how many
// chunks it is of, and its mean squares times that number; then the chunks, and the text.
func readLegacy(r io.Reader) (*Importance, error) {
	var failed error
	number := func() (n int32) {
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil && failed == nil {
			failed = errShort
		}
		return n
	}
	text := func() string {
		n := number()
		if failed == nil && (n < 0 || n > maxText) {
			failed = fmt.Errorf("it has a name of %d bytes", n)
		}
		if failed != nil {
			return ""
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			failed = errShort
		}
		return string(b)
	}
	m := &Importance{Entries: map[string]*Entry{}}
	count := number()
	for i := int32(0); i < count && failed == nil; i++ {
		name, calls, n := text(), number(), number()
		var data bytes.Buffer
		if failed == nil && n > 0 {
			if got, _ := io.CopyN(&data, r, 4*int64(n)); got != 4*int64(n) {
				failed = errShort
			}
		}
		if failed != nil {
			break
		}
		e := &Entry{Sums: make([]float32, n), Counts: []float32{float32(max(calls, 1))}}
		if err := quant.Dequantize(quant.F32, e.Sums, data.Bytes()); err != nil {
			return nil, err
		}
		m.Entries[name] = e
	}
	if failed != nil {
		return nil, failed
	}
	if m.Chunks = int(number()); failed == nil { // older files end before it
		if name := text(); failed == nil {
			m.Datasets = []string{name}
		}
	}
	return m, nil
}

// Write writes the matrix as GGUF.
func (m *Importance) Write(w io.Writer) error {
	meta := []gguf.KV{
		{Key: "general.type", Value: "imatrix"},
		{Key: "imatrix.datasets", Value: m.Datasets},
		{Key: "imatrix.chunk_count", Value: uint32(m.Chunks)},
		{Key: "imatrix.chunk_size", Value: uint32(m.ChunkSize)},
	}
	var tensors []gguf.Tensor
	for _, name := range m.names() {
		e := m.Entries[name]
		mats := len(e.Counts)
		tensors = append(tensors,
			gguf.Tensor{Name: name + sumsSuffix, Type: quant.F32, Shape: []int{len(e.Sums) / mats, mats}, Data: bytesOf(e.Sums)},
			gguf.Tensor{Name: name + countsSuffix, Type: quant.F32, Shape: []int{1, mats}, Data: bytesOf(e.Counts)})
	}
	return gguf.Write(w, meta, tensors)
}

// WriteLegacy writes the matrix in the older format, in which experts that were never used
// count 1 in every column.
func (m *Importance) WriteLegacy(w io.Writer) error {
	out := bufio.NewWriter(w)
	number := func(n int) { binary.Write(out, binary.LittleEndian, int32(n)) }
	text := func(s string) { number(len(s)); out.WriteString(s) }
	names := m.names()
	number(len(names))
	for _, name := range names {
		e := m.Entries[name]
		calls := 1
		if m.ChunkSize > 0 {
			calls = max(1, (int(slices.Max(e.Counts))+m.ChunkSize-1)/m.ChunkSize)
		}
		text(name)
		number(calls)
		number(len(e.Sums))
		for i := range e.Counts {
			for _, v := range e.Columns(i) {
				binary.Write(out, binary.LittleEndian, v*float32(calls))
			}
		}
	}
	number(m.Chunks)
	dataset := ""
	if len(m.Datasets) > 0 {
		dataset = m.Datasets[len(m.Datasets)-1]
	}
	text(dataset)
	return out.Flush()
}

// names lists the entries of which something was seen.
func (m *Importance) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.Entries)), func(name string) bool { return slices.Max(m.Entries[name].Counts) == 0 })
}

func bytesOf(v []float32) []byte {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
	return b
}

// Add adds rows that were the inputs of matrix i of a tensor of so many matrices.
func (m *Importance) Add(name string, i, matrices int, rows [][]float32) {
	if len(rows) == 0 {
		return
	}
	e := m.Entries[name]
	if e == nil {
		e = &Entry{Sums: make([]float32, matrices*len(rows[0])), Counts: make([]float32, matrices)}
		m.Entries[name] = e
	}
	sums := e.Sums[i*len(rows[0]):][:len(rows[0])]
	for _, row := range rows {
		for c, v := range row {
			sums[c] += v * v
		}
	}
	e.Counts[i] += float32(len(rows))
}
