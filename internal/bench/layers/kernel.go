package layers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/kernels"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// kernelLayer computes only the matrix products of the scenario's forward passes: each weight matrix times as many columns as the pass
// has rows. There is no attention, no normalisation and no quantisation of activations.
type kernelLayer struct {
	s        *Scenario
	p        passes
	set      kernel.Set
	pool     *nn.Pool
	matrices []*kernel.Matrix
	head     int // index of the output matrix: it is multiplied only for rows whose logits are needed
	panels   map[[2]int]*kernel.Panels
	y        []float32
	spaces   [][]byte
	job      kernels.Product
}

func newKernelLayer(s *Scenario) (measurable, error) {
	f, err := gguf.Open(s.Model)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tok, err := tokenizer.New(f)
	if err != nil {
		return nil, err
	}
	_, ids, err := s.prompt(tok)
	if err != nil {
		return nil, err
	}
	tier, err := cpu.ParseTier(s.Tier)
	if err != nil {
		return nil, err
	}
	instance.Tune(s.Threads)
	const budget = 256 // rows of a step, as the engine has it
	k := &kernelLayer{s: s, set: kernel.New(tier), pool: nn.NewPool(s.Threads), panels: map[[2]int]*kernel.Panels{},
		p: passes{batch: s.batch(), prompt: len(ids), gen: s.Gen, rows: max(budget, s.MaxBatch)}}
	if err := k.loadMatrices(f); err != nil {
		return nil, errors.Join(err, k.close())
	}
	k.prepare()
	return k, nil
}

// loadMatrices packs every weight matrix of the file. The token embedding is multiplied only in models that use it as output matrix,
// too; otherwise it is left out.
func (k *kernelLayer) loadMatrices(f *gguf.File) error {
	_, untied := f.Tensor("output.weight")
	k.head = -1
	for _, t := range f.Tensors() {
		isHead := t.Name == "output.weight" || t.Name == "token_embd.weight" && !untied
		if len(t.Shape) != 2 || t.Rows() < kernel.Lanes || t.Name == "token_embd.weight" && untied {
			continue
		}
		if !kernel.Supports(t.Type) || t.Cols()%kernel.BlockLen != 0 {
			return fmt.Errorf("tensor %q: no kernel for %v of %d columns", t.Name, t.Type, t.Cols())
		}
		m, err := kernel.NewMatrix(t.Type, t.Rows(), t.Cols())
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if isHead {
			k.head = len(k.matrices)
		}
		k.matrices = append(k.matrices, m)
		k.set.Pack(m, 0, t.Data, t.Rows())
		f.Release(t)
	}
	if len(k.matrices) == 0 {
		return errors.New("the model has no weight matrices")
	}
	return nil
}

// prepare makes the activations: a set for each number of columns that occurs in the passes.
func (k *kernelLayer) prepare() {
	rng := rand.New(rand.NewPCG(1, 2))
	need := 0
	for n := 1; n <= k.p.batch; n++ {
		for _, ps := range k.p.wave(n) {
			for i, m := range k.matrices {
				cols := ps.rows
				if i == k.head {
					cols = ps.logits
				}
				if cols == 0 {
					continue
				}
				need = max(need, cols*m.Groups()*kernel.Lanes)
				key := [2]int{m.Cols, cols}
				if p := k.panels[key]; p == nil || m.NeedsFloats() && p.X == nil {
					k.panels[key] = kernels.RandomPanels(rng, k.set, m.Cols, cols, m.NeedsFloats())
				}
			}
		}
	}
	k.y = make([]float32, need)
	k.spaces = kernels.Spaces(k.pool.Workers())
}

func (k *kernelLayer) close() error {
	k.pool.Close()
	var errs []error
	for _, m := range k.matrices {
		errs = append(errs, m.Free())
	}
	return errors.Join(errs...)
}

func (k *kernelLayer) run(ctx context.Context, requests int) (*LayerRun, error) {
	r := &LayerRun{Requests: requests, OK: requests, Tokens: requests * k.p.gen, PromptTotal: requests * k.p.prompt}
	start := time.Now()
	for left := requests; left > 0; left -= k.p.batch {
		for _, ps := range k.p.wave(min(left, k.p.batch)) {
			k.pass(ps)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

func (k *kernelLayer) pass(ps pass) {
	for i, m := range k.matrices {
		cols := ps.rows
		if i == k.head {
			cols = ps.logits
		}
		if cols == 0 {
			continue
		}
		k.job = kernels.Product{Set: k.set, M: m, P: k.panels[[2]int{m.Cols, cols}], Y: k.y, Spaces: k.spaces}
		k.pool.Run(&k.job)
	}
}
