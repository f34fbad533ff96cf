package tokenizer

import (
	"slices"
	"testing"
)

// TestAnswersEnd: in every family that is served, the token that ends a turn by its
// template ends an answer, as do those that end a text or a message with a call. ends
// and goes are the control tokens of its vocabulary, and keys the roles that its
// converter writes; the other tokens of a template must not end anything.
func TestAnswersEnd(t *testing.T) {
	for name, family := range map[string]struct {
		model      string
		keys       map[string]string
		ends, goes []string
	}{
		"llama 2, mistral, mixtral, internlm2 base": {"llama", map[string]string{"eos": "</s>"}, []string{"</s>"}, []string{"[INST]", "[/INST]"}},
		"llama 3":                          {"gpt2", map[string]string{"eos": "<|end_of_text|>"}, []string{"<|end_of_text|>", "<|eot_id|>", "<|eom_id|>"}, []string{"<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>"}},
		"llama 3 instruct":                 {"gpt2", map[string]string{"eos": "<|eot_id|>"}, []string{"<|end_of_text|>", "<|eot_id|>", "<|eom_id|>"}, []string{"<|start_header_id|>"}},
		"qwen2, qwen3, qwen2moe, qwen3moe": {"gpt2", map[string]string{"eos": "<|im_end|>"}, []string{"<|endoftext|>", "<|im_end|>"}, []string{"<|im_start|>", "<|vision_start|>"}},
		"smollm3, stablelm, internlm2, lfm2, lfm2moe": {"gpt2", map[string]string{"eos": "<|im_end|>"}, []string{"<|im_end|>", "<|endoftext|>"}, []string{"<|im_start|>", "<|tool_call_start|>", "<|tool_call_end|>", "<|tool_response_start|>"}},
		"gemma, gemma2, gemma3":                       {"llama", map[string]string{"eos": "<eos>", "eot": "<end_of_turn>"}, []string{"<eos>", "<end_of_turn>"}, []string{"<start_of_turn>"}},
		"gemma without its turns' end":                {"llama", map[string]string{"eos": "<eos>"}, []string{"<eos>", "<end_of_turn>"}, []string{"<start_of_turn>"}},
		"phi3":                                        {"llama", map[string]string{"eos": "<|endoftext|>"}, []string{"<|endoftext|>", "<|end|>"}, []string{"<|user|>", "<|assistant|>", "<|system|>"}},
		"phi 4 mini":                                  {"gpt2", map[string]string{"eos": "<|endoftext|>"}, []string{"<|endoftext|>", "<|end|>"}, []string{"<|user|>", "<|tool|>"}},
		"olmo2, olmoe, starcoder2, falcon":            {"gpt2", map[string]string{"eos": "<|endoftext|>"}, []string{"<|endoftext|>"}, []string{"<|user|>", "<|assistant|>"}},
		"granite, granitemoe":                         {"gpt2", map[string]string{"eos": "<|end_of_text|>"}, []string{"<|end_of_text|>"}, []string{"<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"}},
		"exaone4":                                     {"gpt2", map[string]string{"eos": "[|endofturn|]"}, []string{"[|endofturn|]"}, []string{"[|user|]", "[|assistant|]"}},
		"seed_oss":                                    {"gpt2", map[string]string{"eos": "<seed:eos>"}, []string{"<seed:eos>"}, []string{"<seed:think>", "<seed:tool_call>"}},
		"mistral3":                                    {"gpt2", map[string]string{"eos": "</s>"}, []string{"</s>"}, []string{"[INST]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]"}},
		"glm4":                                        {"gpt2", map[string]string{"eos": "<|endoftext|>", "eot": "<|user|>", "eom": "<|observation|>"}, []string{"<|endoftext|>", "<|user|>", "<|observation|>"}, []string{"<|assistant|>", "<|system|>"}},
		"command-r, cohere2":                          {"gpt2", map[string]string{"eos": "<|END_OF_TURN_TOKEN|>"}, []string{"<|END_OF_TURN_TOKEN|>"}, []string{"<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|START_ACTION|>", "<|END_ACTION|>"}},
		"deepseek":                                    {"gpt2", map[string]string{"eos": "<｜end▁of▁sentence｜>"}, []string{"<｜end▁of▁sentence｜>"}, []string{"<｜User｜>", "<｜Assistant｜>"}},
		"deepseek, with another end in its file":      {"gpt2", map[string]string{"eos": "<|EOT|>"}, []string{"<|EOT|>", "<｜end▁of▁sentence｜>"}, []string{"<｜User｜>"}},
		"gpt-oss":                                     {"gpt2", map[string]string{"eos": "<|return|>"}, []string{"<|return|>", "<|call|>", "<|endoftext|>"}, []string{"<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>"}},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := append([]string{"a", "b"}, append(slices.Clone(family.ends), family.goes...)...)
			types, scores := make([]int32, len(tokens)), make([]float32, len(tokens))
			for i := range types {
				types[i] = 3 // control
			}
			types[0], types[1] = 1, 1
			meta := map[string]any{"model": family.model, "tokens": tokens, "token_type": types, "scores": scores, "merges": []string{"a b"}}
			for role, text := range family.keys {
				meta[role+"_token_id"] = uint32(slices.Index(tokens, text))
			}
			tok, err := build(meta)
			if err != nil {
				t.Fatal(err)
			}
			for id, text := range tokens {
				if want := slices.Contains(family.ends, text); tok.IsEOG(int32(id)) != want {
					t.Errorf("%s ends an answer: %v, want %v", text, !want, want)
				}
			}
		})
	}
}
