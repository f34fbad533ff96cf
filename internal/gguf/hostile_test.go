package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/quant"
)

// raw builds a file field by field, so that each can be wrong. Strings are
// written with their length.
func raw(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch f := f.(type) {
		case []byte:
			b = append(b, f...)
		case string:
			b = binary.LittleEndian.AppendUint64(b, uint64(len(f)))
			b = append(b, f...)
		default:
			var err error
			if b, err = binary.Append(b, binary.LittleEndian, f); err != nil {
				panic(err)
			}
		}
	}
	return b
}

// header is the start of a file with counts of tensors and keys.
func header(tensors, keys uint64, fields ...any) []byte {
	return append(raw([]byte("GGUF"), uint32(3), tensors, keys), raw(fields...)...)
}

// key is a file with one key, k, of the given type and bytes.
func key(k kind, fields ...any) []byte {
	return append(header(0, 1, "k", uint32(k)), raw(fields...)...)
}

// tensor is a file with one tensor, t, at offset, and 64 bytes of data.
func tensor(typ quant.Type, offset uint64, dims ...uint64) []byte {
	return padded(header(1, 0, "t", uint32(len(dims)), dims, uint32(typ), offset), 64)
}

// padded aligns a header and adds n bytes of data.
func padded(b []byte, n int) []byte {
	return append(b, make([]byte, padding(len(b), defaultAlignment)+n)...)
}

// nested is an array k levels deep.
func nested(k int) []byte {
	var b []byte
	for range k {
		b = append(b, raw(uint32(kindArray), uint64(1))...)
	}
	return append(b, raw(uint32(kindBool), uint64(1), true)...)
}

const huge = uint64(1) << 60

