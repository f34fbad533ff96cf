package gguf

import (
	"math"
	"strconv"
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
