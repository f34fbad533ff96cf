package model

import "github.com/penstock-llm/penstock/internal/gguf"

// What tests of this package need of its inside. They are outside of it because they
// use tinymodel, which imports it.

// Bind is bind.
func Bind(f *gguf.File) error {
	_, _, err := bind(f, Options{})
	return err
}

// DropFirstLayer takes the first layer out of a ModernBERT.
func DropFirstLayer(m *Model) { m.net.(*modernBert).layers = m.net.(*modernBert).layers[1:] }

// DistanceRange is distanceRange.
func DistanceRange(distance, ranges int) int { return distanceRange(distance, ranges) }

// Alibi is alibi.
func Alibi(c *Config) [][]float32 { return alibi(c) }