var hostile = []struct {
	name string
	data []byte
	want string // after "bad.gguf: "
}{
	{"empty", nil, `is empty: the download has not begun or has failed, fetch it again`},
	{"something else", []byte("a text of some length"), `not a GGUF file: it begins with "a text o"`},
	{"magic only", []byte("GGUF"), `version of 4 bytes at offset 4 goes beyond the end of the file (4 bytes): it is incomplete or damaged, fetch it again`},
	{"version 1", raw([]byte("GGUF"), uint32(1), uint32(0), uint32(0)), `version 1 is not supported, only 2 and 3 are`},
	{"version 4", raw([]byte("GGUF"), uint32(4), uint64(0), uint64(0)), `version 4 is not supported, only 2 and 3 are`},
	{"big-endian", raw([]byte("GGUF"), uint32(3<<24), uint64(0), uint64(0)), `big-endian files are not supported`},
	{"no counts", raw([]byte("GGUF"), uint32(3), uint32(0)), `number of tensors of 8 bytes at offset 8 goes beyond the end of the file (12 bytes): it is incomplete or damaged, fetch it again`},
	{"absurd number of tensors", header(huge, 0), `1152921504606846976 tensors do not fit in the remaining 8 bytes: it is incomplete or damaged, fetch it again`},
	{"absurd number of keys", header(0, math.MaxUint64), `18446744073709551615 keys do not fit in the remaining 0 bytes: it is incomplete or damaged, fetch it again`},
	{"more keys than bytes", header(0, 3, make([]byte, 41)), `3 keys do not fit in the remaining 41 bytes: it is incomplete or damaged, fetch it again`},

	{"key without name", header(0, 1, "", uint32(kindBool), true, []byte{0}), `key 1 of 1: empty name`},
	{"key name too long", header(0, 1, strings.Repeat("x", 65536), uint32(kindBool), true), `key 1 of 1: name of 65536 bytes, more than 65535`},
	{"key name beyond end", header(0, 1, uint64(40), make([]byte, 10)), `key 1 of 1: name of 40 bytes at offset 32 goes beyond the end of the file (42 bytes): it is incomplete or damaged, fetch it again`},
	{"key name of 2^64-1 bytes", header(0, 1, uint64(math.MaxUint64), make([]byte, 10)), `key 1 of 1: name of 18446744073709551615 bytes, more than 65535`},
	{"key name not UTF-8", header(0, 1, "a\xff\n", uint32(kindBool), true), `key 1 of 1: name "a\xff\n" is not UTF-8`},
	{"key with line feed", header(0, 1, "a\nb", uint32(77), uint8(0)), `key "a\nb": value of unknown type 77`},
	{"same key twice", header(0, 2, "k", uint32(kindBool), true, "k", uint32(kindBool), true), `key "k": appears twice`},
	{"second key missing", header(0, 2, "k", uint32(kindBool), true, uint64(9), make([]byte, 8)), `key 2 of 2: name of 9 bytes at offset 46 goes beyond the end of the file (54 bytes): it is incomplete or damaged, fetch it again`},
	{"value cut off", key(kindUint64, uint32(1)), `key "k": value of 8 bytes at offset 37 goes beyond the end of the file (41 bytes): it is incomplete or damaged, fetch it again`},
	{"value of unknown type", key(13, uint64(0)), `key "k": value of unknown type 13`},
	{"truth value", key(kindBool, uint8(2)), `key "k": truth value 2 is neither 0 nor 1`},
	{"string beyond end", key(kindString, uint64(3), []byte("ab")), `key "k": string of 3 bytes at offset 45 goes beyond the end of the file (47 bytes): it is incomplete or damaged, fetch it again`},
	{"string of 2^63 bytes", key(kindString, uint64(1)<<63), `key "k": string of 9223372036854775808 bytes at offset 45 goes beyond the end of the file (45 bytes): it is incomplete or damaged, fetch it again`},

	{"array of unknown type", key(kindArray, uint32(99), uint64(0)), `key "k": array of unknown type 99`},
	{"array of absurd length", key(kindArray, uint32(kindFloat64), huge), `key "k": 1152921504606846976 array elements do not fit in the remaining 0 bytes: it is incomplete or damaged, fetch it again`},
	{"array whose bytes overflow", key(kindArray, uint32(kindFloat64), uint64(1)<<61+1, make([]byte, 8)), `key "k": 2305843009213693953 array elements do not fit in the remaining 8 bytes: it is incomplete or damaged, fetch it again`},
	{"array of strings too long", key(kindArray, uint32(kindString), uint64(5), make([]byte, 39)), `key "k": 5 array elements do not fit in the remaining 39 bytes: it is incomplete or damaged, fetch it again`},
	{"string in array beyond end", key(kindArray, uint32(kindString), uint64(2), "a", uint64(99)), `key "k": string of 99 bytes at offset 66 goes beyond the end of the file (66 bytes): it is incomplete or damaged, fetch it again`},
	{"truth value in array", key(kindArray, uint32(kindBool), uint64(3), []byte{0, 1, 7}), `key "k": truth value 7 is neither 0 nor 1`},
	{"arrays too deep", key(kindArray, nested(5)), `key "k": arrays are nested more than 4 deep`},
	{"arrays absurdly deep", key(kindArray, nested(1e5)), `key "k": arrays are nested more than 4 deep`},
	{"array in array cut off", key(kindArray, uint32(kindArray), uint64(1), uint32(kindInt8), uint64(9), make([]byte, 8)), `key "k": 9 array elements do not fit in the remaining 8 bytes: it is incomplete or damaged, fetch it again`},

	{"tensor without name", padded(header(1, 0, "", uint32(1), uint64(4), uint32(0), uint64(0)), 64), `tensor 1 of 1: empty name`},
	{"tensor name too long", padded(header(1, 0, strings.Repeat("x", 65), uint32(1), uint64(4), uint32(0), uint64(0)), 64), `tensor 1 of 1: name of 65 bytes, more than 64`},
	{"tensor name not UTF-8", padded(header(1, 0, "\xc0", uint32(1), uint64(4), uint32(0), uint64(0)), 64), `tensor 1 of 1: name "\xc0" is not UTF-8`},
	{"same tensor twice", padded(header(2, 0, "t", uint32(1), uint64(4), uint32(0), uint64(0), "t", uint32(1), uint64(4), uint32(0), uint64(32)), 64), `tensor "t": appears twice`},
	{"tensors overlap", padded(header(2, 0, "b", uint32(1), uint64(8), uint32(0), uint64(32), "a", uint32(1), uint64(9), uint32(0), uint64(0)), 64), `tensor "b": overlaps tensor "a"`},
	{"no dimensions", tensor(quant.F32, 0), `tensor "t": 0 dimensions, not 1 to 4`},
	{"five dimensions", tensor(quant.F32, 0, 1, 1, 1, 1, 1), `tensor "t": 5 dimensions, not 1 to 4`},
	{"2^32-1 dimensions", padded(header(1, 0, "t", uint32(math.MaxUint32), uint64(4)), 64), `tensor "t": 4294967295 dimensions, not 1 to 4`},
	{"zero dimension", tensor(quant.F32, 0, 4, 0), `tensor "t": dimension 1 is 0`},
	{"negative dimension", tensor(quant.F32, 0, math.MaxUint64), `tensor "t": dimension 0 is 18446744073709551615`},
	{"elements overflow", tensor(quant.F32, 0, 1<<32, 1<<31, 2), `tensor "t": shape [4294967296 2147483648 2] of F32 overflows`},
	{"elements overflow to zero", tensor(quant.F32, 0, 1<<32, 1<<32), `tensor "t": shape [4294967296 4294967296] of F32 overflows`},
	{"bytes overflow", tensor(quant.F64, 0, 1<<61), `tensor "t": shape [2305843009213693952] of F64 overflows`},
	{"not whole blocks", tensor(quant.Q4_K, 0, 128, 2), `tensor "t": rows of 128 elements are not whole blocks of 256 (Q4_K)`},
	{"type removed from ggml", tensor(4, 0, 32), `tensor "t": type 4 is not known`},
	{"type not known", tensor(math.MaxUint32, 0, 32), `tensor "t": type 4294967295 is not known`},
	{"offset out of range", tensor(quant.F32, 1<<20, 4), `is incomplete: 128 of 1048656 bytes are here, fetch it again`},
	{"offset of 2^64-32", tensor(quant.F32, math.MaxUint64-31, 4), `tensor "t": offset 18446744073709551584 is beyond the end of any file`},
	{"offset between alignments", tensor(quant.F32, 4, 4), `tensor "t": offset 4 is not a multiple of the alignment, 32`},
	{"data cut off", tensor(quant.F32, 32, 9), `is incomplete: 128 of 132 bytes are here, fetch it again`},
	{"no data", header(1, 0, "t", uint32(1), uint64(4), uint32(0), uint64(0)), `is incomplete: 57 of 80 bytes are here, fetch it again`},
	{"description cut off", header(1, 0, "tensor.weight", uint32(2), uint64(4), uint32(1)), `tensor "tensor.weight": dimension of 8 bytes at offset 57 goes beyond the end of the file (61 bytes): it is incomplete or damaged, fetch it again`},

	{"alignment not a power of two", aligned(kindUint32, uint32(48)), `key "general.alignment": 48 (uint32) is not a power of two of type uint32`},
	{"alignment zero", aligned(kindUint32, uint32(0)), `key "general.alignment": 0 (uint32) is not a power of two of type uint32`},
	{"alignment of another type", aligned(kindInt32, int32(32)), `key "general.alignment": 32 (int32) is not a power of two of type uint32`},
	{"alignment in words", aligned(kindString, "32"), `key "general.alignment": value (string) is not a power of two of type uint32`},
	{"alignment without tensors", header(0, 1, alignmentKey, uint32(kindUint32), uint32(3)), `key "general.alignment": 3 (uint32) is not a power of two of type uint32`},
	{"alignment of 2^31", aligned(kindUint32, uint32(1<<31)), `is incomplete: 160 of 2147483664 bytes are here, fetch it again`},
}

