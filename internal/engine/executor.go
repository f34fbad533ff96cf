package engine

import (
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Executor computes a batch: a model with its cache, or a Mock.
type Executor interface {
	// Forward returns the logits of the rows that b names, [len(b.Logits), Vocab],
	// valid until the next call. The engine changes them.
	Forward(b *batch.Batch) []float32
	// NotFinite lists the rows of the last batch in which a number was not finite,
	// ascending: what was computed for their sequences means nothing.
	NotFinite() []int32
	Vocab() int
	MaxRows() int   // of a batch
	MaxLogits() int // of a batch
}

// Runner does a job with several workers at once; *nn.Pool is one. The executor
// uses it for the forward pass, and the engine for the sampling of a step. A worker
// that comes late may get no part of a job. An engine leases the Runner for each
// step, so that engines that share one take turns.
type Runner interface {
	Lease()
	Release()
	Share(nn.Job)
	Workers() int
}

// waker is a Runner whose idle workers sleep: they can be roused ahead of work.
type waker interface{ Wake() }

// preparer is an Executor that can ask the system for the memory of the first so many
// blocks before they are used. A call asks for one piece, takes little time, and
// reports whether there is more.
type preparer interface {
	Prepare(room kvcache.Room) (more bool)
}

// modelExecutor is a model with the store that the scheduler's blocks are in.
type modelExecutor struct {
	*model.Model
	store *kvcache.Store
}

func (x modelExecutor) BlockBytes(g batch.Group) int { return x.store.BlockBytes(g) }

func (x modelExecutor) Copy(dst []byte, g batch.Group, block int32) { x.store.Copy(dst, g, block) }

func (x modelExecutor) Paste(g batch.Group, block int32, src []byte) { x.store.Paste(g, block, src) }

// ForModel makes a model and its store an Executor. Closing them is the
// caller's affair.
func ForModel(m *model.Model, s *kvcache.Store) Executor { return modelExecutor{m, s} }

func (x modelExecutor) Forward(b *batch.Batch) []float32 { return x.Model.Forward(b, x.store) }

func (x modelExecutor) Dim() int { return x.Config().Dim }

func (x modelExecutor) Vocab() int { return x.Config().Vocab }

func (x modelExecutor) Prepare(room kvcache.Room) bool { return x.store.Prepare(room) }
