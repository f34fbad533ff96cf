package tinymodel

import (
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// Token types as GGUF stores them.
const (
	normal  int32 = 1
	unknown int32 = 2
	control int32 = 3
	unused  int32 = 5
	byteFor int32 = 6
)

// chatML is the template of SmolLM2 and Qwen, without their system prompts.
const chatML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// gemmaTemplate calls the assistant "model" and begins with BOS.
const gemmaTemplate = `{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}`

// infill are the tokens of fill-in-the-middle, as Qwen2.5-Coder calls them.
var infill = []string{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}

// vocabulary is the tokenizer's part of the metadata.
func (o *Options) vocabulary() ([]gguf.KV, error) {
	v, err := learnt(vocabularyKey{o.Vocabulary, o.Vocab, o.Infill})
	if err != nil {
		return nil, err
	}
	return v.metadata(o), nil
}

// vocabularyKey is what a vocabulary depends on.
type vocabularyKey struct {
	name   string
	size   int
	infill bool
}

// vocabularies are those that were learnt before. Learning one takes as long as all
// else of a model, and tests make hundreds of models with the same.
var vocabularies sync.Map // vocabularyKey: *vocabulary, not written to

func learnt(k vocabularyKey) (*vocabulary, error) {
	if v, ok := vocabularies.Load(k); ok {
		return v.(*vocabulary), nil
	}
	v := &vocabulary{}
	switch k.name {
	case "smollm": // special tokens first
		v.special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
		if k.infill {
			v.byteLevel(k.size - len(infill))
			v.special(infill...)
		} else {
			v.byteLevel(k.size)
		}
	case "qwen2": // special tokens last
		v.byteLevel(k.size - 3)
		v.special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
	case "gemma":
		v.special("<pad>", "<eos>", "<bos>")
		v.add("<unk>", unknown, 0)
		v.special("<start_of_turn>", "<end_of_turn>")
		v.pieces(k.size)
	case "bert":
		v.special("[PAD]")
		v.add("[UNK]", unknown, 0)
		v.special("[CLS]", "[SEP]", "[MASK]")
		v.wordPieces(k.size)
	default:
		return nil, fmt.Errorf("vocabulary %q is not smollm, qwen2, gemma or bert", k.name)
	}
	if len(v.tokens) != k.size {
		return nil, fmt.Errorf("vocabulary %s has at least %d tokens, not %d", k.name, len(v.tokens), k.size)
	}
	vocabularies.Store(k, v)
	return v, nil
}

// metadata uses the keys of the models that these vocabularies are named after.
func (v *vocabulary) metadata(o *Options) []gguf.KV {
	id := func(token string) uint32 { return uint32(v.ids[token]) }
	meta := []gguf.KV{
		{Key: "tokenizer.ggml.tokens", Value: v.tokens},
		{Key: "tokenizer.ggml.token_type", Value: v.types},
	}
	if o.Vocabulary == "gemma" {
		setDefault(&o.Template, gemmaTemplate)
		return append(meta,
			gguf.KV{Key: "tokenizer.ggml.model", Value: "llama"},
			gguf.KV{Key: "tokenizer.ggml.pre", Value: "default"},
			gguf.KV{Key: "tokenizer.ggml.scores", Value: v.scores},
			gguf.KV{Key: "tokenizer.ggml.padding_token_id", Value: id("<pad>")},
			gguf.KV{Key: "tokenizer.ggml.eos_token_id", Value: id("<eos>")},
			gguf.KV{Key: "tokenizer.ggml.eot_token_id", Value: id("<end_of_turn>")},
			gguf.KV{Key: "tokenizer.ggml.bos_token_id", Value: id("<bos>")},
			gguf.KV{Key: "tokenizer.ggml.unknown_token_id", Value: id("<unk>")},
			gguf.KV{Key: "tokenizer.ggml.add_bos_token", Value: true},
			gguf.KV{Key: "tokenizer.ggml.add_eos_token", Value: false},
			gguf.KV{Key: "tokenizer.ggml.add_space_prefix", Value: false},
			gguf.KV{Key: "tokenizer.chat_template", Value: o.Template})
	}
	if o.Vocabulary == "bert" {
		return append(meta,
			gguf.KV{Key: "tokenizer.ggml.model", Value: "bert"},
			gguf.KV{Key: "tokenizer.ggml.token_type_count", Value: uint32(2)},
			gguf.KV{Key: "tokenizer.ggml.pre", Value: "default"},
			gguf.KV{Key: "tokenizer.ggml.bos_token_id", Value: id("[CLS]")},
			gguf.KV{Key: "tokenizer.ggml.seperator_token_id", Value: id("[SEP]")},
			gguf.KV{Key: "tokenizer.ggml.unknown_token_id", Value: id("[UNK]")},
			gguf.KV{Key: "tokenizer.ggml.padding_token_id", Value: id("[PAD]")})
	}
	bos := "<|im_start|>"
	if o.Vocabulary == "qwen2" {
		bos = "<|endoftext|>"
	}
	setDefault(&o.Template, chatML)
	return append(meta,
		gguf.KV{Key: "tokenizer.ggml.model", Value: "gpt2"},
		gguf.KV{Key: "tokenizer.ggml.pre", Value: o.Vocabulary},
		gguf.KV{Key: "tokenizer.ggml.merges", Value: v.merges},
		gguf.KV{Key: "tokenizer.ggml.bos_token_id", Value: id(bos)},
		gguf.KV{Key: "tokenizer.ggml.eos_token_id", Value: id("<|im_end|>")},
		gguf.KV{Key: "tokenizer.ggml.padding_token_id", Value: id("<|endoftext|>")},
		gguf.KV{Key: "tokenizer.ggml.add_bos_token", Value: false},
		gguf.KV{Key: "tokenizer.ggml.add_space_prefix", Value: false},
		gguf.KV{Key: "tokenizer.chat_template", Value: o.Template})
}

type vocabulary struct {
	tokens []string
	types  []int32
	scores []float32
	merges []string // "left right", best first
	ids    map[string]int
}

func (v *vocabulary) add(token string, typ int32, score float32) {
	if v.ids == nil {
		v.ids = make(map[string]int)
	}
	v.ids[token] = len(v.tokens)
	v.tokens = append(v.tokens, token)
	v.types = append(v.types, typ)
	v.scores = append(v.scores, score)
}

func (v *vocabulary) special(tokens ...string) {
	for _, token := range tokens {
		v.add(token, control, 0)
	}
}

// byteLevel adds the 256 bytes in GPT-2's spelling, then merges up to size.
func (v *vocabulary) byteLevel(size int) {
	for b := range 256 {
		v.add(string(byteRune(byte(b))), normal, 0)
	}
	for pair := range learn(words("Ġ")) {
		if len(v.tokens) >= size {
			break
		}
		v.merges = append(v.merges, pair[0]+" "+pair[1])
		if _, ok := v.ids[pair[0]+pair[1]]; !ok {
			v.add(pair[0]+pair[1], normal, 0)
		}
	}
	v.fill(size)
}

// byteRune spells a byte as GPT-2 does: printable Latin-1 as itself, the rest
// as the runes from U+0100 on, in order.
func byteRune(b byte) rune {
	next := rune(0x100)
	for c := range int(b) + 1 {
		printable := c > ' ' && c < 0x7f || c > 0xa0 && c != 0xad
		switch {
		case c == int(b) && printable:
			return rune(b)
		case c == int(b):
			return next
		case !printable:
			next++
		}
	}
	panic("unreachable: the loop ends at b")
}

// pieces adds byte fallbacks, single characters and merges as SentencePiece
// does, the better ones with the higher score.
func (v *vocabulary) pieces(size int) {
	for b := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", b), byteFor, 0)
	}
	score := float32(0)
	piece := func(p string) {
		if _, ok := v.ids[p]; !ok {
			score--
			v.add(p, normal, score)
		}
	}
	const singles = 1 + '~' - '!' + 1 // ▁ and the printable ASCII characters
	for pair := range learn(words("▁")) {
		if len(v.tokens)+singles >= size {
			break
		}
		piece(pair[0] + pair[1])
	}
	piece("▁")
	for c := rune('!'); c <= '~'; c++ {
		piece(string(c))
	}
	v.fill(size)
}