// aligned is a file with one tensor and a general.alignment.
func aligned(k kind, value any) []byte {
	return padded(header(1, 1, alignmentKey, uint32(k), value, "t", uint32(1), uint64(4), uint32(0), uint64(0)), 64)
}

func TestHostileFiles(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("bad.gguf", c.data)
			if err == nil {
				t.Fatal("was accepted")
			}
			if got, want := err.Error(), "bad.gguf: "+c.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if !errors.Is(err, ErrCorrupt) {
				t.Error("does not wrap ErrCorrupt")
			}
		})
	}
}

// A file that ends early is refused wherever it ends, the last padding apart.
func TestEveryTruncationIsRefused(t *testing.T) {
	data := encode(t, everyKind, someTensors())
	last, _ := parse(t, data).Tensor("four")
	for n := range last.offset + len(last.Data) {
		_, err := Parse("cut.gguf", data[:n])
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: got %v", n, err)
		}
		if strings.ContainsAny(err.Error(), "\n\r") {
			t.Fatalf("cut to %d bytes: more than one line: %q", n, err)
		}
	}
}

// maxCost is the bytes that Parse may allocate per byte of input, beside a
// constant. The dearest bytes are those of tiny keys and of nested arrays.
const maxCost = 24

func TestParseCostIsBounded(t *testing.T) {
	keys := header(0, 20000)
	for i := range 20000 {
		keys = append(keys, raw(fmt.Sprintf("%04x", i), uint32(kindUint8), uint8(0))...)
	}
	tensors := header(20000, 0)
	for i := range 20000 {
		tensors = append(tensors, raw(fmt.Sprintf("%04x", i), uint32(1), uint64(1), uint32(quant.I8), uint64(32*i))...)
	}
	deep := key(kindArray, uint32(kindArray), uint64(50000))
	for range 50000 {
		deep = append(deep, raw(uint32(kindUint8), uint64(0))...)
	}
	inputs := map[string][]byte{
		"keys":          keys,
		"tensors":       padded(tensors, 32*20000),
		"empty arrays":  deep,
		"empty strings": key(kindArray, uint32(kindString), uint64(1e6), make([]byte, 8e6)),
		"bytes":         key(kindArray, uint32(kindUint8), uint64(1e6), make([]byte, 1e6)),
		"every kind":    encode(t, everyKind, someTensors()),
	}
	for _, c := range hostile {
		inputs[c.name] = c.data
	}
	for name, data := range inputs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Parse(name, data)
		runtime.ReadMemStats(&after)
		cost, limit := after.TotalAlloc-before.TotalAlloc, uint64(maxCost*len(data)+64<<10)
		if cost > limit {
			t.Errorf("%s: %d bytes cost %d bytes of memory, more than %d", name, len(data), cost, limit)
		}
	}
}

