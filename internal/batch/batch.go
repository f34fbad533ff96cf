// Package batch holds the one value that passes from the scheduler to the
// model in every step. It is plain data: no methods that change it, no
// knowledge of models or of requests. The scheduler fills it, the model reads
// it, and both may keep it for the length of one step only.
package batch

// BlockTokens is the number of positions in a block of the attention cache. All
// packages that know of blocks take it from here; the assembly of package kernel
// is made for it.
const BlockTokens = 16

// Group says which layers share block tables, and keep equally much.
type Group uint8

// The groups of layers.
const (
	Full   Group = iota // layers that see all positions
	Window              // layers that see the last few
	Groups              // their number
)

// Batch is one forward pass. The rows (one per token) of all sequences are
// concatenated; sequence i owns rows [Start[i], Start[i+1]).
type Batch struct {
	Tokens    []int32   // [rows]
	Positions []int32   // [rows] absolute position in its sequence
	Start     []int32   // [seqs+1]
	Blocks    [][]int32 // [seqs] block table: covers every position up to the sequence's last row; read-only during the pass
	Windows   [][]int32 // [seqs] the same of the layers with a window, -1 before what the sequence's first row sees; empty: it is Blocks
	Logits    []int32   // rows whose logits are needed, ascending
	Hidden    []int32   // rows whose final hidden states are needed, ascending: what embeddings are made of
}

// Rows is the number of tokens in the pass.
func (b *Batch) Rows() int { return len(b.Tokens) }

// Seqs is the number of sequences in the pass.
func (b *Batch) Seqs() int { return max(0, len(b.Start)-1) }

// Table is the block table of a sequence for layers of a group.
func (b *Batch) Table(g Group, seq int) []int32 {
	if g == Window && len(b.Windows) > 0 {
		return b.Windows[seq]
	}
	return b.Blocks[seq]
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.Tokens = b.Tokens[:0]
	b.Positions = b.Positions[:0]
	b.Start = b.Start[:0]
	b.Blocks = b.Blocks[:0]
	b.Windows = b.Windows[:0]
	b.Logits = b.Logits[:0]
	b.Hidden = b.Hidden[:0]
}
