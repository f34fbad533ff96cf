package nn

import (
	"errors"
	"fmt"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
)

// Fast is the backend for serving. Weights are packed for the kernels,
// activations quantised to int8 per block of 32, and every operation is one
// dispatch of the pool or none: about five per layer for a single row. A step
// allocates nothing.
type Fast struct {
	set   kernel.Set
	pool  *Pool
	lim   Limits
	prof  profiler
	arena kernel.Arena // the packed weights

	batch *batch.Batch
	store *kvcache.Store
	rows  int // rows of x: of the batch, then of its outputs, then of its logits
	seqs  int

	x, y   []float32 // [rows][ldx] residual stream; a product that joins it later
	ldx    int
	post   post
	qkv    []float32 // [rows][ldq] queries, keys, values
	ldq    int
	heads  []float32 // [rows][heads*hd], only if heads are not whole blocks
	logits []float32 // [logits][vocab, padded to 16]

	normed *kernel.Panels // h after Norm
	routed *kernel.Panels // normed with floats, if there are experts
	mixed  *kernel.Panels // h after Attend
	hidden *kernel.Panels // h after Gated
	final  *kernel.Panels // normalised rows for the head
	h      *kernel.Panels // the register

	ropes    []ropeRows
	tiling   tiling
	out      outputs
	own      []private
	convolve convolveJob
	faults   faults

	embed   embedJob
	norm    normJob
	stay    stayJob
	head    headJob
	settle  settleJob
	project projectJob
	normQK  normQKJob
	keeping storeJob
	attend  attendJob
	decode  decodeJob
	repack  quantizeJob
	gated   gatedJob
	single  activateJob
	refined refineJob
	mix     *mixture // nil: no layer has experts
}

// private is one worker's memory.
type private struct {
	row    []float32 // [dim] a normalised row
	rows   []float32 // [PanelCols][dim] those of a panel, or parts of them
	gated  []float32 // [rows][2*pairRows] gate and up of a chunk, or of several
	q      []float32 // [stackQueries][hd] queries at work, or a key
	out    []float32 // [stackQueries][hd] heads' outputs
	attend []float32 // the kernel's

	topVals [candidates]float32 // of a row of logits
	topIDs  [candidates]int32

	panels kernel.Panels // columns of an expert
	out2   kernel.Panels // its hidden units

	tiles    [kernel.StackTiles]kernel.Tile
	rowOf    [stackQueries]int // of the batch, of each query
	branches []kernel.Branch   // [8] of the first tile
	found    []float32         // [8][kernel.PartFloats] what its queries have found in a piece
	kv       kernel.KV
	part     kernel.Matrix // a view of the groups at work
	space    []byte        // for products
	_        [64]byte
}

// gatedChunks is how many chunks of a pair fit private.gated for one row.
const gatedChunks = 64

// NewFast makes a backend for steps up to lim. ropes are the rotations that the
// model's layers use.
func NewFast(set kernel.Set, pool *Pool, lim Limits, ropes []*Rope) (*Fast, error) {
	if err := lim.check(); err != nil {
		return nil, err
	}
	f := &Fast{set: set, pool: pool, lim: lim, prof: profiler{pool: pool}}
	f.ldx = apart(lim.Dim)
	f.ldq = apart(lim.projected())
	if err := f.buffers(); err != nil {
		return nil, errors.Join(err, f.arena.Free())
	}
	for _, r := range ropes {
		f.ropes = append(f.ropes, newRopeRows(r, lim.Rows))
	}
	f.tiling = newTiling(lim)
	f.out = newOutputs(lim.Rows)
	f.faults = newFaults(lim.Rows)
	f.initJobs()
	return f, nil
}

