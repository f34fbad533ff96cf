package gguf

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penstock-llm/penstock/internal/quant"
)

// everyKind has one entry of each kind that a file can hold.
var everyKind = []KV{
	{"general.architecture", "test"},
	{"u8", uint8(200)}, {"i8", int8(-100)}, {"u16", uint16(60000)}, {"i16", int16(-30000)},
	{"u32", uint32(4e9)}, {"i32", int32(-2e9)}, {"u64", uint64(math.MaxUint64)}, {"i64", int64(math.MinInt64)},
	{"f32", float32(1.5)}, {"f64", math.Pi}, {"yes", true}, {"no", false},
	{"text", "line\nand \x00 and Grüße"}, {"empty", ""},
	{"[]u8", []uint8{0, 255}}, {"[]i8", []int8{-128, 127}}, {"[]u16", []uint16{1, 65535}}, {"[]i16", []int16{-1}},
	{"[]u32", []uint32{7}}, {"[]i32", []int32{-7, 8, 9}}, {"[]u64", []uint64{math.MaxUint64}}, {"[]i64", []int64{-1}},
	{"[]f32", []float32{0.25, -3}}, {"[]f64", []float64{0.1}}, {"[]bool", []bool{true, false, true}},
	{"[]string", []string{"", "a", "", "bcd", "é"}}, {"[]none", []string{}},
	{"nested", []any{[]int32{1, 2}, []string{"x"}, []any{[]bool{true}}}},
}

func someTensors() []Tensor {
	fill := func(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }
	return []Tensor{
		{Name: "vector", Type: quant.F32, Shape: []int{3}, Data: fill(12, 1)},
		{Name: "matrix", Type: quant.Q4_K, Shape: []int{256, 3}, Data: fill(432, 2)},
		{Name: "four", Type: quant.F16, Shape: []int{2, 3, 4, 5}, Data: fill(240, 3)},
	}
}

