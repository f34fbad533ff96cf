package gguf

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/penstock-llm/penstock/internal/quant"
)

// tensors reads the descriptions; place finds their bytes.
func (d *decoder) tensors(f *File, count int) {
	f.tensors = make([]Tensor, 0, count)
	f.byName = make(map[string]int, count)
	for i := range count {
		d.subject = fmt.Sprintf("tensor %d of %d", i+1, count)
		t := Tensor{Name: d.name(maxNameBytes)}
		if d.err != nil {
			return
		}
		d.subject = "tensor " + quoted(t.Name)
		if _, ok := f.byName[t.Name]; ok {
			d.fail("appears twice")
		}
		t.Shape = d.shape()
		t.Type = quant.Type(d.uint32("type"))
		offset := d.uint64("offset")
		if offset > 1<<62 {
			d.fail("offset %d is beyond the end of any file", offset)
		}
		if d.err != nil {
			return
		}
		t.offset = int(offset)
		f.byName[t.Name] = i
		f.tensors = append(f.tensors, t)
	}
	d.subject = ""
}

func (d *decoder) shape() []int {
	dims := d.uint32("number of dimensions")
	if d.err == nil && (dims == 0 || dims > maxDims) {
		d.fail("%d dimensions, not 1 to %d", dims, maxDims)
	}
	if d.err != nil {
		return nil
	}
	shape := make([]int, dims)
	for i := range shape {
		n := d.uint64("dimension")
		if d.err == nil && (n == 0 || n > math.MaxInt) {
			d.fail("dimension %d is %d", i, n)
		}
		shape[i] = int(n)
	}
	return shape
}

// place turns offsets, which count from the end of the padded header, into
// views of the file, and checks them.
func (d *decoder) place(f *File) {
	if d.err != nil {
		return
	}
	alignment := d.alignment(f)
	if d.err != nil || len(f.tensors) == 0 {
		return // a file without tensors may end right after the metadata
	}
	origin := (uint64(d.pos) + alignment - 1) &^ (alignment - 1)
	end := uint64(0) // of the file, if it were complete
	for i := range f.tensors {
		t := &f.tensors[i]
		d.subject = "tensor " + quoted(t.Name)
		size, err := dataBytes(*t)
		start := origin + uint64(t.offset)
		switch {
		case err != nil:
			d.fail("%v", err)
		case uint64(t.offset)%alignment != 0:
			d.fail("offset %d is not a multiple of the alignment, %d", t.offset, alignment)
		}
		if d.err != nil {
			return
		}
		t.offset = int(start)
		end = max(end, start+uint64(size))
		if end <= uint64(len(d.data)) {
			t.Data = d.data[start:][:size:size]
		}
	}
	d.subject = ""
	if end > uint64(len(d.data)) {
		d.fail("is incomplete: %d of %d bytes are here, fetch it again", len(d.data), end)
		return
	}
	d.separate(f.tensors)
}

// alignment is the multiple at which the file's tensors begin, a power of two.
func (d *decoder) alignment(f *File) uint64 {
	v, ok := f.Value(alignmentKey)
	if !ok {
		return defaultAlignment
	}
	n, ok := v.(uint32)
	if !ok || bits.OnesCount32(n) != 1 {
		d.subject = "key " + quoted(alignmentKey)
		d.fail("%v (%T) is not a power of two of type uint32", printable(v), v)
	}
	return uint64(n)
}

// printable keeps arrays and long strings out of messages.
func printable(v any) any {
	switch v.(type) {
	case uint8, int8, uint16, int16, uint32, int32, uint64, int64, float32, float64, bool:
		return v
	}
	return "value"
}

// separate refuses tensors that share bytes.
func (d *decoder) separate(tensors []Tensor) {
	byOffset := slices.Clone(tensors)
	slices.SortFunc(byOffset, func(a, b Tensor) int { return cmp.Compare(a.offset, b.offset) })
	for i, t := range byOffset[1:] {
		if before := byOffset[i]; t.offset < before.offset+len(before.Data) {
			d.subject = "tensor " + quoted(t.Name)
			d.fail("overlaps tensor %s", quoted(before.Name))
		}
	}
}

// dataBytes is how many bytes of data a tensor of t's type and shape has. Both come
// from the file and may make no sense, which is the error.
func dataBytes(t Tensor) (int, error) {
	if !t.Type.Known() {
		return 0, fmt.Errorf("type %d is not known", uint32(t.Type))
	}
	if cols, block := t.Shape[0], t.Type.BlockSize(); cols%block != 0 {
		return 0, fmt.Errorf("rows of %d elements are not whole blocks of %d (%v)", cols, block, t.Type)
	}
	blocks := uint64(t.Shape[0] / t.Type.BlockSize())
	for _, n := range append(t.Shape[1:len(t.Shape):len(t.Shape)], t.Type.BlockBytes()) {
		hi, lo := bits.Mul64(blocks, uint64(n))
		if hi != 0 || lo > math.MaxInt {
			return 0, fmt.Errorf("shape %v of %v overflows", t.Shape, t.Type)
		}
		blocks = lo
	}
	return int(blocks), nil
}
