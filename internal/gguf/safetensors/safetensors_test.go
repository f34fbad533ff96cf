package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file is a safetensors file with a header and a body.
func file(header string, body int) []byte {
	data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(data, header...), make([]byte, body)...)
}

func TestParse(t *testing.T) {
	entries, err := parse(file(`{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,3],"data_offsets":[8,20]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"s":{"dtype":"I64","shape":[],"data_offsets":[20,28]}}   `, 28))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 || entries[0].name != "b" || len(entries[0].data) != 12 || fmt.Sprint(entries[0].shape) != "[2 3]" {
		t.Errorf("%+v", entries)
	}
}

func TestHostileFiles(t *testing.T) {
	one := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"a":{"dtype":%q,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	for want, data := range map[string][]byte{
		"3 bytes are no safetensors file":   {1, 2, 3},
		"a header of 1099511627776 bytes":   binary.LittleEndian.AppendUint64(nil, 1<<40),
		"a header of 99 bytes, in a file":   append(binary.LittleEndian.AppendUint64(nil, 99), "{}"...),
		"the header is no JSON object":      file(`[]`, 0),
		`header: tensor "a": EOF`:           file(`{"a":`, 0),
		"something follows":                 file(`{}{}`, 0),
		`tensor "a" twice`:                  file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 0),
		`format "F31" is not known`:         file(one("F31", "[1]", "[0,4]"), 4),
		"it lies at [0 8] of 4 bytes":       file(one("F32", "[2]", "[0,8]"), 4),
		"it lies at [4 0]":                  file(one("F32", "[1]", "[4,0]"), 4),
		"it lies at [0]":                    file(one("F32", "[1]", "[0]"), 4),
		"4 bytes for a shape of [2]":        file(one("F32", "[2]", "[0,4]"), 4),
		"a shape of [4294967296":            file(one("F32", "[4294967296,4294967296]", "[0,4]"), 4),
		"a shape of [2147483647 2147483647": file(one("F32", "[2147483647,2147483647,2147483647]", "[0,4]"), 4),
		"cannot unmarshal number":           file(one("F32", "[-1]", "[0,4]"), 4),
		`tensor "b" overlaps another`:       file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"4 bytes before tensor":             file(one("F32", "[1]", "[4,8]"), 8),
		"4 bytes after the last":            file(one("F32", "[1]", "[0,4]"), 8),
	} {
		if _, err := parse(data); err == nil || !strings.Contains(err.Error(), want) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// A file is parsed or refused; tensors never reach beyond it.
func FuzzParse(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Add(file(`{"__metadata__":{"x":"y"}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parse(data)
		if err != nil {
			return
		}
		sum := 0
		for _, e := range entries {
			sum += len(e.data)
		}
		if sum > len(data) {
			t.Errorf("tensors of %d bytes in a file of %d", sum, len(data))
		}
	})
}

// A SentencePiece model is read or refused.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("\x0a\x0a\x0a\x03abc\x15\x00\x00\x80\x3f\x0a\x07\x0a\x03<s>\x18\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pieces, err := readPieces(data)
		if err == nil && len(pieces) > len(data) {
			t.Errorf("%d pieces in %d bytes", len(pieces), len(data))
		}
	})
}

func TestPieces(t *testing.T) {
	pieces, err := readPieces([]byte("\x0a\x0a\x0a\x03abc\x15\x00\x00\x80\x3f\x0a\x07\x0a\x03<s>\x18\x03\x12\x02xy"))
	if err != nil || len(pieces) != 2 || pieces[0] != (piece{"abc", 1, normal}) || pieces[1] != (piece{"<s>", 0, control}) {
		t.Errorf("%v, %v", pieces, err)
	}
}

// small is a folder with the given files, beside which a model of one tensor lies.
func small(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if files["model.safetensors"] == "" {
		files["model.safetensors"] = string(file(`{"embeddings.word_embeddings.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}`, 4))
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestFoldersRefused: what is wrong with a folder is said in one line.
func TestFoldersRefused(t *testing.T) {
	const config = `{"model_type":"bert","hidden_act":"gelu"}`
	const words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"
	for want, files := range map[string]map[string]string{
		"config.json: invalid character":                {"config.json": "x"},
		`type "t5" are not opened from folders, only b`: {"config.json": `{"model_type":"t5"}`},
		"quantised weights are not read":                {"config.json": `{"model_type":"llama","quantization_config":{"bits":4}}`},
		"BertForSequenceClassification is not opened":   {"config.json": `{"model_type":"bert","architectures":["BertForSequenceClassification"]}`},
		`activation "relu"`:                             {"config.json": `{"model_type":"bert","hidden_act":"relu"}`},
		"num_attention_heads is missing":                {"config.json": `{"model_type":"qwen2"}`},
		"there is neither tokenizer.json nor vocab":     {"config.json": config},
		`a tokenizer of type "Unigram"`:                 {"config.json": config, "tokenizer.json": `{"model":{"type":"Unigram"}}`},
		"the same number":                               {"config.json": config, "tokenizer.json": `{"model":{"type":"WordPiece","vocab":{"a":1,"b":1}}}`},
		"a token with the number 9000":                  {"config.json": config, "tokenizer.json": `{"model":{"type":"WordPiece","vocab":{"a":9000}}}`},
		"the way in which texts are split":              {"config.json": config, "tokenizer.json": `{"pre_tokenizer":{"type":"Whitespace"},"model":{"type":"BPE","vocab":{"a":1}}}`},
		"tokenizer.model is missing":                    {"config.json": config, "tokenizer.json": `{"model":{"type":"BPE","byte_fallback":true}}`},
		`a module of type "Dense"`:                      {"config.json": config, "vocab.txt": words, "modules.json": `[{"path":"2_Dense","type":"sentence_transformers.models.Dense"}]`},
		`the path "../x"`:                               {"config.json": config, "vocab.txt": words, "modules.json": `[{"path":"../x","type":"a.Pooling"}]`},
		"only one of mean, cls and last":                {"config.json": config, "vocab.txt": words, "1_Pooling/config.json": `{"pooling_mode_max_tokens":true}`},
		`names "../a.safetensors"`:                      {"config.json": config, "model.safetensors.index.json": `{"weight_map":{"x":"../a.safetensors"}}`},
		"b.safetensors is missing":                      {"config.json": config, "model.safetensors.index.json": `{"weight_map":{"x":"b.safetensors"}}`},
		`tensor "x.y" is not part of a bert model`:      {"config.json": config, "vocab.txt": words, "model.safetensors": string(file(`{"x.y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))},
		"weights in F64 are not supported":              {"config.json": config, "vocab.txt": words, "model.safetensors": string(file(`{"embeddings.LayerNorm.bias":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}`, 8))},
		"a shape of [1 1 1]":                            {"config.json": config, "vocab.txt": words, "model.safetensors": string(file(`{"embeddings.LayerNorm.bias":{"dtype":"F32","shape":[1,1,1],"data_offsets":[0,4]}}`, 4))},
	} {
		dir := small(t, files)
		f, err := Open(dir)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("want %q: %v", want, err)
		}
	}
	dir := small(t, map[string]string{"config.json": config, "vocab.txt": words})
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if tokens, _ := f.Strs("tokenizer.ggml.tokens"); fmt.Sprint(tokens) != "[[PAD] [UNK] [CLS] [SEP] ▁a b]" {
		t.Errorf("tokens %v", tokens)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestLlama3Rotation: the divisors of Llama 3.2 1B at its first, a middle and its last
// pair.
func TestLlama3Rotation(t *testing.T) {
	f := &folder{config: config{HeadDim: 64, RopeBase: 500000}}
	if err := f.llama3(scaling{Factor: 32, Low: 1, High: 4, Original: 8192}); err != nil {
		t.Fatal(err)
	}
	at := func(i int) float32 {
		return math.Float32frombits(binary.LittleEndian.Uint32(f.tensors[0].Data[4*i:]))
	}
	if at(0) != 1 || at(31) != 32 || !(at(16) > 1 && at(16) < 32) {
		t.Errorf("%v %v %v", at(0), at(16), at(31))
	}
}
