package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// A file is: magic, version, number of tensors, number of keys; the keys with
// their values; name, shape, type and offset of each tensor; padding to the
// alignment; the tensors' bytes. All numbers are little-endian.

const (
	magic            = "GGUF"
	alignmentKey     = "general.alignment"
	defaultAlignment = 32

	maxKeyBytes  = 1<<16 - 1 // the specification's limits
	maxNameBytes = 64
	maxDims      = 4
	maxNesting   = 4 // of arrays in arrays; no known file has any

	// The fewest bytes that a key with its value, or the description of a tensor,
	// can take in the file. A file that announces more of them than fit is refused
	// before anything is allocated.
	minKVBytes     = 8 + 1 + 4 + 1
	minTensorBytes = 8 + 1 + 4 + 8 + 4 + 8
)

// incomplete is added to errors that a file has if its download broke off.
const incomplete = ": it is incomplete or damaged, fetch it again"

// decoder reads a file front to back. It keeps the first error; after that, every
// read returns a zero value. Callers therefore check the error only in loops and
// at the end.
type decoder struct {
	data    []byte
	pos     int
	subject string // what is being read
	err     *FormatError
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = &FormatError{Subject: d.subject, Reason: fmt.Sprintf(format, args...)}
	}
}

// take returns the next n bytes, nil if there are fewer or after an error.
func (d *decoder) take(n uint64, what string) []byte {
	if d.err != nil {
		return nil
	}
	if rest := len(d.data) - d.pos; n > uint64(rest) {
		d.fail("%s of %d bytes at offset %d goes beyond the end of the file (%d bytes)"+incomplete, what, n, d.pos, len(d.data))
		return nil
	}
	b := d.data[d.pos:][:n:n]
	d.pos += int(n)
	return b
}

