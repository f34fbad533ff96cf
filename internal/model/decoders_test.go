package model_test

import (
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// parityVariants are tiny models of the architectures with what is their own: windows shorter
// than a text, factors that matter, rotations of a part of a head.
func parityVariants() map[string]tinymodel.Options {
	key := func(name string, v any) gguf.KV { return gguf.KV{Key: name, Value: v} }
	phi := []gguf.KV{key("general.name", "Tiny Phi 4")} // in models of other names llama.cpp looks for tokens of Phi 3
	factors := []float32{1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8}
	return map[string]tinymodel.Options{
		"llama":           {Arch: "llama"},
		"llama-factors":   {Arch: "llama", RopeFactors: factors, Untied: true},
		"llama-biases":    {Arch: "llama", With: []string{"attn_output.bias", "attn_q.bias", "attn_k.bias", "attn_v.bias", "ffn_up.bias", "ffn_gate.bias", "ffn_down.bias"}},
		"llama-scales":    {Arch: "llama", With: []string{"attn_q.scale", "attn_k.scale", "attn_v.scale", "attn_output.scale", "ffn_gate.scale", "ffn_up.scale", "ffn_down.scale", "ffn_up.bias", "attn_q.bias", "attn_output.bias", "ffn_down.bias"}},
		"llama-linear":    {Arch: "llama", Keys: []gguf.KV{key("rope.scaling.type", "linear"), key("rope.scaling.factor", float32(4))}},
		"llama-yarn":      {Arch: "llama", Keys: []gguf.KV{key("rope.scaling.type", "yarn"), key("rope.scaling.factor", float32(4)), key("rope.scaling.original_context_length", uint32(128))}},
		"mixtral":         {Arch: "llama", Experts: 4, ExpertsUsed: 2, ExpertFF: 96},
		"qwen2":           {Arch: "qwen2"},
		"qwen2-fused":     {Arch: "qwen2", With: []string{"attn_qkv.weight", "attn_qkv.bias"}},
		"qwen2-beside":    {Arch: "qwen2", With: []string{"attn_qkv.weight"}},
		"qwen3":           {Arch: "qwen3"},
		"qwen3moe":        {Arch: "qwen3moe"},
		"qwen3moe-scales": {Arch: "qwen3moe", With: []string{"exps.scale", "exps.input_scale"}},
		"qwen2moe":        {Arch: "qwen2moe", Untied: true, With: []string{"attn_q.bias", "attn_k.bias", "attn_v.bias"}},
		"olmoe":           {Arch: "olmoe", Untied: true, KVHeads: 2},
		"granitemoe":      {Arch: "granitemoe", Keys: []gguf.KV{key("embedding_scale", float32(3)), key("residual_scale", float32(0.22)), key("attention.scale", float32(0.05)), key("logit_scale", float32(8)), key("expert_shared_feed_forward_length", uint32(160)), key("rope.scaling.finetuned", false)}},
		"gpt-oss":         {Arch: "gpt-oss", Layers: 3, Untied: true, Keys: []gguf.KV{key("rope.scaling.type", "yarn"), key("rope.scaling.factor", float32(4)), key("rope.scaling.original_context_length", uint32(64))}},
		"lfm2":            {Arch: "lfm2", Layers: 5, Keys: []gguf.KV{key("attention.head_count_kv", []int32{0, 0, 1, 0, 1}), key("attention.sliding_window", uint32(0))}},
		"lfm2-windows":    {Arch: "lfm2"},
		"lfm2-wide":       {Arch: "lfm2", Layers: 3, Keys: []gguf.KV{key("attention.head_count_kv", []int32{0, 1, 0}), key("shortconv.l_cache", uint32(5))}},
		"lfm2moe":         {Arch: "lfm2moe", Layers: 4},
		"deepseek":        {Arch: "deepseek", Layers: 3, Untied: true, Keys: []gguf.KV{key("leading_dense_block_count", uint32(1)), key("expert_shared_count", uint32(2)), key("expert_weights_scale", float32(1.5))}},
		"gemma":           {Arch: "gemma"},
		"gemma2":          {Arch: "gemma2", Layers: 4, Keys: []gguf.KV{key("attn_logit_softcapping", float32(3)), key("final_logit_softcapping", float32(9))}},
		"gemma3":          {Arch: "gemma3", Layers: 7},
		"smollm3":         {Arch: "smollm3", Layers: 5},
		"phi3":            {Arch: "phi3", With: []string{"attn_qkv.weight"}, Keys: []gguf.KV{key("rope.dimension_count", uint32(24))}, Extra: phi},
		"phi3-long":       {Arch: "phi3", With: []string{"rope_factors_long.weight", "rope_factors_short.weight"}, Keys: []gguf.KV{key("rope.scaling.attn_factor", float32(1.19)), key("rope.scaling.original_context_length", uint32(128))}, Extra: phi},
		"phi3-short":      {Arch: "phi3", With: []string{"rope_factors_long.weight", "rope_factors_short.weight"}, Keys: []gguf.KV{key("rope.scaling.original_context_length", uint32(512))}, Extra: phi},
		"olmo2":           {Arch: "olmo2", Untied: true, Keys: []gguf.KV{key("attention.sliding_window", uint32(0))}},
		"olmo3":           {Arch: "olmo2", Untied: true, Layers: 5, Keys: []gguf.KV{key("rope.scaling.type", "yarn"), key("rope.scaling.factor", float32(4)), key("rope.scaling.original_context_length", uint32(128))}},
		"granite":         {Arch: "granite", Keys: []gguf.KV{key("embedding_scale", float32(3)), key("residual_scale", float32(0.22)), key("attention.scale", float32(0.05)), key("logit_scale", float32(8))}},
		"granite-nowhere": {Arch: "granite", Keys: []gguf.KV{key("logit_scale", float32(2)), key("rope.scaling.finetuned", false)}},
		"exaone4":         {Arch: "exaone4"},
		"exaone4-32b":     {Arch: "exaone4", Layers: 64},
		"seed_oss":        {Arch: "seed_oss"},
		"starcoder2":      {Arch: "starcoder2", With: []string{"norm.bias"}},
		"mistral3":        {Arch: "mistral3", Keys: []gguf.KV{key("attention.temperature_scale", float32(0.5)), key("rope.scaling.type", "yarn"), key("rope.scaling.factor", float32(4)), key("rope.scaling.original_context_length", uint32(20)), key("rope.scaling.yarn_log_multiplier", float32(1))}},
		"glm4":            {Arch: "glm4", Keys: []gguf.KV{key("rope.dimension_count", uint32(16))}},
		"command-r":       {Arch: "command-r", Keys: []gguf.KV{key("logit_scale", float32(0.5))}},
		"cohere2":         {Arch: "cohere2", Layers: 5, Keys: []gguf.KV{key("logit_scale", float32(0.5))}},
		"internlm2":       {Arch: "internlm2", Untied: true},
		"stablelm":        {Arch: "stablelm", Untied: true, With: []string{"attn_norm.bias", "output_norm.bias", "ffn_norm.bias", "ffn_norm.weight"}, Keys: []gguf.KV{key("rope.dimension_count", uint32(8))}},
		"stablelm-beside": {Arch: "stablelm", Untied: true, With: []string{"attn_norm.bias", "output_norm.bias", "attn_q_norm.weight", "attn_k_norm.weight"}},
		"falcon":          {Arch: "falcon", With: []string{"norm.bias", "attn_qkv.weight"}},
		"falcon-40b":      {Arch: "falcon", With: []string{"norm.bias", "attn_qkv.weight", "attn_norm_2.weight", "attn_norm_2.bias"}},
	}
}
