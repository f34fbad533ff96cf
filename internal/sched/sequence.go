package sched

import "slices"

// Request is what a caller wants generated. The scheduler copies Prompt.
type Request struct {
	Prompt       []int32 // at least one token
	MaxTokens    int     // tokens to generate; 0: compute the prompt only; negative: until the context is full
	Stop         []int32 // tokens that end the sequence, besides Config.EOG
	IgnoreEOS    bool    // Config.EOG does not end the sequence
	Priority     int     // Low, Normal or High; others are clamped
	Client       string  // whose share of the machine this uses; "" is a client too
	PromptLogits bool    // logits are needed at every row of the prompt, so a cached prefix is no help
	NoPrefix     bool    // compute the whole prompt, whatever of it is in the cache
	Salt         uint64  // it shares blocks with requests of the same salt only; 0 is a salt, too
	Hidden       Range   // rows of the prompt whose hidden states are needed; MaxTokens is 0 then
	Owner        any     // the caller's, untouched
}

// Range is the positions [From, To) of a sequence.
type Range struct{ From, To int }

// The priorities. A class waits for the ones above it, but never for ever:
// see Config.AgeSteps.
const (
	Low    = -1
	Normal = 0
	High   = 1
)

// Reason says why a sequence ended.
type Reason uint8

const (
	Running Reason = iota // it has not ended
	Stop                  // a stop or end-of-generation token came
	Length                // MaxTokens or the context is used up
	Aborted
	Failed
)

func (r Reason) String() string {
	return [...]string{"running", "stop", "length", "abort", "error"}[r]
}

type state uint8

const (
	waiting state = iota
	running
	ended
)

// Seq is one sequence: a prompt and what has been generated from it. The
// scheduler owns and changes it; callers only read.
type Seq struct {
	Owner any // from the request

	tokens   []int32 // prompt, then generated; behind them, in the slice's capacity, the draft
	draft    int     // tokens of the draft, which the next Schedule uses or drops
	prompt   int     // tokens of the prompt
	limit    int     // generated tokens allowed
	computed int     // tokens whose keys and values are in blocks
	blocks   []int32 // block i holds positions [i*BlockSize, (i+1)*BlockSize)
	windows  []int32 // the same of the layers with a window, as far as rows to come see
	passed   int     // entries of windows, from the first on, whose blocks were given back

	hashes  []uint64 // [full blocks of tokens] each chained to the one before
	indexed int      // full blocks that have been offered to the index
	tail    uint64   // identity of the last of them

	stop         []int32
	ignoreEOS    bool
	promptLogits bool
	noPrefix     bool
	root         uint64 // identity of what comes before the first block
	scored       int    // rows of the prompt whose logits have been delivered
	hidden       Range  // rows of the prompt whose hidden states have not been delivered

	state    state
	admitted bool // has run before
	stream   bool // its last row was sampled, and it has kept its blocks since
	planned  bool // has rows in the plan that is being run
	closing  bool // ended while planned: blocks are released by Update
	discard  bool // its blocks must not be cached
	reason   Reason
	last     int32 // the stop token, or -1

	arrival     int64
	class       int // 0 .. classes-1
	client      *client
	cached      int
	preemptions int
	yields      int   // of the preemptions, those that made room for another client, see yield
	yielded     bool  // the last one did
	deferred    int64 // step in which it was passed over for a prefix in the making
}

// Len is the number of tokens, prompt and generated (a stop token is not one).
func (q *Seq) Len() int { return len(q.tokens) }

// Tokens is the prompt and all that was generated; read-only.
func (q *Seq) Tokens() []int32 { return q.tokens }

// Drafted is Tokens and the first n tokens of the draft behind them; read-only, and
// valid until the next Update.
func (q *Seq) Drafted(n int) []int32 { return q.tokens[:len(q.tokens)+n] }

// Streams reports whether the sequence is decoding: its last token was sampled, and
// it has kept its blocks since.
func (q *Seq) Streams() bool { return q.state == running && q.stream }