// What Open maps must stay out of the caller's way when it turns out bad.
func TestOpenUnmapsABadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.gguf")
	if err := os.WriteFile(path, hostile[len(hostile)-1].data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil && bytes.Contains(maps, []byte(path)) {
		t.Error("it is still mapped")
	}
}

func TestLargeVocabularyIsFast(t *testing.T) {
	data := vocabulary(150_000)
	start := cpu.Used()
	f := parse(t, data)
	took := cpu.Used() - start
	if limit := 20 * time.Second; took > limit { // about 5 ms; the race detector and a busy machine are slow
		t.Errorf("took %v", took)
	}
	if tokens, ok := f.Strs("tokenizer.ggml.tokens"); !ok || tokens[149_999] != "token149999" {
		t.Error("the last token is not what was written")
	}
}

func vocabulary(n int) []byte {
	tokens, scores, types := make([]string, n), make([]float32, n), make([]int32, n)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("token%d", i)
	}
	var b bytes.Buffer
	err := Write(&b, []KV{
		{"tokenizer.ggml.tokens", tokens},
		{"tokenizer.ggml.scores", scores},
		{"tokenizer.ggml.token_type", types},
	}, nil)
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

func BenchmarkParseVocabulary(b *testing.B) {
	data := vocabulary(150_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		parse(b, data)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encode(f, everyKind, someTensors()))
	f.Add(encode(f, nil, someTensors()))
	for _, c := range hostile {
		if len(c.data) < 4096 {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz.gguf", data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q", err)
			}
			return
		}
		for _, tensor := range file.Tensors() {
			if n := tensor.Type.RowBytes(tensor.Cols()) * tensor.Rows(); n != len(tensor.Data) {
				t.Fatalf("tensor %q of %v has %d bytes, want %d", tensor.Name, tensor.Shape, len(tensor.Data), n)
			}
		}
		// What was read can be written and is read the same again.
		var out bytes.Buffer
		if err := Write(&out, file.meta, file.tensors); err != nil {
			t.Fatal(err)
		}
		again := parse(t, out.Bytes())
		if fmt.Sprint(again.meta) != fmt.Sprint(file.meta) || len(again.tensors) != len(file.tensors) {
			t.Fatalf("written again, metadata is %v, was %v", again.meta, file.meta)
		}
		for i, tensor := range again.tensors {
			if !bytes.Equal(tensor.Data, file.tensors[i].Data) {
				t.Fatalf("written again, tensor %q differs", tensor.Name)
			}
		}
	})
}