// fill adds tokens without a meaning until there are size.
func (v *vocabulary) fill(size int) {
	for i := 0; len(v.tokens) < size; i++ {
		v.add(fmt.Sprintf("<unused%d>", i), unused, -1e3)
	}
}

// word is a word of the corpus as it is merged step by step.
type word struct {
	symbols []string
	count   int // in the corpus
}

// words splits the corpus into words and punctuation, each word with its
// leading space spelled as space, each symbol a string of its own.
func words(space string) []word {
	var all []word
	index := make(map[string]int)
	add := func(text string) {
		i, ok := index[text]
		if !ok {
			i = len(all)
			index[text] = i
			all = append(all, word{symbols: strings.Split(text, "")})
		}
		all[i].count++
	}
	for _, text := range strings.Fields(corpus) {
		rest := strings.TrimRight(text, ".,:;?")
		add(space + rest)
		for _, c := range text[len(rest):] {
			add(string(c))
		}
	}
	return all
}

// learn is the training of byte pair encoding: it merges the two neighbours that
// occur together most often, again and again. Among equally frequent pairs, the
// first in the corpus is merged.
func learn(words []word) iter.Seq[[2]string] {
	return func(yield func(pair [2]string) bool) {
		for {
			pair, count := mostFrequent(words)
			if count < 2 || !yield(pair) {
				return
			}
			for i := range words {
				words[i].merge(pair)
			}
		}
	}
}

