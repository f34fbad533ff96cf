package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/quant"
)

// A layer whose widths leave some workers without a piece, and others with one more.
const (
	layerDim   = 96
	layerHeads = 6
	layerKV    = 3
	layerHD    = 32
	layerFF    = 160
	layerVocab = 150
	layerRows  = 70
)

// layer is the weights of a whole forward pass with one layer.
type layer struct {
	qkv       QKV
	ffn       FFN
	out, down Linear
	head      Output
	norm      Norm
	embedding Embedding
}

// q8Matrix is random, in Q8_0. It is the same for the same seed.
func q8Matrix(t *testing.T, f *Fast, rows, cols int, seed uint64) Linear {
	t.Helper()
	m := &Matrix{Type: quant.Q8_0, Rows: rows, Cols: cols}
	if err := f.Load(m, q8Rows(rows, cols, seed)); err != nil {
		t.Fatal(err)
	}
	return Linear{W: m}
}

func q8Rows(rows, cols int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	src := make([]byte, rows*quant.Q8_0.RowBytes(cols))
	for i := range src {
		switch i % 34 {
		case 0:
			src[i] = byte(r.Uint32())
		case 1:
			src[i] = 0x1c // a scale of about 0.004
		default:
			src[i] = byte(r.Uint32())
		}
	}
	return src
}

func newLayer(t *testing.T, f *Fast) *layer {
	t.Helper()
	weight := make([]float32, layerDim)
	for i := range weight {
		weight[i] = 1 + float32(i%7)/8
	}
	l := &layer{norm: Norm{Weight: weight, Eps: 1e-6}}
	l.embedding = Embedding{Type: quant.Q8_0, Dim: layerDim, Data: q8Rows(layerVocab, layerDim, 1)}
	l.qkv = QKV{Q: q8Matrix(t, f, layerHeads*layerHD, layerDim, 2), K: q8Matrix(t, f, layerKV*layerHD, layerDim, 3), V: q8Matrix(t, f, layerKV*layerHD, layerDim, 4)}
	l.out, l.down = q8Matrix(t, f, layerDim, layerHeads*layerHD, 5), q8Matrix(t, f, layerDim, layerFF, 6)
	gate, up := &Matrix{Type: quant.Q8_0, Rows: layerFF, Cols: layerDim}, &Matrix{Type: quant.Q8_0, Rows: layerFF, Cols: layerDim}
	if err := f.LoadPair(gate, up, q8Rows(layerFF, layerDim, 7), q8Rows(layerFF, layerDim, 8)); err != nil {
		t.Fatal(err)
	}
	l.ffn = FFN{Gate: Linear{W: gate}, Up: Linear{W: up}}
	l.head = Output{Linear: q8Matrix(t, f, layerVocab, layerDim, 9)}
	return l
}

// pass is the logits of a prompt, and of the steps after it.
func (l *layer) pass(f *Fast, store *kvcache.Store) (logits []float32) {
	table := make([]int32, (layerRows+8)/kernel.BlockTokens+1)
	for i := range table {
		table[i] = int32(i)
	}
	step := func(first, n int) {
		b := &batch.Batch{Start: []int32{0, int32(n)}, Blocks: [][]int32{table}, Logits: []int32{int32(n) - 1}}
		for i := range n {
			b.Tokens = append(b.Tokens, int32((first+i)*37%layerVocab))
			b.Positions = append(b.Positions, int32(first+i))
		}
		f.Begin(b, store)
		f.Embed(&l.embedding)
		f.Norm(&l.norm)
		f.Project(&l.qkv)
		f.Attend(&Attention{Heads: layerHeads, KVHeads: layerKV, HeadDim: layerHD, Scale: 0.2})
		f.ProjectAdd(&l.out)
		f.Norm(&l.norm)
		f.Gated(&l.ffn)
		f.ProjectAdd(&l.down)
		f.Narrow()
		logits = append(logits, f.Head(&l.norm, &l.head)...)
	}
	step(0, layerRows)
	for i := range 4 {
		step(layerRows+i, 1)
	}
	return logits
}

