package nn

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
)

// Convolution is a short convolution, which in some layers takes the place of
// attention. Project computes three vectors of a row, as wide as x; with queries q,
// keys k and values v standing for them
//
//	h_t = k_t · Σ_j Kernel_j · (q·v)_(t-Width+1+j)
//
// element by element. What a row needs of earlier rows, their products q·v, is kept in
// the cache like keys and values: by position, in blocks. So a sequence can go on after
// any position whose block is there.
type Convolution struct {
	Group  batch.Group // whose cache and block tables it has
	Layer  int         // in that cache
	Width  int         // rows that a row's result depends on, itself included
	Kernel []float32   // [Width][dim], that of the oldest row first
}

// of is the part of the kernel for the row that is j after the oldest.
func (c *Convolution) of(j, dim int) []float32 { return c.Kernel[j*dim:][:dim] }

// convolveJob computes a convolution. A task is some channels of a sequence, whose rows
// it goes through in their order.
type convolveJob struct {
	f     *Fast
	c     *Convolution
	cache *kvcache.Cache
	dim   int
	tasks counter
}

// channels is the number of channels of a task.
const channels = 128

// Convolve stores the step's products and sets h to the convolution.
func (f *Fast) Convolve(c *Convolution) {
	f.prof.begin(KindAttention)
	if f.rows > 0 {
		f.mixed.Reset(f.rows)
	}
	j := &f.convolve
	j.c, j.cache, j.dim = c, f.store.Cache(c.Group), f.lim.Conv
	j.tasks.reset()
	f.pool.Share(j)
	f.h = f.mixed
	f.prof.end(f.rows)
}

func (j *convolveJob) Do(worker, _ int) {
	parts := (j.dim + channels - 1) / channels
	for t := j.tasks.next(); t < j.f.seqs*parts; t = j.tasks.next() {
		from := t % parts * channels
		j.sequence(&j.f.own[worker], t/parts, from, min(from+channels, j.dim))
	}
}

// sequence computes the channels [from, to) of a sequence's rows, and passes those that
// are wanted on to the projection that follows, a panel of rows at a time.
func (j *convolveJob) sequence(own *private, seq, from, to int) {
	f, n := j.f, to-from
	first, end := f.batch.Start[seq], f.batch.Start[seq+1]
	wanted := f.tiling.wanted
	at, _ := slices.BinarySearch(wanted, first)
	ready := 0 // rows of own.rows
	flush := func() {
		f.set.QuantizeColumns(f.mixed, at-ready, from, &kernel.Columns{X: own.rows, N: ready, LD: n, Len: n})
		ready = 0
	}
	for row := first; row < end; row++ {
		j.keep(int(row), seq, from, to)
		if at == len(wanted) || wanted[at] != row {
			continue
		}
		j.row(own.rows[ready*n:][:n], int(row), seq, from)
		at++
		if ready++; ready == kernel.PanelCols {
			flush()
		}
	}
	flush()
}

// kept is the products of a sequence's position.
func (j *convolveJob) kept(seq, pos int) []float32 {
	block := j.f.batch.Table(j.c.Group, seq)[pos/kernel.BlockTokens]
	return j.cache.Row(j.c.Layer, block, pos%kernel.BlockTokens)
}

// keep stores the products of a row.
func (j *convolveJob) keep(row, seq, from, to int) {
	f, wide := j.f, pad(j.dim)
	q, v := f.qkv[row*f.ldq:][from:to], f.qkv[row*f.ldq+2*wide:][from:to]
	kept := j.kept(seq, int(f.batch.Positions[row]))[from:to]
	for i := range kept {
		kept[i] = q[i] * v[i]
	}
	if !f.set.Finite(kept) {
		f.faults.add(row)
	}
}

// row sets out to the channels from from on of a row whose products are kept.
func (j *convolveJob) row(out []float32, row, seq, from int) {
	f, pos := j.f, int(j.f.batch.Positions[row])
	clear(out)
	for k := max(0, j.c.Width-1-pos); k < j.c.Width; k++ {
		kept, weights := j.kept(seq, pos-j.c.Width+1+k)[from:][:len(out)], j.c.of(k, j.dim)[from:][:len(out)]
		for i, w := range weights {
			out[i] += w * kept[i]
		}
	}
	factors := f.qkv[row*f.ldq+pad(j.dim):][from:][:len(out)]
	for i, c := range factors {
		out[i] *= c
	}
	if !f.set.Finite(out) {
		f.faults.add(row)
	}
}

// Convolve stores the step's products and sets h to the convolution.
func (r *Reference) Convolve(c *Convolution) {
	r.prof.begin(KindAttention)
	kept := r.kept[c.Group].keys[c.Layer]
	for i := range r.batch.Rows() {
		seq, pos := r.position(i)
		product := make([]float32, len(r.q[i]))
		for d := range product {
			product[d] = r.q[i][d] * r.v[i][d]
		}
		r.look(i, product)
		kept[r.slot(c.Group, seq, pos)] = product
	}
	dim := len(c.Kernel) / c.Width
	r.h = table(len(r.rows), dim)
	for i, row := range r.rows {
		seq, pos := r.position(row)
		for d := range dim {
			sum := 0.0
			for k := max(0, c.Width-1-int(pos)); k < c.Width; k++ {
				at := r.slot(c.Group, seq, pos-int32(c.Width-1-k))
				sum += float64(c.of(k, dim)[d]) * float64(kept[at][d])
			}
			r.h[i][d] = float32(sum * float64(r.k[row][d]))
		}
		r.look(row, r.h[i])
	}
	r.prof.end(len(r.rows))
}
