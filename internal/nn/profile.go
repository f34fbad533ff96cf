package nn

import "time"

// Kind is a kind of work in a step.
type Kind uint8

const (
	KindEmbed       Kind = iota // embedding rows, rotation tables
	KindNorm                    // normalisation and quantisation
	KindQKV                     // queries, keys, values
	KindAttention               // rotation, cache, attention
	KindOut                     // attention's output projection
	KindGated                   // gate, up, activation
	KindDown                    // the feed-forward layer's second half
	KindRouter                  // the choice of experts
	KindExperts                 // gate, up, activation of experts
	KindExpertsDown             // the experts' second half
	KindHead                    // logits
	kinds
)

var kindNames = [kinds]string{"embed", "norm", "qkv", "attention", "attention out", "gate and up", "down",
	"router", "experts: gate and up", "experts: down", "head"}

func (k Kind) String() string { return kindNames[k] }

// Kinds lists all kinds in the order of a step.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Work is what one kind of work has cost.
type Work struct {
	Time  time.Duration // as the caller of the backend sees it, waiting included
	Wait  time.Duration // mean time that workers stood at barriers meanwhile
	Calls int64
	Bytes int64 // weights read
	Ops   int64 // multiplications and additions of weights
	// Pieces are what the work was cut into at the finest: more workers than there
	// are pieces in a call have nothing to do. 0: it is not cut into pieces.
	Pieces int64
}

// Profile sums work over steps.
type Profile struct {
	Steps int64
	Rows  int64
	Work  [kinds]Work
}

// profiler takes the times. It is off by default and then costs a branch per
// operation.
type profiler struct {
	on      bool
	pool    *Pool
	total   Profile
	since   time.Time
	waited  int64
	current Kind
}

// begin starts the clock for an operation of kind k.
func (p *profiler) begin(k Kind) {
	if p.on {
		p.current, p.waited, p.since = k, p.pool.waited, time.Now()
	}
}

// end stops the clock and adds what was done: each matrix of ms was multiplied by
// so many rows of activations.
func (p *profiler) end(rows int, ms ...*Matrix) {
	if !p.on {
		return
	}
	w := &p.total.Work[p.current]
	w.Time += time.Since(p.since)
	w.Wait += time.Duration((p.pool.waited - p.waited) / int64(p.pool.Workers()))
	w.Calls++
	for _, m := range ms {
		w.Bytes += m.bytes()
		w.Ops += 2 * int64(m.Rows) * int64(m.Cols) * int64(rows)
	}
}

// add counts bytes and operations of the operation that ends next.
func (p *profiler) add(bytes, ops int64) {
	if p.on {
		p.total.Work[p.current].Bytes += bytes
		p.total.Work[p.current].Ops += ops
	}
}

// pieces counts what the operation that ends next can be cut into.
func (p *profiler) pieces(n int) {
	if p.on {
		p.total.Work[p.current].Pieces += int64(n)
	}
}

func (p *profiler) step(rows int) {
	if p.on {
		p.total.Steps++
		p.total.Rows += int64(rows)
	}
}

// set switches the profiler and forgets what it has counted when it goes on.
func (p *profiler) set(on bool) {
	if on {
		p.total = Profile{}
	}
	p.on, p.pool.timed = on, on
}