// buffers takes the memory of a step from the arena.
func (f *Fast) buffers() error {
	a, lim := &f.arena, f.lim
	var first error
	floats := func(n int) []float32 {
		x, err := a.Floats(n)
		first = errors.Join(first, err)
		return x
	}
	panels := func(k, cols int, floats bool) *kernel.Panels {
		p, err := a.Panels(k, cols, floats)
		first = errors.Join(first, err)
		return p
	}
	f.x, f.y = floats(lim.Rows*f.ldx), floats(lim.Rows*f.ldx)
	f.qkv = floats(lim.Rows * f.ldq)
	f.logits = floats(lim.Logits * pad(lim.Vocab))
	if lim.HeadDim%kernel.BlockLen != 0 {
		f.heads = floats(lim.Rows * lim.Heads)
	}
	f.routed, f.mixed = panels(lim.Dim, lim.Rows, lim.Floats || lim.Experts > 0), panels(lim.Heads, lim.Rows, lim.Floats)
	normed := *f.routed
	if f.normed = &normed; !lim.Floats {
		normed.X = nil
	}
	if lim.Hidden > 0 {
		f.hidden = panels(lim.Hidden, lim.Rows, lim.Floats)
	}
	f.final = panels(lim.Dim, lim.Logits, lim.Floats)
	if lim.Experts > 0 {
		f.mix = newMixture(f, floats, panels)
	}
	f.decode.pieces = newPieces(lim, floats)
	f.own = make([]private, f.pool.Workers())
	for w := range f.own {
		f.own[w].init(lim, floats)
		space, err := a.Space()
		first = errors.Join(first, err)
		f.own[w].space = space
	}
	return first
}

func (p *private) init(lim Limits, floats func(int) []float32) {
	p.row = floats(lim.Dim)
	p.rows = floats(kernel.PanelCols * lim.Dim)
	p.gated = floats(max(lim.Rows, gatedChunks) * 2 * pairRows)
	p.q = floats(stackQueries * lim.HeadDim)
	p.out = floats(stackQueries * lim.HeadDim)
	p.attend = floats(kernel.StackTiles * kernel.AttendScratch)
	p.branches = make([]kernel.Branch, 0, kernel.TileQueries)
	p.found = floats(kernel.TileQueries * kernel.PartFloats(lim.HeadDim))
}

func (f *Fast) initJobs() {
	f.embed = embedJob{f: f}
	f.norm = normJob{f: f}
	f.stay = stayJob{f: f}
	f.head = headJob{f: f}
	f.settle = settleJob{f: f}
	f.project = projectJob{f: f, segs: make([]segment, 0, 3*f.pool.nodes()), spans: newSpans(f.pool)}
	f.normQK = normQKJob{f: f}
	f.keeping = storeJob{spans: newSpans(f.pool)}
	f.attend = attendJob{spans: newSpans(f.pool)}
	f.decode.ready, f.decode.spans = newFlags(f.lim.Seqs*f.lim.KVHeads), newSpans(f.pool)
	f.repack = quantizeJob{f: f}
	f.convolve = convolveJob{f: f}
	f.gated = gatedJob{f: f, spans: newSpans(f.pool)}
	f.single = activateJob{f: f, spans: newSpans(f.pool)}
	f.refined = newRefineJob(f)
}

// projected is the width of what Project makes of a row.
func (l *Limits) projected() int {
	return max(pad(l.Heads)+2*pad(l.KVHeads*l.HeadDim), 3*pad(l.Conv))
}

// pad rounds a width up to whole groups of rows.
func pad(n int) int { return (n + kernel.Lanes - 1) / kernel.Lanes * kernel.Lanes }

// apart is the distance between rows of a width. Rows a large power of two apart
// would share the same few sets of the caches: a panel's columns would push each
// other out.
func apart(width int) int {
	ld := pad(width)
	if ld%256 == 0 {
		ld += kernel.Lanes
	}
	return ld
}

func (l Limits) check() error {
	if l.Rows <= 0 || l.Logits <= 0 || l.Seqs <= 0 || l.Vocab <= 0 || l.KVHeads <= 0 || l.Group <= 0 {
		return errors.New("the limits of a step must be positive")
	}
	for _, w := range []struct {
		name  string
		width int
	}{{"embedding", l.Dim}, {"attention output", l.Heads}, {"feed-forward", l.Hidden}, {"expert", l.ExpertFF}} {
		none := w.width == 0 && (w.name == "feed-forward" || w.name == "expert") && l.Hidden+l.ExpertFF > 0
		if !none && (w.width <= 0 || w.width%kernel.BlockLen != 0) {
			return fmt.Errorf("%s width %d is not a multiple of %d", w.name, w.width, kernel.BlockLen)
		}
	}
	if l.HeadDim <= 0 || l.HeadDim%2 != 0 || l.HeadDim > kernel.MaxHeadDim {
		return fmt.Errorf("head size %d: want an even number up to %d", l.HeadDim, kernel.MaxHeadDim)
	}
	return nil
}

