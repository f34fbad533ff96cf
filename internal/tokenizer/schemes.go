package tokenizer

import (
	"fmt"
	"strings"
)

// scheme is how the BPE vocabularies of one name split text, and what else that
// name implies.
type scheme struct {
	stages       pretokenizer
	ignoreMerges bool // a piece that is a token needs no merges
	addBOS       bool // where the file doesn't say
	rawText      bool // symbols are characters, with ▁ for space, not mapped bytes
	newlines     bool // a piece of newlines that is a token needs no merges
	forceBOS     bool // whatever the file says
}

// schemes is by the names that llama.cpp knows in tokenizer.ggml.pre.
var schemes = nameSchemes()

// schemeTable has the schemes by all of their names.
var schemeTable = map[string]scheme{
	"default": {stages: pretokenizer{
		isolate(signRuns("`")), cut(gpt2), isolate(upTo(anyDigits, number)), isolate(asciiTriples),
	}},
	"falcon": {stages: pretokenizer{isolate(signRuns("")), cut(gpt2), isolate(asciiTriples)}},
	`gpt-2 a.x-4.0 exaone4 gigachat granite-docling jais jina-de jina-es jina-v1-en jina-v2-code
	jina-v2-de jina-v2-es mellum modern-bert mpt olmo phi-2 roberta-bpe trillion`: {
		stages: pretokenizer{cut(gpt2)},
	},
	"smollm codeshell command-r exaone mellum2 minerva-7b refact starcoder": {
		stages: pretokenizer{isolate(upTo(1, number)), cut(gpt2)},
	},

	"llama-bpe falcon-h1 falcon3 jina-v5-nano lfm2 llama-v3 llama3 midm-2.0 pixtral": {
		stages: pretokenizer{cut(llama3.first)}, ignoreMerges: true, addBOS: true,
	},
	"chatglm-bpe dbrx smaug-bpe": {stages: pretokenizer{cut(llama3.first)}},
	"glm4 glm5":                  {stages: pretokenizer{cut(llama3.first)}, ignoreMerges: true},
	"minicpm5":                   {stages: pretokenizer{isolate(upTo(3, number)), cut(minicpm.first)}, ignoreMerges: true},
	"jais-2":                     {stages: pretokenizer{cascade}},
	`qwen2 bailingmoe bailingmoe2 deepseek-r1-qwen f2llmv2 grok-2 hunyuan kormo llada-moe megrez
	solar-open stablelm2`: {
		stages: pretokenizer{cut(qwen2.first)},
	},
	"qwen35":     {stages: pretokenizer{cut(qwen35.first)}},
	"laguna":     {stages: pretokenizer{cut(lines), cut(qwen2.first)}},
	"seed-coder": {stages: pretokenizer{cut(seedCoder.first)}},
	"ufakzeka":   {stages: pretokenizer{cut(ufakzeka.first)}},
	"exaone-moe": {stages: pretokenizer{cut(exaoneMoE.first)}},

	"tekken": {stages: pretokenizer{cut(tekken.first)}, ignoreMerges: true, addBOS: true},
	"gpt-4o kanana2 llama4 minimax-m2 talkie": {stages: pretokenizer{cut(gpt4o.first)}},
	"granite-embed-multi-97m":                 {stages: pretokenizer{cut(graniteMulti.first)}, ignoreMerges: true},
	"tiny_aya cohere2moe":                     {stages: pretokenizer{thousands, cut(tinyAya.first)}},
	"youtu":                                   {stages: pretokenizer{isolate(runs(youtuRun)), cut(youtu.first)}, ignoreMerges: true},
	"kimi-k2":                                 {stages: pretokenizer{cut(kimi.first)}},

	"deepseek-llm": {stages: pretokenizer{
		isolate(lineBreak), isolate(spaced(deepseekLetters.span)), isolate(spaced(deepseekSigns.span)),
		isolate(blankTail), isolate(runs(deepseekScripts.span)), isolate(upTo(anyDigits, number)),
	}},
	"deepseek-coder": {stages: pretokenizer{
		isolate(lineBreak), isolate(spaced(ofClass(letter))), isolate(spaced(ofClass(punct))),
		isolate(runs(deepseekScripts.span)), isolate(upTo(1, number)),
	}},
	"deepseek-v3 hunyuan-dense hy_v4 joyai-llm": {stages: pretokenizer{
		isolate(upTo(3, number)), isolate(runs(hanKana.span)), isolate(deepseek3.find),
	}},
	"spark2_5": {stages: pretokenizer{
		isolate(upTo(3, number)), isolate(runs(hanKana.span)), isolate(spark.find), isolate(upTo(1, number)),
	}},
	"afmoe": {stages: pretokenizer{thousands, isolate(runs(asian.span)), isolate(deepseek3.find)}},

	"bloom gpt3-finnish poro-chat": {stages: pretokenizer{isolate(bloom)}},
	"viking":                       {stages: pretokenizer{isolate(bloom), isolate(upTo(1, number))}},
	"superbpe":                     {stages: pretokenizer{isolate(upTo(anyDigits, number)), asciiThousands}},
	"chameleon": {addBOS: true, stages: pretokenizer{
		isolate(sentinels), isolate(imageTokens), isolate(indents),
		isolate(upTo(1, number)), isolate(signs), cut(gpt2),
	}},

	"gemma4 granite-embed-multi-311m": {stages: pretokenizer{cut(lines)}, rawText: true, newlines: true, forceBOS: true},
	"sarvam-moe":                      {stages: pretokenizer{cut(lines)}, rawText: true},
}

// nameSchemes gives every one of the names of a scheme its own entry.
func nameSchemes() map[string]scheme {
	named := map[string]scheme{}
	for names, s := range schemeTable {
		for name := range strings.FieldsSeq(names) {
			named[name] = s
		}
	}
	return named
}

// schemeOf returns the scheme of a name in tokenizer.ggml.pre; files from before
// that key existed have none.
func schemeOf(name string) (scheme, error) {
	if name == "" {
		name = "default"
	}
	s, ok := schemes[name]
	if !ok {
		return scheme{}, fmt.Errorf("unknown pre-tokenizer %q", name)
	}
	return s, nil
}