func (d *decoder) uint32(what string) uint32 {
	if b := d.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64(what string) uint64 {
	if b := d.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a number of things that take at least size bytes each. It refuses a
// number that the rest of the file cannot hold, since the caller allocates room
// for so many.
func (d *decoder) count(size int, what string) int {
	n := d.uint64("number of " + what)
	if rest := len(d.data) - d.pos; n > uint64(rest/size) {
		d.fail("%d %s do not fit in the remaining %d bytes"+incomplete, n, what, rest)
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

// name reads the name of a key or tensor.
func (d *decoder) name(limit uint64) string {
	n := d.uint64("length of name")
	if n == 0 {
		d.fail("empty name")
	}
	if n > limit {
		d.fail("name of %d bytes, more than %d", n, limit)
	}
	b := d.take(n, "name")
	if !utf8.Valid(b) {
		d.fail("name %s is not UTF-8", quoted(string(b)))
	}
	return string(b)
}

func (d *decoder) file() *File {
	f := &File{}
	if !bytes.HasPrefix(d.data, []byte(magic)) {
		d.fail("%s", foreign(d.data))
		return nil
	}
	d.pos = len(magic)
	f.version = d.uint32("version")
	switch {
	case d.err != nil:
	case f.version>>16 != 0 && f.version&0xffff == 0:
		d.fail("big-endian files are not supported")
	case f.version != 2 && f.version != 3:
		d.fail("version %d is not supported, only 2 and 3 are", f.version)
	}
	tensors := d.count(minTensorBytes, "tensors")
	keys := d.count(minKVBytes, "keys")
	d.metadata(f, keys)
	d.tensors(f, tensors)
	d.place(f)
	return f
}

func (d *decoder) metadata(f *File, count int) {
	f.meta = make([]KV, 0, count)
	f.byKey = make(map[string]int, count)
	for i := range count {
		d.subject = fmt.Sprintf("key %d of %d", i+1, count)
		key := d.name(maxKeyBytes)
		if d.err != nil {
			return
		}
		d.subject = "key " + quoted(key)
		if _, ok := f.byKey[key]; ok {
			d.fail("appears twice")
		}
		value := d.value(kind(d.uint32("type")), 0)
		if d.err != nil {
			return
		}
		f.byKey[key] = i
		f.meta = append(f.meta, KV{key, value})
	}
	d.subject = ""
}

// quoted makes a name from a file fit to print: one line of moderate length.
func quoted(name string) string {
	if len(name) > 100 {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(name[:100], ""))
	}
	return fmt.Sprintf("%q", name)
}

func (d *decoder) value(k kind, depth int) any {
	switch k {
	case kindString:
		return string(d.take(d.uint64("length of string"), "string"))
	case kindArray:
		return d.array(depth)
	}
	if int(k) >= len(kindBytes) {
		d.fail("value of unknown type %d", uint32(k))
		return nil
	}
	b := d.take(uint64(kindBytes[k]), "value")
	if b == nil {
		return nil
	}
	switch k {
	case kindUint8:
		return b[0]
	case kindInt8:
		return int8(b[0])
	case kindUint16:
		return binary.LittleEndian.Uint16(b)
	case kindInt16:
		return int16(binary.LittleEndian.Uint16(b))
	case kindUint32:
		return binary.LittleEndian.Uint32(b)
	case kindInt32:
		return int32(binary.LittleEndian.Uint32(b))
	case kindFloat32:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case kindUint64:
		return binary.LittleEndian.Uint64(b)
	case kindInt64:
		return int64(binary.LittleEndian.Uint64(b))
	case kindFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return d.bools(b)[0]
}

func (d *decoder) array(depth int) any {
	k := kind(d.uint32("type of array"))
	if int(k) >= len(kindBytes) {
		d.fail("array of unknown type %d", uint32(k))
		return nil
	}
	n := d.count(kindBytes[k], "array elements")
	switch k {
	case kindString:
		return d.strings(n)
	case kindArray:
		return d.arrays(n, depth+1)
	}
	b := d.take(uint64(n*kindBytes[k]), "array")
	if d.err != nil {
		return nil
	}
	switch k {
	case kindUint8:
		return numbers[uint8](b, n)
	case kindInt8:
		return numbers[int8](b, n)
	case kindUint16:
		return numbers[uint16](b, n)
	case kindInt16:
		return numbers[int16](b, n)
	case kindUint32:
		return numbers[uint32](b, n)
	case kindInt32:
		return numbers[int32](b, n)
	case kindFloat32:
		return numbers[float32](b, n)
	case kindUint64:
		return numbers[uint64](b, n)
	case kindInt64:
		return numbers[int64](b, n)
	case kindFloat64:
		return numbers[float64](b, n)
	}
	return d.bools(b)
}

func numbers[T number](b []byte, n int) []T {
	v := make([]T, n)
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		panic(err) // b is exactly n numbers long
	}
	return v
}

func (d *decoder) bools(b []byte) []bool {
	v := make([]bool, len(b))
	for i, x := range b {
		if x > 1 {
			d.fail("truth value %d is neither 0 nor 1", x)
		}
		v[i] = x == 1
	}
	return v
}

// strings reads n strings. A vocabulary has hundreds of thousands of them: they
// are copied in one piece, so that they neither keep the file open nor cost an
// allocation each.
func (d *decoder) strings(n int) []string {
	start := d.pos
	spans := make([]int, n) // where each string ends; the length of the next one follows
	for i := range spans {
		if d.take(d.uint64("length of string"), "string"); d.err != nil {
			return nil
		}
		spans[i] = d.pos
	}
	all := string(d.data[start:d.pos])
	v := make([]string, n)
	from := start
	for i, end := range spans {
		v[i] = all[from-start+8 : end-start]
		from = end
	}
	return v
}

func (d *decoder) arrays(n, depth int) []any {
	if depth > maxNesting {
		d.fail("arrays are nested more than %d deep", maxNesting)
		return nil
	}
	v := make([]any, n)
	for i := range v {
		if v[i] = d.array(depth); d.err != nil {
			return nil
		}
	}
	return v
}
