// Package safetensors opens models as Hugging Face keeps them: a folder with weights
// in safetensors files, config.json, and a tokenizer. It translates them to what a
// GGUF file of the same model would say, so that all other packages know one kind of
// file only. Weights stay where they are and as they are.
//
// The files may come from anybody. Whatever is wrong with them is an error of one
// line that names the file and what in it. The package runs nothing of a folder.
//
// Whoever opens a model calls Open, which takes GGUF files, too: the commands, packages
// instance and serving. Package hub writes folders that it has fetched as GGUF files.
// Reading order: safetensors.go, folder.go, families.go, vocabulary.go.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/quant"
)

// maxHeader is the longest header that the format allows.
const maxHeader = 100 << 20

// entry is one tensor of a file.
type entry struct {
	name  string
	dtype string
	shape []int // the contiguous size last
	data  []byte
}

// dtypes are the formats of numbers that weights may have.
var dtypes = map[string]quant.Type{"F32": quant.F32, "F16": quant.F16, "BF16": quant.BF16}

// widths are the bytes of a number of each format that a file may have.
var widths = map[string]int{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}

// parse reads the header of a file: eight bytes with its length, then a JSON object
// with each tensor's format, shape and place in what follows. The places must cover
// that without gaps and without overlapping.
func parse(data []byte) ([]entry, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("%d bytes are no safetensors file", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	data = data[8:]
	if n > maxHeader || n > uint64(len(data)) {
		return nil, fmt.Errorf("a header of %d bytes, in a file with %d after its length", n, len(data))
	}
	header, body := data[:n], data[n:]
	if !bytes.HasPrefix(header, []byte("{")) {
		return nil, errors.New("the header is no JSON object")
	}
	places, err := decode(header)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	entries := make([]entry, len(places))
	for i, p := range places {
		if entries[i], err = p.entry(body); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", brief(p.name), err)
		}
	}
	return entries, cover(places, len(body))
}

// place is what a header says of one tensor.
type place struct {
	name    string
	DType   string   `json:"dtype"`
	Shape   []uint64 `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
}

// decode reads the header's object. It looks at each name, because of two entries with
// one name a plain map would silently keep the last.
func decode(header []byte) ([]place, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var places []place
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := token.(string) // the keys of an object are
		if seen[name] {
			return nil, fmt.Errorf("tensor %q twice", brief(name))
		}
		seen[name] = true
		if name == "__metadata__" {
			var notes map[string]string
			if err := d.Decode(&notes); err != nil {
				return nil, err
			}
			continue
		}
		p := place{name: name}
		if err := d.Decode(&p); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", brief(name), err)
		}
		places = append(places, p)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return places, nil
}

// entry checks a place against the bytes after the header.
func (p *place) entry(body []byte) (entry, error) {
	width, ok := widths[p.DType]
	if !ok {
		return entry{}, fmt.Errorf("format %q is not known", brief(p.DType))
	}
	if len(p.Offsets) != 2 || p.Offsets[0] > p.Offsets[1] || p.Offsets[1] > uint64(len(body)) {
		return entry{}, fmt.Errorf("it lies at %v of %d bytes", p.Offsets, len(body))
	}
	e := entry{name: p.name, dtype: p.DType, data: body[p.Offsets[0]:p.Offsets[1]:p.Offsets[1]]}
	size := uint64(width)
	for _, n := range p.Shape {
		if n > math.MaxInt32 || n > 0 && size > math.MaxInt64/n {
			return entry{}, fmt.Errorf("a shape of %v", p.Shape)
		}
		size *= n
		e.shape = append(e.shape, int(n))
	}
	if size != uint64(len(e.data)) {
		return entry{}, fmt.Errorf("%d bytes for a shape of %v in %s", len(e.data), p.Shape, p.DType)
	}
	return e, nil
}

// cover checks that the places lie one after the other.
func cover(places []place, size int) error {
	sorted := slices.Clone(places)
	slices.SortStableFunc(sorted, func(a, b place) int {
		return slices.Compare(a.Offsets, b.Offsets)
	})
	end := uint64(0)
	for _, p := range sorted {
		switch {
		case p.Offsets[0] < end:
			return fmt.Errorf("tensor %q overlaps another", brief(p.name))
		case p.Offsets[0] > end:
			return fmt.Errorf("%d bytes before tensor %q belong to none", p.Offsets[0]-end, brief(p.name))
		}
		end = p.Offsets[1]
	}
	if end != uint64(size) {
		return fmt.Errorf("%d bytes after the last tensor belong to none", uint64(size)-end)
	}
	return nil
}

// brief keeps a name from a file short, and on one line.
func brief(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
