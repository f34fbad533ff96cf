package gguf

import (
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// The keys below "general." mean the same in every file, whatever model it
// holds. That is why this package reads them; all other keys belong to the
// packages that know models and tokenizers.

// Sampling is how a model's authors want its tokens chosen. A nil field means
// that they say nothing about it.
type Sampling struct {
	Temperature   *float64 // 0: always the likeliest token
	TopK          *int     // 0 or less: all tokens
	TopP          *float64 // 1: off
	MinP          *float64 // 0: off
	RepeatPenalty *float64 // 1: off
	RepeatLastN   *int     // tokens that the penalty looks back; -1: the whole context
}

// Sampling reads the file's own settings, general.sampling.*. A value that no
// sampler could use, such as a negative temperature, counts as missing: a file
// with such a value can still be served well.
func (f *File) Sampling() Sampling {
	return Sampling{
		Temperature:   f.floatWithin("general.sampling.temp", 0, math.MaxFloat32),
		TopK:          f.intWithin("general.sampling.top_k", -1),
		TopP:          f.floatWithin("general.sampling.top_p", 0, 1),
		MinP:          f.floatWithin("general.sampling.min_p", 0, 1),
		RepeatPenalty: f.floatWithin("general.sampling.penalty_repeat", math.SmallestNonzeroFloat32, math.MaxFloat32),
		RepeatLastN:   f.intWithin("general.sampling.penalty_last_n", -1),
	}
}

// floatWithin is the number stored for key, nil unless least <= number <= most.
// Files hold float32; the shortest decimal that means the same float32 is the
// number that the author wrote, so that 0.7 does not become 0.699999988.
func (f *File) floatWithin(key string, least, most float64) *float64 {
	v, ok := f.Float(key)
	if !ok || !(v >= least && v <= most) { // NaN is in no range
		return nil
	}
	v = shortest(v)
	return &v
}

// intWithin is the integer stored for key, nil unless least <= integer < 2^31.
func (f *File) intWithin(key string, least int64) *int {
	v, ok := f.Int(key)
	if !ok || v < least || v > math.MaxInt32 {
		return nil
	}
	n := int(v)
	return &n
}

// shortest rounds v, if it is a float32, to the decimal number that prints it.
func shortest(v float64) float64 {
	single := float32(v)
	if float64(single) != v {
		return v // stored as a float64
	}
	decimal, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
	if err != nil {
		return v
	}
	return decimal
}

// empty matches names of files and models that say nothing: model.gguf,
// ggml-model-q4_0.gguf, the hash that a cache has as a file's name.
var empty = regexp.MustCompile(`(?i)^((ggml|hf|llm|my|the|new)[-_.])?(model|weights|ggml|gguf|output|out|llm|main|default|file|download|data|blob|tmp|temp|unsloth|untitled|unknown|llama_model)?([-_.]?(iq|q|f|bf)\d+(_\w+)*)?$|^(sha256[-_:]?)?[0-9a-f]{16,}$|^\d+$`)

// Label is what to call the model: the name of its file, which people chose, or
// the name in its metadata if the file's name says nothing. It is never a path,
// because clients see it.
func (f *File) Label() string {
	stem := pieces.ReplaceAllString(filepath.Base(f.path), ".gguf")
	if strings.EqualFold(filepath.Ext(stem), ".gguf") {
		stem = stem[:len(stem)-len(".gguf")]
	}
	base, _ := f.Str("general.basename")
	size, _ := f.Str("general.size_label")
	tune, _ := f.Str("general.finetune")
	name, _ := f.Str("general.name")
	architecture, _ := f.Str("general.architecture")
	for _, label := range []string{stem, lastOf(name), joined(base, size, tune), architecture} {
		if !empty.MatchString(label) {
			return label
		}
	}
	return "model"
}

// lastOf makes a name of one word out of one that may be a path or a sentence.
func lastOf(name string) string {
	name = strings.ReplaceAll(strings.TrimRight(name, `/\ `), `\`, "/")
	return strings.Join(strings.Fields(name[strings.LastIndexByte(name, '/')+1:]), "-")
}

// joined is Base-Size-Tune, as model files are usually called.
func joined(base string, more ...string) string {
	label := lastOf(base)
	for _, part := range more {
		if part = lastOf(part); label != "" && part != "" {
			label += "-" + part
		}
	}
	return label
}