// runLayer loads the layer with a pool and returns what comes of it.
func runLayer(t *testing.T, set kernel.Set, seats []cpu.Seat) []float32 {
	t.Helper()
	pool := newPool(seats)
	defer pool.Close()
	f, err := NewFast(set, pool, Limits{Rows: layerRows, Logits: 1, Seqs: 1, Dim: layerDim, Heads: layerHeads * layerHD, Hidden: layerFF, Vocab: layerVocab,
		Group: layerHeads / layerKV, KVHeads: layerKV, HeadDim: layerHD}, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := kvcache.NewStore([batch.Groups]kvcache.Config{batch.Full: {Layers: 1, KVHeads: layerKV, HeadDim: layerHD, Type: quant.I16}}, kvcache.Room{Blocks: 8})
	if err != nil {
		t.Fatal(err)
	}
	logits := slices.Clone(newLayer(t, f).pass(f, store))
	for _, err := range []error{f.Close(), store.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	return logits
}

// TestWorkersChangeNothing: a pass has the same bits with any number of workers, more than there are processors included, on one node of
// memory and on several.
func TestWorkersChangeNothing(t *testing.T) {
	set := kernel.New(cpu.Detect())
	want := runLayer(t, set, onNodes(1))
	if len(want) != 5*layerVocab || want[0] == want[1] || slices.ContainsFunc(want, func(x float32) bool { return math.IsNaN(float64(x)) }) {
		t.Fatalf("no logits: %v", want[:8])
	}
	for _, nodes := range [][]int{{2}, {3}, {5}, {16}, {1, 1}, {2, 2}, {1, 3}, {3, 1}, {2, 1, 2}, {8, 8}} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			for i, x := range runLayer(t, set, onNodes(nodes...)) {
				if math.Float32bits(x) != math.Float32bits(want[i]) {
					t.Fatalf("logit %d is %v, with one worker %v", i, x, want[i])
				}
			}
		})
	}
}

// TestNodesReadWhatTheyHaveLoaded: the groups of a matrix that a node's workers begin with are those whose rows they have packed.
func TestNodesReadWhatTheyHaveLoaded(t *testing.T) {
	f := &Fast{pool: &Pool{workers: 4, seats: onNodes(2, 2)}}
	for _, rows := range [][]int{{4096, 1024, 1024}, {1000, 64, 64}, {640}} {
		j := projectJob{f: f, segs: make([]segment, 0, 6), spans: newSpans(f.pool)}
		for _, n := range rows {
			m, err := kernel.NewMatrix(quant.Q8_0, n, 64)
			if err != nil {
				t.Fatal(err)
			}
			j.append(&Linear{W: &Matrix{Rows: n, packed: m}}, 0)
		}
		groups := j.plan()
		for i, n := range rows {
			half := (n + kernel.Lanes - 1) / kernel.Lanes / 2
			if a, b := j.segs[i], j.segs[len(rows)+i]; a.lo != 0 || a.hi != half || b.lo != half || b.hi*kernel.Lanes < n {
				t.Errorf("%v, matrix %d: node 0 has groups %d to %d, node 1 %d to %d", rows, i, a.lo, a.hi, b.lo, b.hi)
			}
		}
		next := 0
		for w := range j.spans.of {
			v := j.spans.of[w].v.Load()
			if int(v>>32) != next {
				t.Errorf("%v: worker %d begins at group %d, want %d", rows, w, v>>32, next)
			}
			next = int(uint32(v))
			if end := j.segs[len(rows)].first; (w < 2) != (next <= end) {
				t.Errorf("%v: worker %d ends at group %d, node 1 begins at %d", rows, w, next, end)
			}
		}
		if next != groups {
			t.Errorf("%v: the last worker ends at group %d of %d", rows, next, groups)
		}
	}
}
