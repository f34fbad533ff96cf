package quantize

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Conversion is a file and what it is turned into.
type Conversion struct {
	Changed int // matrices that get another type
	Other   int // of all matrices those whose rows the mix's own type does not divide

	in         *gguf.File
	mix        Mix
	importance *Importance
	source     string // name of the importance matrix's file
	out        []gguf.Tensor
}

// Plan says what becomes of each tensor of a file. importance may be nil; source is the
// name of its file.
func Plan(in *gguf.File, mix Mix, importance *Importance, source string) (*Conversion, error) {
	c := &Conversion{in: in, mix: mix, importance: importance, source: source, out: slices.Clone(in.Tensors())}
	types := choose(in, mix, importance != nil)
	for i := range c.out {
		t := &c.out[i]
		if quantizable(*t) && t.Cols()%mix.Base.BlockSize() != 0 {
			c.Other++
		}
		if t.Type != types[i] {
			c.Changed++
		}
		if e := c.entry(t.Name); e != nil && (len(e.Sums) != len(e.Counts)*t.Cols() || t.Rows()%len(e.Counts) != 0) {
			return nil, fmt.Errorf("the importance matrix is of another model: for %s it has %d matrices of %d columns, the model %d rows of %d columns",
				t.Name, len(e.Counts), len(e.Sums)/len(e.Counts), t.Rows(), t.Cols())
		}
		t.Type = types[i]
	}
	if importance != nil && !slices.ContainsFunc(c.out, func(t gguf.Tensor) bool { return c.entry(t.Name) != nil }) {
		return nil, fmt.Errorf("the importance matrix is of another model: none of its %d tensors is in this one", len(importance.Entries))
	}
	return c, nil
}

func (c *Conversion) entry(name string) *Entry {
	if c.importance == nil {
		return nil
	}
	return c.importance.Entries[name]
}

// meta is the metadata of the new file.
func (c *Conversion) meta() (meta []gguf.KV) {
	ours := []gguf.KV{{Key: "general.quantization_version", Value: uint32(2)}}
	if !c.mix.Pure {
		ours = append(ours, gguf.KV{Key: "general.file_type", Value: c.mix.code})
	}
	if m := c.importance; m != nil {
		ours = append(ours, gguf.KV{Key: "quantize.imatrix.file", Value: c.source})
		if len(m.Datasets) > 0 {
			ours = append(ours, gguf.KV{Key: "quantize.imatrix.dataset", Value: m.Datasets[0]})
		}
		ours = append(ours, gguf.KV{Key: "quantize.imatrix.entries_count", Value: uint32(len(m.Entries))},
			gguf.KV{Key: "quantize.imatrix.chunks_count", Value: uint32(m.Chunks)})
	}
	for _, key := range c.in.Keys() {
		replaced := key == "general.file_type" || slices.ContainsFunc(ours, func(kv gguf.KV) bool { return kv.Key == key })
		if v, _ := c.in.Value(key); !replaced {
			meta = append(meta, gguf.KV{Key: key, Value: v})
		}
	}
	return append(meta, ours...)
}

// Write writes the new file. progress is told how many of how many bytes of the old one
// are done.
func (c *Conversion) Write(ctx context.Context, w io.Writer, progress func(stage string, done, total int64)) error {
	tensors := c.in.Tensors()
	var done, total int64
	for _, t := range tensors {
		total += int64(len(t.Data))
	}
	return gguf.WriteFunc(w, c.meta(), c.out, func(i int) ([]byte, error) {
		data, err := c.recode(ctx, tensors[i], c.out[i].Type)
		c.in.Release(tensors[i])
		done += int64(len(tensors[i].Data))
		progress("converting", done, total)
		return data, err
	})
}

// recodeTensor is a tensor of a file in another type, by all processors. A file that is cut
// meanwhile is an error.
func recodeTensor(ctx context.Context, in *gguf.File, t gguf.Tensor, kind quant.Type, e *Entry) ([]byte, error) {
	if t.Type == kind {
		return t.Data, nil
	}
	const chunk = 16 // rows, which are of one expert
	mats, rows := 1, t.Rows()
	if e != nil {
		mats = len(e.Counts)
	}
	each := rows / mats
	data := make([]byte, rows*kind.RowBytes(t.Cols()))
	chunks := (each + chunk - 1) / chunk
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			values := make([]float32, chunk*t.Cols())
			for n := int(next.Add(1)) - 1; n < mats*chunks && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				m, first := n/chunks, n%chunks*chunk
				part := t.Part(m*each+first, min(chunk, each-first))
				var columns []float32
				if e != nil {
					columns = e.Columns(m)
				}
				size := kind.RowBytes(t.Cols())
				dst := data[(m*each+first)*size:][:part.Rows()*size]
				if err := in.Guard(func() error { return recodePart(part, kind, dst, values[:part.Elements()], columns) }); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return data, ctx.Err()
}

func recodePart(t gguf.Tensor, kind quant.Type, dst []byte, values, columns []float32) error {
	if err := quant.Dequantize(t.Type, values, t.Data); err != nil {
		return err
	}
	return quant.QuantizeRows(kind, dst, values, columns)
}

func (c *Conversion) recode(ctx context.Context, t gguf.Tensor, kind quant.Type) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return recodeTensor(ctx, c.in, t, kind, c.entry(t.Name))
}

// Copy writes a file as it is: one that was put together from files of another format.
func Copy(ctx context.Context, w io.Writer, in *gguf.File, progress func(stage string, done, total int64)) error {
	var meta []gguf.KV
	for _, key := range in.Keys() {
		v, _ := in.Value(key)
		meta = append(meta, gguf.KV{Key: key, Value: v})
	}
	tensors := in.Tensors()
	var done, total int64
	for _, t := range tensors {
		total += int64(len(t.Data))
	}
	return gguf.WriteFunc(w, meta, tensors, func(i int) ([]byte, error) {
		done += int64(len(tensors[i].Data))
		progress("converting", done, total)
		return tensors[i].Data, ctx.Err()
	})
}
