package instance

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/quantize"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// foreign are the names of tensors in folders, by those in GGUF; # is a layer.
var foreign = map[string]map[string]string{
	"decoder": {
		"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
		"blk.#.attn_norm": "model.layers.#.input_layernorm", "blk.#.attn_q": "model.layers.#.self_attn.q_proj", "blk.#.attn_k": "model.layers.#.self_attn.k_proj",
		"blk.#.attn_v": "model.layers.#.self_attn.v_proj", "blk.#.attn_output": "model.layers.#.self_attn.o_proj", "blk.#.ffn_norm": "model.layers.#.post_attention_layernorm",
		"blk.#.ffn_gate": "model.layers.#.mlp.gate_proj", "blk.#.ffn_up": "model.layers.#.mlp.up_proj", "blk.#.ffn_down": "model.layers.#.mlp.down_proj",
		"blk.#.attn_q_norm": "model.layers.#.self_attn.q_norm", "blk.#.attn_k_norm": "model.layers.#.self_attn.k_norm",
	},
	"gemma3": {
		"blk.#.post_attention_norm": "model.layers.#.post_attention_layernorm", "blk.#.ffn_norm": "model.layers.#.pre_feedforward_layernorm",
		"blk.#.post_ffw_norm": "model.layers.#.post_feedforward_layernorm",
	},
	"encoder": {
		"token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings", "token_types": "embeddings.token_type_embeddings",
		"token_embd_norm": "embeddings.LayerNorm", "attn_rel_b": "encoder.relative_attention_bias",
		"blk.#.ffn_up": "encoder.layer.#.intermediate.dense", "blk.#.ffn_down": "encoder.layer.#.output.dense", "blk.#.layer_output_norm": "encoder.layer.#.output.LayerNorm",
	},
	"bert": {
		"blk.#.attn_q": "encoder.layer.#.attention.self.query", "blk.#.attn_k": "encoder.layer.#.attention.self.key", "blk.#.attn_v": "encoder.layer.#.attention.self.value",
		"blk.#.attn_output": "encoder.layer.#.attention.output.dense", "blk.#.attn_output_norm": "encoder.layer.#.attention.output.LayerNorm",
	},
	"mpnet": {
		"blk.#.attn_q": "encoder.layer.#.attention.attn.q", "blk.#.attn_k": "encoder.layer.#.attention.attn.k", "blk.#.attn_v": "encoder.layer.#.attention.attn.v",
		"blk.#.attn_output": "encoder.layer.#.attention.attn.o", "blk.#.attn_output_norm": "encoder.layer.#.attention.LayerNorm",
	},
}

var layerNumber = regexp.MustCompile(`\.(\d+)\.`)