// Bytes is about what the buffers of a backend with these limits take; pairs are
// those of its rotations.
func (l *Limits) Bytes(workers int, pairs []int) uint64 {
	panel := 2 // bytes of a panel per value, scales and sums included
	if l.Floats {
		panel += 4
	}
	row := 4*(2*apart(l.Dim)+apart(l.projected())) + panel*(l.Dim+l.Heads+l.Hidden)
	if l.HeadDim%kernel.BlockLen != 0 {
		row += 4 * l.Heads
	}
	for _, p := range pairs {
		row += 2 * 4 * p
	}
	row += 64 + 16*(l.Group/kernel.TileQueries+1) + 16 // lists of tiling and of outputs
	logit := 4*pad(l.Vocab) + panel*l.Dim
	seq := (2*64+8)*l.KVHeads + 48 // flags and lists of decodeJob
	mixture := l.mixtureBytes(panel)
	pieces := maxPieces * (8 + 4*l.Group*kernel.PartFloats(l.HeadDim))
	lists := 8 * candidates * refineLists(l.Logits, workers)
	own := kernel.SpaceBytes + 4*(max(l.Rows, gatedChunks)*2*pairRows+(1+kernel.PanelCols)*l.Dim+kernel.StackTiles*kernel.AttendScratch+2*stackQueries*l.HeadDim)
	return uint64(l.Rows*row) + uint64(l.Logits)*uint64(logit) + uint64(l.Seqs*seq) + uint64(lists+mixture+pieces) + uint64(workers*own)
}

// Load packs a matrix.
func (f *Fast) Load(m *Matrix, src []byte) error {
	if err := f.room(m, m.Rows); err != nil {
		return err
	}
	return fill(f.pool, f.set, m, src)
}

// LoadPair packs gate and up as one matrix where it can, so that a worker's
// share of both is one stream.
func (f *Fast) LoadPair(gate, up *Matrix, gateSrc, upSrc []byte) error {
	if gate.Type != up.Type || gate.Rows%pairRows != 0 {
		return errors.Join(f.Load(gate, gateSrc), f.Load(up, upSrc))
	}
	if err := f.room(gate, 2*gate.Rows); err != nil {
		return err
	}
	gate.twin, up.twin, up.part, up.packed = true, true, 1, gate.packed
	return errors.Join(fill(f.pool, f.set, gate, gateSrc), fill(f.pool, f.set, up, upSrc))
}

// room allocates a packed matrix for m.
func (f *Fast) room(m *Matrix, rows int) error {
	packed, err := f.arena.Matrix(m.Type, rows, m.Cols)
	m.packed = packed
	return err
}

// Begin starts a step.
func (f *Fast) Begin(b *batch.Batch, s *kvcache.Store) {
	f.lim.accept(b)
	f.batch, f.store = b, s
	f.rows, f.seqs = b.Rows(), b.Seqs()
	f.h, f.post = nil, post{}
	for i := range f.ropes {
		f.ropes[i].filled = false
	}
	f.tiling.reset(b, f.pool.Workers())
	f.out.reset(b)
	f.faults.clear()
	f.prof.step(f.rows)
}

// accept panics on a batch that the buffers were not made for: the scheduler
// promises never to send one.
func (l *Limits) accept(b *batch.Batch) {
	rows, seqs := b.Rows(), b.Seqs()
	if rows > l.Rows || seqs > l.Seqs || len(b.Logits) > l.Logits {
		panic(fmt.Sprintf("nn: a step of %d rows, %d sequences, %d logits; limits are %d, %d, %d",
			rows, seqs, len(b.Logits), l.Rows, l.Seqs, l.Logits))
	}
	if len(b.Hidden) > rows || len(b.Positions) != rows || len(b.Blocks) != seqs || len(b.Windows) > 0 && len(b.Windows) != seqs || seqs > 0 && int(b.Start[seqs]) != rows {
		panic(fmt.Sprintf("nn: a batch of %d tokens, %d positions, %d hidden, %d block tables, starts %v",
			rows, len(b.Positions), len(b.Hidden), len(b.Blocks), b.Start))
	}
}

// NotFinite lists the rows of the step with a NaN or an infinity.
func (f *Fast) NotFinite() []int32 { return f.faults.list() }

// Profile reads the counters.
func (f *Fast) Profile() Profile { return f.prof.total }

// SetProfile switches the counters; switching them on clears them.
func (f *Fast) SetProfile(on bool) { f.prof.set(on) }

// ArenaBytes is the memory of the packed weights and the buffers.
func (f *Fast) ArenaBytes() int { return f.arena.Bytes() }

// Close frees the weights.
func (f *Fast) Close() error { return f.arena.Free() }
