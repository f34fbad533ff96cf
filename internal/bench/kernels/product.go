package kernels

import (
	"math/rand/v2"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// RandomPanels makes random activations: cols columns of the given length, quantised, and kept as floats, too, if floats is set.
func RandomPanels(rng *rand.Rand, set kernel.Set, length, cols int, floats bool) *kernel.Panels {
	p := kernel.NewPanels(length, cols, floats)
	x := make([]float32, length)
	for c := range cols {
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		set.Quantize(p, c, 0, x)
	}
	return p
}

// Product is the multiplication of one matrix with activations. Each worker computes an equal part of the rows.
type Product struct {
	Set kernel.Set
	M   *kernel.Matrix
	P   *kernel.Panels
	Y   []float32

	Spaces [][]byte // of the workers
}

// Spaces makes the memory that products take for a time.
func Spaces(workers int) [][]byte {
	spaces := make([][]byte, workers)
	for w := range spaces {
		spaces[w] = kernel.NewSpace()
	}
	return spaces
}

// Do implements nn.Job.
func (j *Product) Do(worker, workers int) {
	g := j.M.Groups()
	j.Set.Mul(j.M, j.P, g*worker/workers, g*(worker+1)/workers, kernel.Output{Y: j.Y, LD: g * kernel.Lanes, Space: j.Spaces[worker]})
}
