package model

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Weights says what becomes of matrices that a file has in floats. Products of 8-bit
// integers take a third of the time of those of floats.
type Weights uint8

const (
	WeightsAuto  Weights = iota // an encoder's are rounded to Q8_0, others stay as they are
	WeightsExact                // all stay as they are
	WeightsQ8                   // all are rounded to Q8_0
)

var weightsNames = [...]string{WeightsAuto: "auto", WeightsExact: "exact", WeightsQ8: "q8_0"}

func (w Weights) String() string { return weightsNames[w] }

// UnmarshalText implements encoding.TextUnmarshaler: the names of String.
func (w *Weights) UnmarshalText(text []byte) error {
	i := slices.Index(weightsNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no way to keep weights: want auto, exact or q8_0", text)
	}
	*w = Weights(i)
	return nil
}

// requantize notes which matrices of floats are to be rounded while they are loaded.
// Routers stay: which experts a row gets should not depend on it.
func (b *binder) requantize(o Options) {
	if o.Reference || o.Weights == WeightsExact || o.Weights == WeightsAuto && !b.config.Encoder {
		return
	}
	b.limits.Floats = false
	for _, l := range b.loads {
		for _, m := range []*nn.Matrix{l.m, l.twin} {
			if m == nil || !m.MultipliesFloats() || slices.Contains(b.routers, m) {
				continue
			}
			if m.Cols%quant.Q8_0.BlockSize() == 0 {
				m.Type = quant.Q8_0
			} else {
				b.limits.Floats = true
			}
		}
	}
}

// rounded are a tensor's rows in the format that m is loaded in.
func (m *Model) rounded(t gguf.Tensor, to quant.Type) ([]byte, error) {
	if t.Type == to {
		return t.Data, nil
	}
	j := &roundJob{t: t, to: to, cols: t.Cols(), rows: t.Rows()}
	j.dst = make([]byte, j.rows*to.RowBytes(j.cols))
	m.pool.Share(j)
	if err := j.err.Load(); err != nil {
		return nil, *err
	}
	return j.dst, nil
}

// roundJob rounds a tensor, row by row.
type roundJob struct {
	t          gguf.Tensor
	to         quant.Type
	rows, cols int
	dst        []byte
	next       atomic.Int64
	err        atomic.Pointer[error]
}

func (j *roundJob) Do(_, _ int) {
	x := make([]float32, j.cols)
	from, to := j.t.Type.RowBytes(j.cols), j.to.RowBytes(j.cols)
	for {
		r := int(j.next.Add(1)) - 1
		if r >= j.rows {
			return
		}
		err := quant.Dequantize(j.t.Type, x, j.t.Data[r*from:][:from])
		if err == nil {
			err = quant.Quantize(j.to, j.dst[r*to:][:to], x)
		}
		if err != nil {
			j.err.CompareAndSwap(nil, &err)
		}
	}
}