// BlockHash stands for the tokens up to the end of a full block, where that is known.
func (q *Seq) BlockHash(i int) (hash uint64, ok bool) {
	if i >= len(q.hashes) {
		return 0, false
	}
	return q.hashes[i], true
}

// Prompt is the number of tokens of the prompt.
func (q *Seq) Prompt() int { return q.prompt }

// Limit is the number of tokens that may be generated: MaxTokens clipped by the
// context.
func (q *Seq) Limit() int { return q.limit }

// Computed is the number of tokens whose keys and values exist.
func (q *Seq) Computed() int { return q.computed }

// Cached is the number of prompt tokens that were found in the prefix cache
// when the sequence first ran.
func (q *Seq) Cached() int { return q.cached }

// Preemptions counts how often the sequence lost its blocks.
func (q *Seq) Preemptions() int { return q.preemptions }

// Reason is why it ended; Running while it has not.
func (q *Seq) Reason() Reason { return q.reason }

// StopToken is the token that ended it, or -1.
func (q *Seq) StopToken() int32 { return q.last }

// want is the one measure of work: tokens that exist but are not computed. A
// prompt wants many, a decoding sequence one, a sequence that lost its blocks
// everything.
func (q *Seq) want() int { return len(q.tokens) - q.computed }

// risesAfter is the number of preemptions for want of blocks after which a sequence
// counts as one class higher. Otherwise one of a low class that others keep pushing
// out would never end. A sequence that yields to other clients has older ones of its
// own client before it, and its turn comes with their end.
const risesAfter = 4

// rank is the class that a sequence counts as by now.
func (q *Seq) rank() int { return min(q.class+(q.preemptions-q.yields)/risesAfter, classes-1) }

// evicted reports whether a waiting sequence has lost its blocks because there were
// too few of them.
func (q *Seq) evicted() bool { return q.preemptions > 0 && !q.yielded }

// together is the most rows of a stream in one step: a panel of the kernels, which
// costs little more than one row.
const together = 8

// reusable is the number of leading tokens that may come from the cache. The
// last token is always computed, for its logits; rows whose logits are still
// owed are computed too.
func (q *Seq) reusable() int {
	n := len(q.tokens) - 1
	if q.promptLogits {
		n = min(n, q.scored)
	}
	if q.hidden.From < q.hidden.To {
		n = min(n, q.hidden.From)
	}
	if q.noPrefix && q.preemptions == 0 {
		return 0
	}
	return n
}

// logits is the number of rows among the next n that are scored, and whether the
// last row is sampled.
func (q *Seq) logits(n int) (scored int, sample bool) {
	end := q.computed + n
	if q.promptLogits {
		scored = max(0, min(end, q.prompt-1)-max(q.computed, q.scored))
	}
	return scored, end == len(q.tokens) && q.limit > 0
}

// remaining is the number of tokens that may still be generated.
func (q *Seq) remaining() int { return q.prompt + q.limit - len(q.tokens) }

// ends reports whether a token would end the sequence.
func (q *Seq) ends(token int32, eog []int32) bool {
	return slices.Contains(q.stop, token) || !q.ignoreEOS && slices.Contains(eog, token)
}

// append takes a generated token and says whether the sequence ends with it.
func (q *Seq) append(token int32, eog []int32) bool {
	if q.ends(token, eog) {
		q.reason, q.last = Stop, token
		return true
	}
	q.tokens = append(q.tokens, token)
	if q.remaining() == 0 {
		q.reason = Length
		return true
	}
	return false
}

// extendHashes brings the chain up to n full blocks.
func (q *Seq) extendHashes(n, size int) {
	for i := len(q.hashes); i < n; i++ {
		h := q.root
		if i > 0 {
			h = q.hashes[i-1]
		}
		q.hashes = append(q.hashes, chainHash(h, q.tokens[i*size:(i+1)*size]))
	}
}

// chainHash continues a chain by one block.
func chainHash(h uint64, tokens []int32) uint64 {
	const k = 0x9e3779b97f4a7c15
	h ^= k
	for _, t := range tokens {
		h = (h ^ uint64(uint32(t))) * 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	return h * k
}