func encode(t testing.TB, meta []KV, tensors []Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, meta, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(t testing.TB, data []byte) *File {
	t.Helper()
	f, err := Parse("test.gguf", data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var ignoreOffset = cmpopts.IgnoreUnexported(Tensor{})

func TestWriteThenParse(t *testing.T) {
	for name, meta := range map[string][]KV{
		"default alignment": everyKind,
		"alignment 1":       append([]KV{{alignmentKey, uint32(1)}}, everyKind...),
		"alignment 4096":    append([]KV{{alignmentKey, uint32(4096)}}, everyKind...),
		"nothing":           {},
	} {
		t.Run(name, func(t *testing.T) {
			data := encode(t, meta, someTensors())
			f := parse(t, data)
			if diff := cmp.Diff(meta, f.meta); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(someTensors(), f.Tensors(), ignoreOffset); diff != "" {
				t.Error(diff)
			}
			if f.Version() != 3 || f.Size() != int64(len(data)) || f.Path() != "test.gguf" {
				t.Errorf("version %d, size %d, path %q", f.Version(), f.Size(), f.Path())
			}
		})
	}
}

func TestVersion2IsRead(t *testing.T) {
	data := encode(t, everyKind, someTensors())
	data[4] = 2
	if f := parse(t, data); f.Version() != 2 || len(f.Tensors()) != 3 {
		t.Errorf("version %d, %d tensors", f.Version(), len(f.Tensors()))
	}
}

func TestMetadataOnlyNeedsNoPadding(t *testing.T) {
	f := parse(t, encode(t, []KV{{"k", uint8(1)}}, nil))
	if len(f.Tensors()) != 0 || len(f.Keys()) != 1 {
		t.Errorf("%d tensors, keys %v", len(f.Tensors()), f.Keys())
	}
}

func TestLookups(t *testing.T) {
	f := parse(t, encode(t, everyKind, someTensors()))
	type result struct {
		value any
		ok    bool
	}
	got := func(v any, ok bool) result { return result{v, ok} }
	for name, c := range map[string]struct {
		get  func() result
		want result
	}{
		"Str":                         {func() result { return got(f.Str("general.architecture")) }, result{"test", true}},
		"Str of a number":             {func() result { return got(f.Str("u8")) }, result{"", false}},
		"Uint of u64":                 {func() result { return got(f.Uint("u64")) }, result{uint64(math.MaxUint64), true}},
		"Uint of i32 < 0":             {func() result { v, ok := f.Uint("i32"); return result{v != 0, ok} }, result{true, false}},
		"Int of i64":                  {func() result { return got(f.Int("i64")) }, result{int64(math.MinInt64), true}},
		"Int of u8":                   {func() result { return got(f.Int("u8")) }, result{int64(200), true}},
		"Int of u64 too large":        {func() result { _, ok := f.Int("u64"); return result{nil, ok} }, result{nil, false}},
		"Int of a float":              {func() result { return got(f.Int("f32")) }, result{int64(0), false}},
		"Float of f32":                {func() result { return got(f.Float("f32")) }, result{1.5, true}},
		"Float of f64":                {func() result { return got(f.Float("f64")) }, result{math.Pi, true}},
		"Float of u64":                {func() result { return got(f.Float("u64")) }, result{float64(math.MaxUint64), true}},
		"Float of i8":                 {func() result { return got(f.Float("i8")) }, result{-100.0, true}},
		"Float of text":               {func() result { return got(f.Float("text")) }, result{0.0, false}},
		"Bool":                        {func() result { return got(f.Bool("yes")) }, result{true, true}},
		"Bool of a missing key":       {func() result { return got(f.Bool("maybe")) }, result{false, false}},
		"Strs":                        {func() result { return got(f.Strs("[]string")) }, result{[]string{"", "a", "", "bcd", "é"}, true}},
		"Strs, empty":                 {func() result { return got(f.Strs("[]none")) }, result{[]string{}, true}},
		"Strs of a string":            {func() result { return got(f.Strs("text")) }, result{[]string(nil), false}},
		"Floats of f32":               {func() result { return got(f.Floats("[]f32")) }, result{[]float32{0.25, -3}, true}},
		"Floats of f64":               {func() result { return got(f.Floats("[]f64")) }, result{[]float32{0.1}, true}},
		"Floats of integers":          {func() result { return got(f.Floats("[]i8")) }, result{[]float32(nil), false}},
		"Ints of u8":                  {func() result { return got(f.Ints("[]u8")) }, result{[]int64{0, 255}, true}},
		"Ints of i32":                 {func() result { return got(f.Ints("[]i32")) }, result{[]int64{-7, 8, 9}, true}},
		"Ints of u64 too large":       {func() result { return got(f.Ints("[]u64")) }, result{[]int64(nil), false}},
		"Ints of a scalar":            {func() result { return got(f.Ints("i32")) }, result{[]int64(nil), false}},
		"Value of a nested array":     {func() result { return got(f.Value("nested")) }, result{everyKind[len(everyKind)-1].Value, true}},
		"Value of a missing key":      {func() result { return got(f.Value("gone")) }, result{nil, false}},
		"Value of a key in its width": {func() result { return got(f.Value("i16")) }, result{int16(-30000), true}},
	} {
		if got := c.get(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if v, ok := f.Tensor("matrix"); !ok || v.Rows() != 3 || v.Cols() != 256 || v.Elements() != 768 {
		t.Errorf("matrix: %v, %v", v, ok)
	}
	if v, _ := f.Tensor("four"); v.Rows() != 60 || v.Cols() != 2 {
		t.Errorf("four: %d rows of %d", v.Rows(), v.Cols())
	}
	if _, ok := f.Tensor("gone"); ok {
		t.Error("found a tensor that is not there")
	}
}

func TestOpenMapsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	big := Tensor{Name: "big", Type: quant.F32, Shape: []int{1024, 64}, Data: bytes.Repeat([]byte{9}, 4*1024*64)}
	want := append(someTensors(), big)
	if err := os.WriteFile(path, encode(t, everyKind, want), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	texts, _ := f.Strs("[]string")
	for _, tensor := range f.Tensors() {
		f.Release(tensor)
	}
	f.ReleaseHeader()
	if diff := cmp.Diff(want, f.Tensors(), ignoreOffset); diff != "" {
		t.Errorf("after Release: %s", diff)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, ok := f.Tensor("big"); ok {
		t.Error("a closed file still gives tensors away")
	}
	if diff := cmp.Diff([]string{"", "a", "", "bcd", "é"}, texts); diff != "" {
		t.Errorf("strings did not outlive the file: %s", diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.gguf")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "gone.gguf"): "no such file",
		dir:                             "is a directory, not a regular file",
		empty:                           "is empty: ",
	} {
		_, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if _, err := Open(filepath.Join(dir, "gone.gguf")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file is not os.ErrNotExist: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	vector := func(change func(*Tensor)) []Tensor {
		tensor := someTensors()[0]
		change(&tensor)
		return []Tensor{tensor}
	}
	for name, c := range map[string]struct {
		meta    []KV
		tensors []Tensor
		want    string
	}{
		"int":               {[]KV{{"k", 1}}, nil, `key "k": a value of type int cannot be stored`},
		"mixed array":       {[]KV{{"k", []any{1}}}, nil, `key "k": a value of type int cannot be stored`},
		"deep array":        {[]KV{{"k", []any{[]any{[]any{[]any{[]any{[]bool{}}}}}}}}, nil, "nested more than 4 deep"},
		"same key":          {[]KV{{"k", true}, {"k", true}}, nil, `key "k": appears twice`},
		"no key":            {[]KV{{"", true}}, nil, `key "": a name must be`},
		"alignment":         {[]KV{{alignmentKey, uint32(48)}}, nil, "48 (uint32) is not a power of two"},
		"same tensor":       {nil, append(someTensors(), someTensors()[0]), `tensor "vector": appears twice`},
		"long name":         {nil, vector(func(t *Tensor) { t.Name = strings.Repeat("x", 65) }), "a name must be UTF-8 of 1 to 64 bytes"},
		"wrong data":        {nil, vector(func(t *Tensor) { t.Data = nil }), `tensor "vector": 0 bytes of data, but F32 of shape [3] has 12`},
		"no shape":          {nil, vector(func(t *Tensor) { t.Shape = nil }), "0 dimensions, not 1 to 4"},
		"zero dimension":    {nil, vector(func(t *Tensor) { t.Shape = []int{3, 0} }), "dimension 1 is 0"},
		"part of a block":   {nil, vector(func(t *Tensor) { t.Type = quant.Q8_0 }), "rows of 3 elements are not whole blocks of 32 (Q8_0)"},
		"type not known":    {nil, vector(func(t *Tensor) { t.Type = 4 }), "type 4 is not known"},
		"overflowing shape": {nil, vector(func(t *Tensor) { t.Shape = []int{1 << 40, 1 << 40} }), "overflows"},
	} {
		err := Write(io.Discard, c.meta, c.tensors)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "writing: ") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteReportsTheWriter(t *testing.T) {
	if err := Write(brokenWriter{}, everyKind, someTensors()); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
	err := WriteFunc(io.Discard, nil, someTensors(), func(int) ([]byte, error) { return nil, io.ErrUnexpectedEOF })
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), `"vector"`) {
		t.Errorf("got %v", err)
	}
}
