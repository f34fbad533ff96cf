package instance

import (
	"errors"
	"fmt"
	"math"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// ErrTooLarge is wrapped by Open's error when the model does not fit the memory.
var ErrTooLarge = errors.New("not enough memory")

// Process is what the program takes besides all that can be counted, in bytes: the
// program itself, what waits for the collector, connections and requests under way.
// Several instances in it take it once.
const Process = 144 << 20

// bytesPerWord is what a token of a vocabulary takes: its text, the tables that find
// it, and its rule of how it is made of others. Those of three families take 112 to
// 161.
const bytesPerWord = 192

// blockBooks is what the scheduler notes of a block.
const blockBooks = 128

// need is what a model asks of the memory, in bytes.
type need struct {
	model.Memory
	samplers uint64
	words    uint64 // of the vocabulary
	context  int    // positions that the model was made for

	rows, texts int // of a step of an encoder, 0: it is none
}

// fixed is what is taken whatever the size of the cache.
func (n *need) fixed() uint64 { return n.Weights + n.Buffers + n.samplers + n.File + n.words + Process }

// windows is how many blocks the layers with a window have where the others have so
// many: no more than all sequences that run at once can see into, as many again for
// prefixes that are found again, and the rows of a step. 0: there are no such layers.
func (n *need) windows(blocks int, o Options) int {
	if n.PerWindow == 0 {
		return 0
	}
	const run = 16 // a multiple of it divides into long runs
	seen := 2*o.MaxBatch*sched.WindowBlocks(n.Window, kvcache.BlockTokens) + blocksFor(o.StepBudget)
	return min(blocks, (seen+run-1)/run*run)
}

// cache is what so many blocks take.
func (n *need) cache(blocks int, o Options) uint64 {
	return uint64(blocks)*n.PerBlock + uint64(n.windows(blocks, o))*n.PerWindow
}

// blocks is how many a cache of so many bytes has.
func (n *need) blocks(bytes uint64, o Options) int {
	blocks := int(bytes / (n.PerBlock + n.PerWindow))
	if most := n.windows(math.MaxInt, o); n.PerWindow > 0 && blocks > most {
		blocks = int((bytes - uint64(most)*n.PerWindow) / n.PerBlock)
	}
	return blocks
}

// room is how the memory is shared out.
type room struct {
	context int // tokens of a sequence
	blocks  int // of the KV cache
	windows int // of the layers with a window
}

// Memory is what an instance takes, or would take, in bytes.
type Memory struct {
	Weights  uint64 // in the form that the kernels read
	Buffers  uint64 // of a step and of sampling
	File     uint64 // of the file: what is read from it while the model is used
	Process  uint64 // runtime and connections, once for all instances
	Words    uint64 // of the vocabulary
	Cache    uint64 // keys and values of all sequences together
	Tokens   int    // that the cache has room for
	PerToken uint64 // of the cache
	Beyond   uint64 // of the cache, for a token that is beyond the window of the layers with one
	Window   int    // positions of that window; 0: all layers keep all tokens
	Saved    uint64 // how much more the cache would take if those layers kept all tokens, too
	Context  int    // tokens that a sequence may have
}

// Estimate says what Open would take for a file, without loading it. Where it
// does not fit, the error wraps ErrTooLarge and the figures are those that are
// known.
func Estimate(f *gguf.File, o Options) (Memory, error) {
	n, r, err := estimate(f, o.withDefaults())
	return memory(n, r), err
}

func memory(n need, r room) Memory {
	return Memory{
		Weights: n.Weights, Buffers: n.Buffers + n.samplers, File: n.File, Process: Process, Words: n.words,
		Cache:  uint64(r.blocks)*(n.PerBlock-blockBooks) + uint64(r.windows)*n.PerWindow,
		Tokens: r.blocks * kvcache.BlockTokens, PerToken: (n.PerBlock - blockBooks + n.PerWindow) / kvcache.BlockTokens,
		Beyond: (n.PerBlock - blockBooks) / kvcache.BlockTokens, Window: n.Window, Saved: uint64(r.blocks-r.windows) * n.PerWindow,
		Context: r.context,
	}
}

func estimate(f *gguf.File, o Options) (need, room, error) {
	config, err := model.Describe(f)
	if err != nil {
		return need{}, room{}, err
	}
	if config.Encoder {
		o = o.encoding(config)
	}
	m, err := model.Need(f, o.model())
	if err != nil {
		return need{}, room{}, err
	}
	m.PerBlock += blockBooks
	n := need{Memory: m, context: config.Context, words: uint64(config.Vocab) * bytesPerWord}
	if o.Draft != "" {
		d, err := needOfDraft(f, o)
		if err != nil {
			return need{}, room{}, err
		}
		n.add(d)
	}
	n.samplers = uint64(o.Threads) * sample.Bytes(config.Vocab, config.Context)
	if config.Encoder {
		n.rows, n.texts = o.StepBudget, o.MaxBatch
	}
	r, err := fit(n, o)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.Path(), err)
	}
	return n, r, err
}

