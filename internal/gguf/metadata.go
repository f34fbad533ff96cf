package gguf

import "math"

// Value is the entry for key as it was stored; see KV for its types.
func (f *File) Value(key string) (any, bool) {
	i, ok := f.byKey[key]
	if !ok {
		return nil, false
	}
	return f.meta[i].Value, true
}

// The accessors below report false both for a key that is missing and for a
// value that is of another kind or out of range. Writers disagree on the width
// of integers and floats, so every width is accepted.

// Str is the string stored for key.
func (f *File) Str(key string) (string, bool) { return lookup[string](f, key) }

// Bool is the truth value stored for key.
func (f *File) Bool(key string) (value, ok bool) { return lookup[bool](f, key) }

// Strs is the array of strings stored for key. It must not be changed.
func (f *File) Strs(key string) ([]string, bool) { return lookup[[]string](f, key) }

func lookup[T any](f *File, key string) (T, bool) {
	v, _ := f.Value(key)
	t, ok := v.(T)
	return t, ok
}

// Int is the integer stored for key.
func (f *File) Int(key string) (int64, bool) {
	v, _ := f.Value(key)
	return integer(v)
}

// Uint is the integer stored for key if it is not negative.
func (f *File) Uint(key string) (uint64, bool) {
	v, _ := f.Value(key)
	if u, ok := v.(uint64); ok {
		return u, true
	}
	i, ok := integer(v)
	return uint64(i), ok && i >= 0
}

// Float is the number stored for key, integers included.
func (f *File) Float(key string) (float64, bool) {
	v, _ := f.Value(key)
	switch v := v.(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	case uint64:
		return float64(v), true
	}
	i, ok := integer(v)
	return float64(i), ok
}

// integer widens any integer that fits.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case uint8:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

// Floats is the array of floats stored for key, as float32.
func (f *File) Floats(key string) ([]float32, bool) {
	v, _ := f.Value(key)
	switch v := v.(type) {
	case []float32:
		return v, true
	case []float64:
		return widen[float32](v), true
	}
	return nil, false
}

// Ints is the array of integers stored for key.
func (f *File) Ints(key string) ([]int64, bool) {
	v, _ := f.Value(key)
	switch v := v.(type) {
	case []uint8:
		return widen[int64](v), true
	case []int8:
		return widen[int64](v), true
	case []uint16:
		return widen[int64](v), true
	case []int16:
		return widen[int64](v), true
	case []uint32:
		return widen[int64](v), true
	case []int32:
		return widen[int64](v), true
	case []int64:
		return v, true
	case []uint64:
		for _, u := range v {
			if u > math.MaxInt64 {
				return nil, false
			}
		}
		return widen[int64](v), true
	}
	return nil, false
}

type number interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64 | float32 | float64
}

func widen[To, From number](from []From) []To {
	to := make([]To, len(from))
	for i, v := range from {
		to[i] = To(v)
	}
	return to
}