// writeFolder writes a tiny model as Hugging Face would keep it.
func writeFolder(t *testing.T, f *gguf.File, o tinymodel.Options) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, v any) {
		data, ok := v.([]byte)
		if !ok {
			var err error
			if data, err = json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	types := map[string]string{"gemma3": "gemma3_text"}
	config := map[string]any{"model_type": o.Arch, "hidden_act": "gelu"}
	if kind := types[o.Arch]; kind != "" {
		config["model_type"] = kind
	}
	for key, from := range map[string]string{
		"hidden_size": "embedding_length", "num_hidden_layers": "block_count", "num_attention_heads": "attention.head_count", "num_key_value_heads": "attention.head_count_kv",
		"head_dim": "attention.key_length", "intermediate_size": "feed_forward_length", "max_position_embeddings": "context_length",
		"layer_norm_eps": "attention.layer_norm_epsilon", "rms_norm_eps": "attention.layer_norm_rms_epsilon", "rope_theta": "rope.freq_base", "sliding_window": "attention.sliding_window",
	} {
		if v, ok := f.Value(o.Arch + "." + from); ok {
			config[key] = v
		}
	}
	if o.Arch == "mpnet" {
		config["max_position_embeddings"] = config["max_position_embeddings"].(uint32) + 2
	}
	put("config.json", config)
	put("model.safetensors", weightsFile(t, f, o.Arch))
	writeVocabulary(t, f, put)
	return dir
}

// weightsFile is a safetensors file of a model's tensors.
func weightsFile(t *testing.T, f *gguf.File, arch string) []byte {
	t.Helper()
	var body []byte
	header := map[string]any{}
	for _, tensor := range f.Tensors() {
		at := strings.LastIndexByte(tensor.Name, '.')
		stem, kind := tensor.Name[:at], tensor.Name[at:]
		layer := ""
		if m := layerNumber.FindStringSubmatch(stem); m != nil {
			layer = m[1]
			stem = strings.Replace(stem, "."+layer+".", ".#.", 1)
		}
		name := ""
		family := "decoder"
		if foreign[arch]["blk.#.attn_q"] != "" {
			family = "encoder"
		}
		for _, set := range []string{family, arch} {
			if to := foreign[set][stem]; to != "" {
				name = strings.Replace(to, "#", layer, 1) + kind
			}
		}
		if name == "" {
			t.Fatalf("no name for %s", tensor.Name)
		}
		data := slices.Clone(tensor.Data)
		if arch == "gemma3" && strings.HasSuffix(tensor.Name, "norm.weight") {
			for i := 0; i < len(data); i += 4 {
				v := math.Float32frombits(binary.LittleEndian.Uint32(data[i:])) - 1
				binary.LittleEndian.PutUint32(data[i:], math.Float32bits(v))
			}
		}
		if arch == "llama" && (strings.HasSuffix(stem, "attn_q") || strings.HasSuffix(stem, "attn_k")) {
			data = halvesOf(tensor)
		}
		shape := slices.Clone(tensor.Shape)
		slices.Reverse(shape)
		header[name] = map[string]any{"dtype": tensor.Type.String(), "shape": shape, "data_offsets": []int{len(body), len(body) + len(data)}}
		body = append(body, data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), body...)
}

// halvesOf brings the rows of queries or keys from the order of adjacent pairs into
// that of halves; heads have 32 elements.
func halvesOf(t gguf.Tensor) []byte {
	const head = 32
	size := t.Type.RowBytes(t.Cols())
	var data []byte
	for first := 0; first < t.Rows(); first += head {
		for i := range head {
			from := first + 2*(i%(head/2)) + i/(head/2)
			data = append(data, t.Data[from*size:][:size]...)
		}
	}
	return data
}

// writeVocabulary writes tokenizer.json and tokenizer_config.json, and for
// SentencePiece tokenizer.model.
func writeVocabulary(t *testing.T, f *gguf.File, put func(string, any)) {
	t.Helper()
	tokens, _ := f.Strs("tokenizer.ggml.tokens")
	types, _ := f.Ints("tokenizer.ggml.token_type")
	kind, _ := f.Str("tokenizer.ggml.model")
	pre, _ := f.Str("tokenizer.ggml.pre")
	token := func(role string) string {
		id, ok := f.Uint("tokenizer.ggml." + role + "_token_id")
		if !ok {
			return ""
		}
		return tokens[id]
	}
	settings := map[string]any{"bos_token": token("bos"), "eos_token": map[string]any{"content": token("eos")}, "unk_token": token("unknown"), "sep_token": token("seperator"), "pad_token": token("padding")}
	for _, flag := range []string{"add_bos_token", "add_eos_token"} {
		if v, ok := f.Bool("tokenizer.ggml." + flag); ok {
			settings[flag] = v
		}
	}
	settings["chat_template"], _ = f.Str("tokenizer.chat_template")
	vocab, added := map[string]int{}, []map[string]any{}
	for i, text := range tokens {
		if types[i] == 2 || types[i] == 3 {
			added = append(added, map[string]any{"id": i, "content": text, "special": true})
			continue
		}
		if kind == "bert" {
			if rest, begins := strings.CutPrefix(text, "▁"); begins {
				text = rest
			} else {
				text = "##" + text
			}
		}
		vocab[text] = i
	}
	m := map[string]any{"type": "BPE", "vocab": vocab}
	tok := map[string]any{"added_tokens": added, "model": m}
	merges, _ := f.Strs("tokenizer.ggml.merges")
	pairs := [][]string{}
	for _, merge := range merges {
		pairs = append(pairs, strings.SplitN(merge, " ", 2))
	}
	m["merges"] = pairs
	level := map[string]any{"type": "ByteLevel"}
	switch {
	case kind == "bert":
		m["type"], m["continuing_subword_prefix"] = "WordPiece", "##"
		tok["normalizer"] = map[string]any{"type": "BertNormalizer", "lowercase": true}
		settings["cls_token"] = token("bos")
	case kind == "llama":
		m["byte_fallback"] = true
		put("tokenizer.model", pieces(f, tokens, types))
	case pre == "smollm":
		tok["pre_tokenizer"] = map[string]any{"type": "Sequence", "pretokenizers": []any{map[string]any{"type": "Digits", "individual_digits": true}, level}}
	default:
		split := `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
		tok["pre_tokenizer"] = map[string]any{"type": "Sequence", "pretokenizers": []any{map[string]any{"type": "Split", "pattern": map[string]any{"Regex": split}}, level}}
	}
	put("tokenizer.json", tok)
	put("tokenizer_config.json", settings)
}

// pieces is a SentencePiece model of a vocabulary.
func pieces(f *gguf.File, tokens []string, types []int64) (data []byte) {
	scores, _ := f.Floats("tokenizer.ggml.scores")
	for i, text := range tokens {
		p := append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(text))), text...)
		p = binary.LittleEndian.AppendUint32(append(p, 2<<3|5), math.Float32bits(scores[i]))
		p = binary.AppendUvarint(append(p, 3<<3), uint64(types[i]))
		data = append(binary.AppendUvarint(append(data, 1<<3|2), uint64(len(p))), p...)
	}
	return data
}

// TestFolders: a model in a folder has the tokens and the results of the same model in
// a GGUF file, of each format of numbers.
func TestFolders(t *testing.T) {
	const text = "The water flows through the Penstock: 12 gates, and it's open."
	for _, o := range []tinymodel.Options{
		{Arch: "bert"}, {Arch: "mpnet", Type: quant.F16}, {Arch: "llama", Type: quant.BF16}, {Arch: "qwen2", Type: quant.F16, Untied: true}, {Arch: "qwen3"}, {Arch: "gemma3"},
	} {
		t.Run(fmt.Sprint(o.Arch, " ", o.Type), func(t *testing.T) {
			file, err := tinymodel.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "model.gguf")
			if err := tinymodel.Write(path, o); err != nil {
				t.Fatal(err)
			}
			want, ids := embedding(t, path, text)
			folder := writeFolder(t, file, o)
			got, same := embedding(t, folder, text)
			checkConverted(t, folder, text)
			if !slices.Equal(ids, same) || len(ids) < 5 {
				t.Errorf("tokens %v, want %v", same, ids)
			}
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-4*(1+math.Abs(float64(want[i]))) { // norms of Gemma lose a bit
					t.Fatalf("embedding[%d] is %g, want %g", i, got[i], want[i])
				}
			}
		})
	}
}

// checkConverted: what a folder is converted to has its metadata and tokens, and its
// results to the last bit.
func checkConverted(t *testing.T, folder, text string) {
	t.Helper()
	in, err := safetensors.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	path := filepath.Join(t.TempDir(), "converted.gguf")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(quantize.Copy(t.Context(), out, in, func(string, int64, int64) {}), out.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !slices.Equal(f.Keys(), in.Keys()) || len(f.Tensors()) != len(in.Tensors()) {
		t.Errorf("keys %v with %d tensors, want %v with %d", f.Keys(), len(f.Tensors()), in.Keys(), len(in.Tensors()))
	}
	for _, key := range in.Keys() {
		a, _ := in.Value(key)
		if b, _ := f.Value(key); !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %v, want %v", key, b, a)
		}
	}
	want, ids := embedding(t, folder, text)
	got, same := embedding(t, path, text)
	if !slices.Equal(ids, same) || !slices.Equal(want, got) {
		t.Errorf("tokens %v and embedding %v, want %v and %v", same, got[:4], ids, want[:4])
	}
}

func embedding(t *testing.T, path, text string) (vector []float32, ids []int32) {
	t.Helper()
	in, err := Open(path, Options{Threads: 1, Context: 64, MaxBatch: 2, Weights: model.WeightsExact})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ids = in.Tokenizer.Encode(text, true, true)
	s, err := in.Engine.Submit(t.Context(), engine.Request{Prompt: ids, Pooling: model.MeanPooling})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.Finish().Embedding, ids
}