// fit decides context and cache size before anything is allocated. What the
// caller asks for is given or refused; what is left open is chosen so that a
// batch of sequences of ordinary length has room, within half of the memory
// that is left.
func fit(n need, o Options) (room, error) {
	fixed := n.fixed()
	if o.MemoryLimit > 0 && fixed >= o.MemoryLimit {
		return room{}, fmt.Errorf("%w: weights and buffers take %s, the limit is %s: choose a smaller model or raise --memory-limit",
			ErrTooLarge, size(fixed), size(o.MemoryLimit))
	}
	context := n.context
	if o.Context > 0 {
		context = o.Context
	}
	if context > n.context {
		return room{}, fmt.Errorf("--ctx %d: the model was made for %d positions", o.Context, n.context)
	}
	if n.rows > 0 {
		return fitEncoder(n, o, context)
	}
	const ordinary = 2048
	bytes := n.cache(blocksFor(max(context, o.MaxBatch*min(context, ordinary))), o)
	switch {
	case o.KVMemory > 0:
		bytes = o.KVMemory
	case o.MemoryLimit > 0:
		bytes = min(bytes, max((o.MemoryLimit-fixed)/2, n.cache(blocksFor(min(context, ordinary)), o)))
	}
	if o.MemoryLimit > 0 && bytes > o.MemoryLimit-fixed {
		return room{}, fmt.Errorf("%w: the KV cache of %s beside %s of weights and buffers exceeds the limit of %s: lower --kv-memory or --ctx, or raise --memory-limit",
			ErrTooLarge, size(bytes), size(fixed), size(o.MemoryLimit))
	}
	blocks := n.blocks(bytes, o)
	even := kvcache.Divisible(blocks) // a few less, if there are enough
	switch least := blocksFor(context); {
	case even >= least:
		blocks = even
	case blocks >= least:
	case o.Context > 0 || blocks == 0:
		return room{}, fmt.Errorf("%w: a KV cache of %s holds %d tokens, --ctx asks for %d: raise --kv-memory or --memory-limit",
			ErrTooLarge, size(bytes), blocks*kvcache.BlockTokens, context)
	default:
		blocks, context = even, even*kvcache.BlockTokens
	}
	return room{context: context, blocks: blocks, windows: n.windows(blocks, o)}, nil
}

// fitEncoder sizes the keys and values of an encoder: those of one layer and one
// step, however long they are asked to be kept.
func fitEncoder(n need, o Options, context int) (room, error) {
	blocks := blocksFor(n.rows) + n.texts // the last block of a text is hardly ever full
	if bytes := uint64(blocks) * n.PerBlock; o.MemoryLimit > 0 && bytes > o.MemoryLimit-n.fixed() {
		return room{}, fmt.Errorf("%w: a step takes %s beside %s of weights and buffers, the limit is %s: lower --ctx, or raise --memory-limit",
			ErrTooLarge, size(bytes), size(n.fixed()), size(o.MemoryLimit))
	}
	return room{context: context, blocks: blocks}, nil
}

func blocksFor(tokens int) int {
	return (tokens + kvcache.BlockTokens - 1) / kvcache.BlockTokens
}

func size(n uint64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
