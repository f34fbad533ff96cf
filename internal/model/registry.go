package model

import (
	"fmt"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/nn"
)

// network is an architecture with its weights bound: it knows which operations
// make a step, and a backend does them.
type network interface {
	forward(be nn.Backend) []float32
}

// architecture is one entry of the registry.
type architecture struct {
	name   string // general.architecture
	bind   func(b *binder) network
	mixed  bool // its layers may have experts
	needs  bool // and must have them
	period int  // layers after which the kinds of layers repeat; 0: all are alike
	square bool // see Traits

	convolves  bool   // layers without key heads are convolutions
	outputNorm string // the last norm's name; "": output_norm

	encoder   bool // it makes embeddings only
	layerNorm bool // its norms subtract the mean
}

// architectures is everything that can be loaded. Adding one is a file with its
// bind, and a line here.
func architectures() []architecture {
	return []architecture{
		{name: "bert", bind: bindBert, encoder: true, layerNorm: true},
		{name: "cohere2", bind: bindCohere2, period: cohere2Period, square: true, layerNorm: true},
		{name: "command-r", bind: bindCommandR, square: true, layerNorm: true},
		{name: "deepseek", bind: bindDeepSeek, mixed: true, needs: true, square: true},
		{name: "exaone4", bind: bindEXAONE4, square: true},
		{name: "falcon", bind: bindFalcon, square: true, layerNorm: true},
		{name: "gemma", bind: bindGemma},
		{name: "gemma-embedding", bind: bindGemmaEmbedding, encoder: true, period: gemma3Period},
		{name: "gemma2", bind: bindGemma2, period: gemma2Period},
		{name: "gemma3", bind: bindGemma3, period: gemma3Period},
		{name: "glm4", bind: bindGLM4},
		{name: "gpt-oss", bind: bindGPTOSS, mixed: true, needs: true, period: gptOSSPeriod},
		{name: "granite", bind: bindGranite, mixed: true},
		{name: "granitemoe", bind: bindGranite, mixed: true, needs: true},
		{name: "internlm2", bind: bindLlama, square: true},
		{name: "jina-bert-v2", bind: bindJinaBertV2, encoder: true, layerNorm: true},
		{name: "lfm2", bind: bindLFM2, convolves: true, outputNorm: "token_embd_norm", period: 2, square: true},
		{name: "lfm2moe", bind: bindLFM2, convolves: true, outputNorm: "token_embd_norm", period: 2, square: true, mixed: true, needs: true},
		{name: "llama", bind: bindLlama, mixed: true},
		{name: "mistral3", bind: bindMistral3, mixed: true},
		{name: "modern-bert", bind: bindModernBert, encoder: true, layerNorm: true},
		{name: "mpnet", bind: bindMPNet, encoder: true, layerNorm: true},
		{name: "nomic-bert", bind: bindNomicBert, encoder: true, layerNorm: true},
		{name: "olmo2", bind: bindOLMo2, period: olmo2Period, square: true},
		{name: "olmoe", bind: bindOLMoE, mixed: true, needs: true, square: true},
		{name: "phi3", bind: bindPhi3, square: true},
		{name: "qwen2", bind: bindQwen2, square: true},
		{name: "qwen2moe", bind: bindQwen2MoE, mixed: true, needs: true, square: true},
		{name: "qwen3", bind: bindQwen3},
		{name: "qwen3moe", bind: bindQwen3MoE, mixed: true, needs: true},
		{name: "seed_oss", bind: bindSeedOSS},
		{name: "smollm3", bind: bindSmolLM3, period: smolLM3Period},
		{name: "stablelm", bind: bindStableLM, square: true, layerNorm: true},
		{name: "starcoder2", bind: bindStarCoder2, square: true, layerNorm: true},
	}
}

// architectureNames lists the names of the supported architectures.
func architectureNames() []string {
	var names []string
	for _, a := range architectures() {
		names = append(names, a.name)
	}
	return names
}

// find returns the architecture of a file.
func find(f *gguf.File) (architecture, error) {
	name, ok := f.Str("general.architecture")
	if !ok {
		return architecture{}, fmt.Errorf("%s: key %q is missing", f.Path(), "general.architecture")
	}
	for _, a := range architectures() {
		if a.name == name {
			return a, nil
		}
	}
	advice := ""
	if near := nearest(name); near != "" {
		advice = fmt.Sprintf("nearest: %s; ", near)
	}
	return architecture{}, fmt.Errorf("%s: architecture %q is not served; %sserved: %s",
		f.Path(), brief(name), advice, strings.Join(architectureNames(), ", "))
}

// nearest is the architecture whose name has the most letters in common with name, from
// the first on; "" if there are fewer than three.
func nearest(name string) (best string) {
	most := 2
	for _, candidate := range architectureNames() {
		n := 0
		for n < min(len(candidate), len(name)) && candidate[n] == name[n] {
			n++
		}
		if n > most || n == most && best != "" && len(candidate) < len(best) {
			best, most = candidate, n
		}
	}
	return best
}
