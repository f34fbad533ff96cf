package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// config is what config.json says, as far as it is used.
type config struct {
	ModelType     string          `json:"model_type"`
	Architectures []string        `json:"architectures"`
	Hidden        uint32          `json:"hidden_size"`
	Layers        uint32          `json:"num_hidden_layers"`
	Heads         uint32          `json:"num_attention_heads"`
	KVHeads       uint32          `json:"num_key_value_heads"`
	HeadDim       uint32          `json:"head_dim"`
	FF            uint32          `json:"intermediate_size"`
	Context       uint32          `json:"max_position_embeddings"`
	LayerEps      float32         `json:"layer_norm_eps"`
	RMSEps        float32         `json:"rms_norm_eps"`
	Act           string          `json:"hidden_act"`
	Positions     string          `json:"position_embedding_type"`
	RopeBase      float64         `json:"rope_theta"`
	LocalBase     float64         `json:"rope_local_base_freq"`
	Scaling       json.RawMessage `json:"rope_scaling"`
	Rope          json.RawMessage `json:"rope_parameters"` // newer files: base and scaling together
	Tied          bool            `json:"tie_word_embeddings"`
	Types         uint32          `json:"type_vocab_size"`
	Window        uint32          `json:"sliding_window"`
	LayerTypes    []string        `json:"layer_types"`
	Quantized     json.RawMessage `json:"quantization_config"`

	arch string // in GGUF
}

// family is how a kind of model becomes GGUF.
type family struct {
	arch     string
	prefixes []string          // that its tensors may have; the longest that fits is dropped
	names    map[string]string // patterns of tensors, # for a layer's number, to names in GGUF; "" drops a tensor
	plusOne  bool              // norms are stored without the 1 that is added
	describe func(f *folder) error
}

// families are the kinds that are known, by config.json's model_type.
func families() map[string]family {
	decoder := map[string]string{
		"embed_tokens.weight": "token_embd.weight",
		"norm.weight":         "output_norm.weight",
		"lm_head.weight":      "output.weight",
	}
	layer(decoder, "layers.#.", map[string]string{
		"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
		"self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
		"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
		"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
	})
	decoder["layers.#.self_attn.rotary_emb.inv_freq"] = "" // a table that follows from the base
	gemma := maps.Clone(decoder)
	layer(gemma, "layers.#.", map[string]string{
		"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
	})
	bert := map[string]string{
		"embeddings.word_embeddings.weight":       "token_embd.weight",
		"embeddings.position_embeddings.weight":   "position_embd.weight",
		"embeddings.token_type_embeddings.weight": "token_types.weight",
		"embeddings.LayerNorm.weight":             "token_embd_norm.weight",
		"embeddings.LayerNorm.bias":               "token_embd_norm.bias",
		"embeddings.position_ids":                 "", // 0, 1, 2, …
		"pooler.dense.weight":                     "", // read by other uses of the model than embeddings
		"pooler.dense.bias":                       "",
	}
	mpnet := maps.Clone(bert)
	mpnet["encoder.relative_attention_bias.weight"] = "attn_rel_b.weight"
	layer(bert, "encoder.layer.#.", map[string]string{
		"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
		"attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
		"intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
	})
	layer(mpnet, "encoder.layer.#.", map[string]string{
		"attention.attn.q": "attn_q", "attention.attn.k": "attn_k", "attention.attn.v": "attn_v",
		"attention.attn.o": "attn_output", "attention.LayerNorm": "attn_output_norm",
		"intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
	})
	return map[string]family{
		"bert":        {arch: "bert", prefixes: []string{"bert.", ""}, names: bert, describe: (*folder).describeBert},
		"mpnet":       {arch: "mpnet", prefixes: []string{"mpnet.", ""}, names: mpnet, describe: (*folder).describeMPNet},
		"llama":       {arch: "llama", prefixes: []string{"model.", ""}, names: decoder, describe: (*folder).describeLlama},
		"qwen2":       {arch: "qwen2", prefixes: []string{"model.", ""}, names: decoder, describe: (*folder).describeDecoder},
		"qwen3":       {arch: "qwen3", prefixes: []string{"model.", ""}, names: decoder, describe: (*folder).describeDecoder},
		"gemma3_text": {arch: "gemma3", prefixes: []string{"model.", ""}, names: gemma, plusOne: true, describe: (*folder).describeGemma},
	}
}

// layer adds the weights and the biases of a layer's modules.
func layer(names map[string]string, prefix string, modules map[string]string) {
	for from, to := range modules {
		for _, kind := range []string{".weight", ".bias"} {
			names[prefix+from+kind] = "blk.#." + to + kind
		}
	}
}

