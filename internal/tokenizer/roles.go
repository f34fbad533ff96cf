package tokenizer

import (
	"slices"
	"strings"
)

// endTexts are the texts of tokens that end an answer, even if the file does not
// mark them as such.
var endTexts = []string{
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
	"<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
	"<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
	"<｜end▁of▁sentence｜>", "[e~[",
}

// shown are control tokens of gpt-oss that clients have to see.
var shown = []string{"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}

// others are further tokens that exceptions and strips look up by their texts.
var others = []string{"<mask>", "[MASK]", "<unk>", "<s>"}

// assignRoles finds out which tokens end an answer, and corrects attributes
// that converters are known to get wrong. Files rarely say what a token is for,
// so most of it follows from the token's text. otherwise are the roles' tokens
// that a file which does not name them means.
func (v *vocabulary) assignRoles(otherwise roles) {
	v.roles = roles{
		bos:       v.id("bos_token_id", otherwise.bos),
		eos:       v.id("eos_token_id", otherwise.eos),
		separator: v.id("seperator_token_id", otherwise.separator),
		unknown:   v.id("unknown_token_id", otherwise.unknown),
	}
	named := v.named()
	v.assignInfill(named)
	for _, text := range endTexts {
		if id, ok := named[text]; ok {
			v.attrs[id] |= controlToken
			v.endsWith(id)
		}
	}
	for _, text := range shown {
		if id, ok := named[text]; ok {
			v.attrs[id] = userToken | turnToken
		}
	}
	v.reserve()
	v.endsWith(v.eos)
	v.endsWith(v.id("eot_token_id", -1))
	v.endsWith(v.id("eom_token_id", -1))
	v.exceptions(named)
	slices.Sort(v.eog)
	v.strips(named)
}

// reserve marks the tokens of type user-defined whose names are <|…|> or <｜…｜>,
// as those that make turns. Newer converters give such tokens the type control.
func (v *vocabulary) reserve() {
	for id, a := range v.attrs {
		text := v.texts[id]
		if a&userToken != 0 && (between(text, "<|", "|>") || between(text, "<｜", "｜>")) {
			v.attrs[id] |= turnToken
		}
	}
}

func between(s, before, after string) bool {
	return len(s) > len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// named returns the tokens whose texts this file mentions.
func (v *vocabulary) named() map[string]int32 {
	wanted := map[string]bool{}
	for _, list := range [][]string{endTexts, shown, others} {
		for _, text := range list {
			wanted[text] = true
		}
	}
	for _, role := range infill {
		for _, text := range role.texts {
			wanted[text] = true
		}
	}
	named := map[string]int32{}
	for id, text := range v.texts {
		if len(text) > 2 && wanted[text] {
			named[text] = int32(id)
		}
	}
	return named
}

// endsWith notes that a token ends an answer.
func (v *vocabulary) endsWith(id int32) {
	if id >= 0 && !slices.Contains(v.eog, id) {
		v.eog = append(v.eog, id)
	}
}

// exceptions corrects two models in which a token of endTexts does not end an
// answer.
func (v *vocabulary) exceptions(named map[string]int32) {
	ends := func(text string) bool {
		return slices.ContainsFunc(v.eog, func(id int32) bool { return v.texts[id] == text })
	}
	drop := func(text string, a attr) {
		if id, ok := named[text]; ok && ends(text) {
			v.eog = slices.DeleteFunc(v.eog, func(e int32) bool { return e == id })
			v.attrs[id] = a
		}
	}
	calls := ends("<|call|>") || ends("<|calls|>")
	if calls && (ends("<|return|>") || ends("<|flush|>")) {
		drop("<|end|>", userToken|turnToken) // ends a message, of which an answer has several
	}
	if ends("<|tool_response>") || ends("<|plamo:eos|>") {
		drop("</s>", normalToken)
	}
}

// strips sets which tokens swallow white space. Files don't say; it follows from
// what the model is called.
func (v *vocabulary) strips(named map[string]int32) {
	pre, _ := v.file.Str("tokenizer.ggml.pre")
	arch, _ := v.file.Str("general.architecture")
	name, _ := v.file.Str("general.name")
	name = strings.ToLower(name)
	set := func(text string, a attr) {
		if id, ok := named[text]; ok {
			v.attrs[id] |= a
		}
	}
	switch {
	case containsAny(pre, "jina-v2-de", "jina-v2-es", "jina-v2-code") || containsAny(arch, "nomic-bert-moe", "jina-bert-v3"):
		set("<mask>", lstrip)
	case containsAny(name, "phi-3", "phi3"):
		for id := range v.attrs {
			if v.attrs[id]&(hidden|userToken) != 0 {
				v.attrs[id] |= rstrip
			}
		}
		set("</s>", rstrip)
		for _, text := range []string{"<unk>", "<s>", "<|endoftext|>"} {
			if id, ok := named[text]; ok {
				v.attrs[id] &^= rstrip
			}
		}
	case strings.Contains(name, "modern-bert"):
		set("[MASK]", lstrip)
	}
}

func containsAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
}
