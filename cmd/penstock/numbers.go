package main

import (
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// limits are the numbers that a flag takes, both ends included.
type limits struct{ low, high float64 }

// numbers has the limits of flags by name, where they differ from the usual ones of
// their type. A number outside would overflow in a package below, take all memory,
// or mean something that nobody asked for.
var numbers = map[string]limits{
	"threads":           {0, float64(runtime.NumCPU())}, // the threads spin, so more of them than processors only wait for each other
	"ctx":               {0, 1 << 24},
	"max-batch":         {0, 1 << 12},
	"step-budget":       {0, 1 << 16},
	"max-queue":         {0, 1 << 20},
	"max-tokens":        {0, 1 << 24},
	"port":              {0, math.MaxUint16},
	"temperature":       {0, 100},
	"top-k":             {0, 1 << 20},
	"top-p":             {math.SmallestNonzeroFloat32, 1},
	"min-p":             {0, 1},
	"typical-p":         {math.SmallestNonzeroFloat32, 1},
	"repeat-penalty":    {math.SmallestNonzeroFloat32, 100},
	"repeat-last-n":     {-1, 1 << 24},
	"presence-penalty":  {-100, 100},
	"frequency-penalty": {-100, 100},
	"seed":              {-1, math.MaxUint32},
	"warmup":            {-1, 1 << 20},
}

// usual are the limits of the flags that numbers does not name.
func usual(t reflect.Type) limits {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return limits{0, float64(8760 * time.Hour)} // a year
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return limits{0, 1e9}
	default:
		return limits{0, math.MaxInt32}
	}
}

// numberMappers read the numbers of the command line, the environment and the
// configuration file.
func numberMappers() []kong.Option {
	options := []kong.Option{kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(readNumber))}
	for _, kind := range []reflect.Kind{reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64} {
		options = append(options, kong.KindMapper(kind, kong.MapperFunc(readNumber)))
	}
	return options
}

func readNumber(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("a number", &text); err != nil {
		return err
	}
	return setNumber(ctx.Value.Name, text, target)
}

// setNumber reads a number for a flag, or for a parameter of the same name.
func setNumber(name, text string, target reflect.Value) error {
	within, ok := numbers[name]
	if !ok {
		within = usual(target.Type())
	}
	wrong := func() error { return fmt.Errorf("want %s, not %q", within.text(target.Type()), clip(text)) }
	var value float64
	switch {
	case target.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return wrong()
		}
		value = float64(d)
		target.SetInt(int64(d))
	case target.CanInt():
		n, err := strconv.ParseInt(text, 10, target.Type().Bits())
		if err != nil {
			return wrong()
		}
		value = float64(n)
		target.SetInt(n)
	case target.CanUint():
		n, err := strconv.ParseUint(text, 10, target.Type().Bits())
		if err != nil {
			return wrong()
		}
		value = float64(n)
		target.SetUint(n)
	default:
		x, err := strconv.ParseFloat(text, target.Type().Bits())
		if err != nil {
			return wrong()
		}
		value = x
		target.SetFloat(x)
	}
	if !(value >= within.low && value <= within.high) { // also true for NaN
		return wrong()
	}
	return nil
}

// text says which numbers of a type are within the limits.
func (l limits) text(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 30s or 5m, up to a year"
	case t.Kind() != reflect.Float32 && t.Kind() != reflect.Float64:
		return fmt.Sprintf("a whole number from %.0f to %.0f", l.low, l.high)
	case l.low == math.SmallestNonzeroFloat32:
		return fmt.Sprintf("a number above 0 and up to %g", l.high)
	default:
		return fmt.Sprintf("a number from %g to %g", l.low, l.high)
	}
}

// byteSize is a flag such as 512MiB, 2GB or 1000000.
type byteSize uint64

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *byteSize) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "BKMGTibkmgt ")
	unit := strings.ToLower(strings.TrimSpace(string(text)[len(number):]))
	scale, ok := map[string]float64{
		"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
		"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20, "gi": 1 << 30, "gib": 1 << 30, "ti": 1 << 40, "tib": 1 << 40,
	}[unit]
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v*scale <= 1<<60) {
		return fmt.Errorf("%q is no size: want a number with B, KB, MB, GB, KiB, MiB or GiB", clip(string(text)))
	}
	*b = byteSize(v * scale)
	return nil
}
