package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"unicode/utf8"
)

// Write writes a version 3 file: meta in its order, then the tensors with the
// bytes in their Data. A general.alignment in meta is obeyed.
func Write(w io.Writer, meta []KV, tensors []Tensor) error {
	return WriteFunc(w, meta, tensors, func(i int) ([]byte, error) { return tensors[i].Data, nil })
}

// WriteFunc is Write for files larger than memory: it ignores the tensors' Data
// and asks data for the bytes of each tensor, one after the other. They may
// share a buffer.
func WriteFunc(w io.Writer, meta []KV, tensors []Tensor, data func(i int) ([]byte, error)) error {
	e := encoder{alignment: defaultAlignment}
	if err := e.header(meta, tensors); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	out := bufio.NewWriterSize(w, 1<<20)
	if len(tensors) > 0 {
		e.pad()
	}
	out.Write(e.buf) // a bufio.Writer keeps its first error, and Flush reports it
	for i, t := range tensors {
		b, err := data(i)
		if err != nil {
			return fmt.Errorf("writing: tensor %s: %w", quoted(t.Name), err)
		}
		if size, _ := dataBytes(t); len(b) != size {
			return fmt.Errorf("writing: tensor %s: %d bytes of data, but %v of shape %v has %d", quoted(t.Name), len(b), t.Type, t.Shape, size)
		}
		out.Write(b)
		out.Write(make([]byte, padding(len(b), e.alignment)))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// padding is how many bytes are missing from n to the next multiple of alignment.
func padding(n, alignment int) int { return -n & (alignment - 1) }

// encoder collects the header.
type encoder struct {
	buf       []byte
	alignment int // a power of two
}

func (e *encoder) pad() { e.buf = append(e.buf, make([]byte, padding(len(e.buf), e.alignment))...) }

func (e *encoder) uint32(v uint32) { e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }
func (e *encoder) uint64(v int)    { e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(v)) }
func (e *encoder) string(s string) { e.uint64(len(s)); e.buf = append(e.buf, s...) }

func (e *encoder) header(meta []KV, tensors []Tensor) error {
	e.buf = append(e.buf, magic...)
	e.uint32(3)
	e.uint64(len(tensors))
	e.uint64(len(meta))
	seen := make(map[string]bool)
	for _, kv := range meta {
		if err := e.entry(kv, seen); err != nil {
			return fmt.Errorf("key %s: %w", quoted(kv.Key), err)
		}
	}
	clear(seen)
	offset := 0
	for _, t := range tensors {
		size, err := e.tensor(t, offset, seen)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quoted(t.Name), err)
		}
		offset += size + padding(size, e.alignment)
	}
	return nil
}

func (e *encoder) name(name string, limit int, seen map[string]bool) error {
	switch {
	case name == "" || len(name) > limit || !utf8.ValidString(name):
		return fmt.Errorf("a name must be UTF-8 of 1 to %d bytes", limit)
	case seen[name]:
		return fmt.Errorf("appears twice")
	}
	seen[name] = true
	e.string(name)
	return nil
}

func (e *encoder) entry(kv KV, seen map[string]bool) error {
	if err := e.name(kv.Key, maxKeyBytes, seen); err != nil {
		return err
	}
	if kv.Key == alignmentKey {
		n, ok := kv.Value.(uint32)
		if !ok || bits.OnesCount32(n) != 1 {
			return fmt.Errorf("%v (%T) is not a power of two of type uint32", printable(kv.Value), kv.Value)
		}
		e.alignment = int(n)
	}
	if k, ok := scalarKind(kv.Value); ok {
		e.uint32(uint32(k))
		return e.payload(kv.Value)
	}
	e.uint32(uint32(kindArray))
	return e.array(kv.Value, 0)
}

// array writes an array's element type, count and elements.
func (e *encoder) array(v any, depth int) error {
	element, count, ok := arrayKind(v)
	if !ok {
		return fmt.Errorf("a value of type %T cannot be stored", v)
	}
	e.uint32(uint32(element))
	e.uint64(count)
	if element != kindArray {
		return e.payload(v)
	}
	if depth++; depth > maxNesting {
		return fmt.Errorf("arrays are nested more than %d deep", maxNesting)
	}
	for _, inner := range v.([]any) {
		if err := e.array(inner, depth); err != nil {
			return err
		}
	}
	return nil
}

// payload writes a scalar, or the elements of a slice of scalars.
func (e *encoder) payload(v any) (err error) {
	switch v := v.(type) {
	case string:
		e.string(v)
	case []string:
		for _, s := range v {
			e.string(s)
		}
	default:
		e.buf, err = binary.Append(e.buf, binary.LittleEndian, v)
	}
	return err
}

func (e *encoder) tensor(t Tensor, offset int, seen map[string]bool) (size int, err error) {
	if err := e.name(t.Name, maxNameBytes, seen); err != nil {
		return 0, err
	}
	if len(t.Shape) == 0 || len(t.Shape) > maxDims {
		return 0, fmt.Errorf("%d dimensions, not 1 to %d", len(t.Shape), maxDims)
	}
	e.uint32(uint32(len(t.Shape)))
	for i, n := range t.Shape {
		if n <= 0 {
			return 0, fmt.Errorf("dimension %d is %d", i, n)
		}
		e.uint64(n)
	}
	e.uint32(uint32(t.Type))
	e.uint64(offset)
	return dataBytes(t)
}
