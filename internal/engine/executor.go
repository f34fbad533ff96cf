package engine

import (
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Executor computes a batch: a model with its cache, or a Mock.
type Executor interface {
	// Forward returns the logits of the rows that b names, [len(b.Logits), Vocab],
	// valid until the next call.
	Forward(b *batch.Batch) []float32
	Vocab() int
	MaxRows() int   // of a batch
	MaxLogits() int // of a batch
}

// Runner has several workers do a job at once; *nn.Pool is one. The engine
// gives it the sampling of a step.
type Runner interface {
	Run(nn.Job)
	Workers() int
}

// parker is a Runner whose workers spin between jobs unless told to sleep.
type parker interface{ Park() }