// family finds out what kind of model a folder has.
func (c *config) family() (*family, error) {
	all := families()
	f, ok := all[c.ModelType]
	if !ok {
		return nil, fmt.Errorf("%s: models of type %q are not opened from folders, only %s: use a GGUF file of it",
			configFile, brief(c.ModelType), strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	if len(c.Quantized) > 0 && string(c.Quantized) != "null" {
		return nil, fmt.Errorf("%s: quantised weights are not read from folders: use a GGUF file of the model", configFile)
	}
	for _, a := range c.Architectures {
		if strings.HasSuffix(a, "Classification") {
			return nil, fmt.Errorf("%s: %s is not opened from folders: use a GGUF file of it", configFile, brief(a))
		}
	}
	c.arch = f.arch
	return &f, nil
}

// prefixOf is what the family's tensors begin with in this folder.
func (f *family) prefixOf(entries map[string]entry) string {
	for _, prefix := range f.prefixes {
		for name := range entries {
			if prefix != "" && strings.HasPrefix(name, prefix) {
				return prefix
			}
		}
	}
	return ""
}

var number = regexp.MustCompile(`\.\d+\.`)

// translate gives a tensor its name in GGUF.
func (f *family) translate(name string) (to string, known bool) {
	if to, known = f.names[name]; known {
		return to, true
	}
	at := number.FindStringIndex(name)
	if at == nil {
		return "", false
	}
	to, known = f.names[name[:at[0]]+".#."+name[at[1]:]]
	return strings.Replace(to, "#", name[at[0]+1:at[1]-1], 1), known
}

// describeBoth sets what every model has.
func (f *folder) describeBoth() {
	c := &f.config
	f.meta = append(f.meta, gguf.KV{Key: "general.architecture", Value: c.arch})
	f.set("ARCH.embedding_length", c.Hidden)
	f.set("ARCH.block_count", c.Layers)
	f.set("ARCH.attention.head_count", c.Heads)
	f.set("ARCH.feed_forward_length", c.FF)
	f.set("ARCH.context_length", c.Context)
}

// describeBert is for BERT itself, too.
func (f *folder) describeBert() error {
	c := &f.config
	if c.Act != "gelu" || c.Positions != "" && c.Positions != "absolute" {
		return fmt.Errorf("%s: activation %q and positions %q are not supported: want gelu and absolute", configFile, brief(c.Act), brief(c.Positions))
	}
	f.describeBoth()
	f.set("ARCH.attention.layer_norm_epsilon", c.LayerEps)
	f.set("ARCH.attention.causal", false)
	if c.Types > 0 {
		f.meta = append(f.meta, gguf.KV{Key: "tokenizer.ggml.token_type_count", Value: c.Types}) // llama.cpp wants it
	}
	return f.pooling()
}

// describeMPNet: the first rows of the table of positions belong to padding.
func (f *folder) describeMPNet() error {
	const padding = 2
	if f.config.Context <= padding {
		return fmt.Errorf("%s: max_position_embeddings is %d", configFile, f.config.Context)
	}
	f.config.Context -= padding
	f.set("ARCH.first_position", uint32(padding))
	return f.describeBert()
}

// pooling reads what sentence-transformers keeps beside a model.
func (f *folder) pooling() error {
	var modules []struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	if err := f.optional("modules.json", &modules); err != nil {
		return err
	}
	pooling := "1_Pooling"
	for _, m := range modules {
		switch kind := m.Type[strings.LastIndex(m.Type, ".")+1:]; kind {
		case "Transformer", "Normalize":
		case "Pooling":
			pooling = m.Path
		default:
			return fmt.Errorf("modules.json: a module of type %q is not supported", brief(kind))
		}
	}
	if strings.ContainsAny(pooling, `/\`) || strings.HasPrefix(pooling, ".") {
		return fmt.Errorf("modules.json: the path %q", brief(pooling))
	}
	var p struct {
		First bool `json:"pooling_mode_cls_token"`
		Mean  bool `json:"pooling_mode_mean_tokens"`
		Last  bool `json:"pooling_mode_lasttoken"`
		Max   bool `json:"pooling_mode_max_tokens"`
		Root  bool `json:"pooling_mode_mean_sqrt_len_tokens"`
		Score bool `json:"pooling_mode_weightedmean_tokens"`
	}
	if err := f.optional(pooling+"/config.json", &p); err != nil {
		return err
	}
	kinds := map[[3]bool]uint32{{true, false, false}: 2, {false, true, false}: 1, {false, false, true}: 3, {}: 1} // llama.cpp's numbers; the mean if nothing is said
	kind, ok := kinds[[3]bool{p.First, p.Mean, p.Last}]
	if !ok || p.Max || p.Root || p.Score {
		return fmt.Errorf("%s/config.json: only one of mean, cls and last is supported", pooling)
	}
	f.set("ARCH.pooling_type", kind)
	return nil
}

// describeDecoder is for models that generate.
func (f *folder) describeDecoder() error {
	c := &f.config
	if c.Heads == 0 {
		return fmt.Errorf("%s: num_attention_heads is missing", configFile)
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	f.describeBoth()
	f.set("ARCH.attention.layer_norm_rms_epsilon", c.RMSEps)
	f.set("ARCH.attention.head_count_kv", c.KVHeads)
	f.set("ARCH.attention.key_length", c.HeadDim)
	f.set("ARCH.attention.value_length", c.HeadDim)
	return f.rope()
}

// describeLlama: Hugging Face keeps queries and keys in the order of rotated halves.
func (f *folder) describeLlama() error {
	f.set("ARCH.rope.halves", true)
	return f.describeDecoder()
}

// describeGemma is for Gemma 3, some of whose layers see a window.
func (f *folder) describeGemma() error {
	c := &f.config
	if c.Window > 0 {
		f.set("ARCH.attention.sliding_window", c.Window)
	}
	if len(c.LayerTypes) > 0 {
		sliding := make([]bool, len(c.LayerTypes))
		for i, t := range c.LayerTypes {
			sliding[i] = t == "sliding_attention"
		}
		f.set("ARCH.attention.sliding_window_pattern", sliding)
	}
	if c.LocalBase > 0 {
		f.set("ARCH.rope.freq_base_swa", float32(c.LocalBase))
	}
	return f.describeDecoder()
}

// scaling is how a model's rotations were stretched to a longer context.
type scaling struct {
	Type     string  `json:"rope_type"`
	Old      string  `json:"type"` // of older files
	Base     float64 `json:"rope_theta"`
	Factor   float64 `json:"factor"`
	Low      float64 `json:"low_freq_factor"`
	High     float64 `json:"high_freq_factor"`
	Original float64 `json:"original_max_position_embeddings"`
}

// rope sets the keys of the rotation.
func (f *folder) rope() error {
	c := &f.config
	var s scaling
	for _, raw := range []json.RawMessage{c.Scaling, c.Rope} {
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &s); err != nil {
				return fmt.Errorf("%s: the scaling of the rotation: %w", configFile, err)
			}
		}
	}
	if c.RopeBase == 0 {
		c.RopeBase = s.Base
	}
	if c.RopeBase > 0 {
		f.set("ARCH.rope.freq_base", float32(c.RopeBase))
	}
	if s.Type == "" {
		s.Type = s.Old
	}
	switch s.Type {
	case "", "default":
	case "linear":
		f.set("ARCH.rope.scaling.type", "linear")
		f.set("ARCH.rope.scaling.factor", float32(s.Factor))
	case "yarn":
		f.set("ARCH.rope.scaling.type", "yarn")
		f.set("ARCH.rope.scaling.factor", float32(s.Factor))
		if s.Original > 0 {
			f.set("ARCH.rope.scaling.original_context_length", uint32(s.Original))
		}
	case "llama3":
		return f.llama3(s)
	default:
		return fmt.Errorf("%s: a rotation scaled by %q is not supported", configFile, brief(s.Type))
	}
	return nil
}

// llama3 makes the divisors of Llama 3.1's rotation: long waves are stretched by the
// factor, short ones stay, those between are blended.
func (f *folder) llama3(s scaling) error {
	c := &f.config
	if !(s.Factor > 0 && s.Low > 0 && s.High > s.Low && s.Original > 0 && c.RopeBase > 0) || c.HeadDim > 1<<12 {
		return errors.New(configFile + ": the scaling of the rotation is incomplete")
	}
	factors := make([]float32, c.HeadDim/2)
	for i := range factors {
		wave := 2 * math.Pi * math.Pow(c.RopeBase, 2*float64(i)/float64(c.HeadDim))
		switch {
		case wave < s.Original/s.High:
			factors[i] = 1
		case wave > s.Original/s.Low:
			factors[i] = float32(s.Factor)
		default:
			smooth := (s.Original/wave - s.Low) / (s.High - s.Low)
			factors[i] = float32(1 / ((1-smooth)/s.Factor + smooth))
		}
	}
	t := gguf.Tensor{Name: "rope_freqs.weight", Type: quant.F32, Shape: []int{len(factors)}, Data: make([]byte, 4*len(factors))}
	if err := quant.Quantize(quant.F32, t.Data, factors); err != nil {
		return err
	}
	f.tensors = append(f.tensors, t)
	return nil
}