func mostFrequent(words []word) (best [2]string, n int) {
	count := make(map[[2]string]int)
	for _, w := range words {
		for i := range len(w.symbols) - 1 {
			count[[2]string{w.symbols[i], w.symbols[i+1]}] += w.count
		}
	}
	for _, w := range words { // not over the map, whose order is random
		for i := range len(w.symbols) - 1 {
			if p := [2]string{w.symbols[i], w.symbols[i+1]}; count[p] > n {
				best, n = p, count[p]
			}
		}
	}
	return best, n
}

func (w *word) merge(pair [2]string) {
	merged := w.symbols[:0]
	for i := 0; i < len(w.symbols); i++ {
		symbol := w.symbols[i]
		if symbol == pair[0] && i+1 < len(w.symbols) && w.symbols[i+1] == pair[1] {
			symbol += pair[1]
			i++
		}
		merged = append(merged, symbol)
	}
	w.symbols = merged
}

// corpus is what the merges are learnt from.
const corpus = `The water comes down from the lake above the town, through a pipe that is as wide as a door and as long as the valley.
People call it the penstock. At the bottom of the pipe there is a house, and in the house there is a wheel; when the water
meets the wheel, the wheel turns, and when the wheel turns there is light in the town. Nobody in the town thinks about the
pipe. They think about the light, and sometimes about the lake, where they go to swim in the summer and to skate in the winter.
But the people who look after the house think about the pipe all the time. They know that the water which leaves the lake and
the water which meets the wheel is the same water, and that what is lost on the way is lost for good. A rough wall, a sharp
bend, a valve that is not quite open; each of them takes a little, and the wheel turns a little slower than it could. So they
walk along the pipe, and they listen, and they measure, and where something is lost they find out why. It is quiet work. The
best that can be said of it is that nobody notices, that the lights are on, and that the lake is still there in the morning.
What would you like to know about the weather today? Tell me a story about a small town, please. How are you? I am fine, thank
you, and I would like to know what the time is. This is a test, and this is only a test of the thing that we are going to do.
In the winter the lake is quiet, and the town is quiet too. The measures are written in a book, one line for each day, and the
book goes back more than a hundred years. Someone who wants to know what the weather was like on the day they were born can look
it up: the rain, the snow, the height of the water, and how much light there was. Every morning somebody opens the book, reads
what was written before, and adds another line. Sometimes there is a question: why was it slower yesterday, when the water was
higher? Then they go and look, and they measure again, and they write down what they find, so that nobody has to ask a second
time. You could say that the book is the story of the town, and that the story of the town is mostly about water. Please write
a short poem about the winter, or a list of three things that people measure every day. What is the height of the snow today?
How much rain would you like? I think that another day is fine, and that the answer to your question is written in the book.`
