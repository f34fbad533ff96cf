package sched

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/invariants"
)

// Scheduler is the state machine. It is not safe for concurrent use.
type Scheduler struct {
	cfg      Config
	blocks   *blocks
	windows  *windows // nil: no layer has blocks of its own
	waiting  []*Seq   // in the order of arrival
	running  []*Seq   // in the order of arrival
	clients  map[string]*client
	virtual  int64 // service that a client who was idle starts with
	shared   int64 // service not yet counted in virtual
	aged     [classes]int64
	arrivals int64
	step     int64
	inFlight bool
	plan     Plan
	streams  []*Seq  // scratch of planDecoders
	prompts  []share // scratch of planPrompts
	matched  []int32 // scratch of match
	held     []int32 // scratch of check
	reserved []Place // that SetAside has given out
	counters Counters
}

// New makes a scheduler whose blocks are all free.
func New(cfg Config) (*Scheduler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Scheduler{
		cfg:     cfg,
		blocks:  newBlocks(cfg.Blocks, cfg.BlockSize),
		waiting: make([]*Seq, 0, cfg.MaxQueue+2*cfg.MaxSeqs),
		running: make([]*Seq, 0, cfg.MaxSeqs),
		clients: map[string]*client{},
		streams: make([]*Seq, 0, cfg.MaxSeqs),
		prompts: make([]share, 0, cfg.MaxSeqs),
	}
	if cfg.Window > 0 {
		s.windows = newWindows(&cfg)
		s.blocks.windows = s.windows
	}
	return s, nil
}

// Config is the configuration with its defaults filled in.
func (s *Scheduler) Config() Config { return s.cfg }

// Running is the number of sequences that have a slot.
func (s *Scheduler) Running() int { return len(s.running) }

// Waiting is the number of sequences that have none.
func (s *Scheduler) Waiting() int { return len(s.waiting) }

// FreeBlocks is the number of blocks that no sequence holds, cached ones included.
func (s *Scheduler) FreeBlocks() int { return s.blocks.free() }

// CachedBlocks is the number of those with content that can be found.
func (s *Scheduler) CachedBlocks() int { return s.blocks.cached }

// ForgetCached empties the prefix cache of all blocks that no sequence holds, and
// returns how many they were. It must not be called while a plan is being run.
func (s *Scheduler) ForgetCached() int {
	if s.windows != nil {
		s.windows.forgetCached()
	}
	return s.blocks.forgetCached()
}

// FreeWindowBlocks is FreeBlocks of the layers with a window.
func (s *Scheduler) FreeWindowBlocks() int {
	if s.windows == nil {
		return 0
	}
	return s.windows.free()
}

// Reach is one more than the highest block that was ever handed out: the memory of
// those from it on was never used.
func (s *Scheduler) Reach() int { return s.blocks.reach }

// WindowReach is Reach of the layers with a window.
func (s *Scheduler) WindowReach() int {
	if s.windows == nil {
		return 0
	}
	return s.windows.reach
}

// Counters returns the totals so far.
func (s *Scheduler) Counters() Counters {
	s.counters.Evictions = s.blocks.evicted
	return s.counters
}

// Add queues a request.
func (s *Scheduler) Add(r Request) (*Seq, error) {
	switch {
	case len(r.Prompt) == 0:
		return nil, ErrEmpty
	case len(r.Prompt) > s.cfg.Context || len(r.Prompt) == s.cfg.Context && r.MaxTokens != 0:
		return nil, &TooLongError{Prompt: len(r.Prompt), Context: s.cfg.Context}
	case len(s.waiting)+len(s.running) >= s.cfg.MaxQueue+s.cfg.MaxSeqs:
		return nil, ErrQueueFull
	}
	limit := s.cfg.Context - len(r.Prompt)
	if r.MaxTokens >= 0 {
		limit = min(limit, r.MaxTokens)
	}
	const ahead = 1024 // most sequences never grow past this
	seq := &Seq{
		Owner:        r.Owner,
		tokens:       append(make([]int32, 0, len(r.Prompt)+min(limit, ahead)), r.Prompt...),
		prompt:       len(r.Prompt),
		limit:        limit,
		blocks:       make([]int32, 0, s.blocksFor(len(r.Prompt)+min(limit, ahead))),
		stop:         slices.Clone(r.Stop),
		ignoreEOS:    r.IgnoreEOS,
		promptLogits: r.PromptLogits,
		noPrefix:     r.NoPrefix,
		root:         rootOf(r.Salt),
		hidden:       r.Hidden,
		class:        min(max(r.Priority, Low), High) - Low,
		last:         -1,
	}
	if s.cfg.PrefixCache {
		seq.hashes = make([]uint64, 0, cap(seq.blocks))
	}
	if s.windows != nil {
		seq.windows = make([]int32, 0, cap(seq.blocks))
	}
	s.arrivals++
	seq.arrival = s.arrivals
	s.enqueue(seq, r.Client)
	return seq, nil
}

// blocksFor is the number of blocks that hold n tokens.
func (s *Scheduler) blocksFor(n int) int { return (n + s.cfg.BlockSize - 1) / s.cfg.BlockSize }

// Schedule plans one step. An empty plan means that there is nothing to do, and
// needs no Update; else Update must follow before the next Schedule.
func (s *Scheduler) Schedule(b Budget) *Plan {
	if s.inFlight {
		panic("sched: Schedule before the last plan's Update")
	}
	p := &s.plan
	p.reset()
	s.step++
	s.yield(p)
	s.planDecoders(p)
	s.admit(p, b)
	s.planPrompts(p, b)
	if len(p.Entries) > 0 {
		s.counters.Steps++
		s.inFlight = true
	} else if len(s.running) > 0 {
		panic("sched: sequences run but none can advance")
	}
	if invariants.Enabled {
		s.check()
	}
	return p
}

// planDecoders gives every decoding stream its rows: the highest class first, and
// in a class the oldest first. A stream that finds no block takes those of the
// last running sequence in this order, which may be the stream itself. So a
// victim never has rows in the plan yet.
func (s *Scheduler) planDecoders(p *Plan) {
	streams := s.streams[:0]
	for class := classes - 1; class >= 0; class-- {
		for _, seq := range s.running {
			if seq.rank() == class && seq.stream {
				streams = append(streams, seq)
			}
		}
	}
	spare := s.cfg.MaxRows - len(streams) // rows beyond one for each
	owed := 0                             // blocks that streams lack for what they have to compute
	for _, seq := range streams {
		owed += max(0, s.lacking(seq, min(seq.want(), together)))
	}
	for _, seq := range streams {
		n := min(seq.want(), together, 1+spare)
		for seq.state == running && s.lacking(seq, n) > s.free() {
			s.preempt(p, s.victim())
		}
		if seq.state == running {
			owed -= max(0, s.lacking(seq, min(seq.want(), together)))
			draft := s.draftRows(p, seq, n, spare-(n-1), owed)
			s.give(p, seq, n, draft)
			p.DraftRows += draft
			spare -= n - 1 + draft
		}
		seq.draft = 0
	}
	clear(streams)
	p.Streams, p.StreamRows = len(p.Entries), len(p.Batch.Tokens)
}

// victim is the youngest running sequence of the lowest class.
func (s *Scheduler) victim() *Seq {
	least := s.running[0]
	for _, seq := range s.running[1:] {
		if seq.rank() <= least.rank() {
			least = seq
		}
	}
	return least
}

// free is the number of blocks that a sequence can get, of every kind that it needs.
func (s *Scheduler) free() int {
	if s.windows == nil {
		return s.blocks.free()
	}
	return min(s.blocks.free(), s.windows.free())
}

// lacking is the number of blocks to allocate before n more rows.
func (s *Scheduler) lacking(seq *Seq, n int) int {
	return s.blocksFor(seq.computed+n) - len(seq.blocks)
}

// give plans n rows of a sequence, and some of its draft; there are blocks for them.
func (s *Scheduler) give(p *Plan, seq *Seq, n, draft int) {
	s.grow(seq, n+draft)
	b := &p.Batch
	e := Entry{Seq: seq, Rows: n + draft, Logit: len(b.Logits), Draft: draft, Hidden: len(b.Hidden)}
	e.Scored, e.Sample = seq.logits(n)
	end := seq.computed + n
	tokens := seq.Drafted(draft)
	for pos := seq.computed; pos < end+draft; pos++ {
		scored := seq.promptLogits && pos >= seq.scored && pos < seq.prompt-1
		if scored || e.Sample && pos >= end-1 {
			b.Logits = append(b.Logits, int32(len(b.Tokens)))
		}
		if pos >= seq.hidden.From && pos < seq.hidden.To {
			b.Hidden = append(b.Hidden, int32(len(b.Tokens)))
			e.States++
		}
		b.Tokens = append(b.Tokens, tokens[pos])
		b.Positions = append(b.Positions, int32(pos))
	}
	b.Start = append(b.Start, int32(len(b.Tokens)))
	b.Blocks = append(b.Blocks, seq.blocks)
	if s.windows != nil {
		b.Windows = append(b.Windows, seq.windows)
	}
	p.Entries = append(p.Entries, e)
	seq.planned = true
}

// grow gives a sequence the blocks for n more rows; there are so many.
func (s *Scheduler) grow(seq *Seq, n int) {
	const spread = 64 // blocks that a sequence is given room for, so that neighbours do not interleave
	for lack := s.lacking(seq, n); lack > 0; lack-- {
		expect := s.blocksFor(seq.prompt+seq.limit) - len(seq.blocks)
		expect = min(max(expect, 1), spread)
		seq.blocks = append(seq.blocks, s.blocks.alloc(last(seq.blocks), expect))
		if s.windows != nil {
			seq.windows = append(seq.windows, s.windows.alloc(last(seq.windows), expect))
		}
	}
}

// last is the last block of a table, or none.
func last(table []int32) int32 {
	if len(table) == 0 {
		return none
	}
	return table[len(table)-1]
}

// preempt takes all blocks of a running sequence. Their content stays cached
// until someone needs the room, so that little may have to be computed again.
func (s *Scheduler) preempt(p *Plan, seq *Seq) {
	s.leave(seq)
	s.release(seq)
	seq.computed, seq.draft, seq.stream = 0, 0, false
	seq.preemptions++
	s.counters.Preemptions++
	seq.state = waiting
	s.age(seq.rank())
	s.waiting = insert(s.waiting, seq)
	p.Preempted = append(p.Preempted, seq)
}

// leave takes a sequence out of the running list.
func (s *Scheduler) leave(seq *Seq) {
	seq.client.running--
	i := slices.Index(s.running, seq)
	s.running = slices.Delete(s.running, i, i+1)
}

// insert keeps a list in the order of arrival.
func insert(list []*Seq, seq *Seq) []*Seq {
	i := len(list)
	for i > 0 && list[i-1].arrival > seq.arrival {
		i--
	}
	return slices.Insert(list, i, seq)
}

// release gives a sequence's blocks back, the last first, so that the
// beginning, which others are likelier to share, is evicted last.
func (s *Scheduler) release(seq *Seq) {
	for i := len(seq.blocks) - 1; i >= 0; i-- {
		b := seq.blocks[i]
		if seq.discard && s.blocks.refs[b] == 1 {
			s.blocks.forget(b)
		}
		s.blocks.release(b)
	}
	seq.blocks = seq.blocks[:0]
	for i := len(seq.windows) - 1; i >= seq.passed; i-- {
		b := seq.windows[i]
		if on := s.windows.on[b]; seq.discard && s.windows.refs[b] == 1 && on != none {
			s.windows.detach(on)
		}
		s.windows.release(b)
	}
	seq.windows, seq.passed = seq.windows[:0], 0
}

// Update ends the step of plan p: its rows are computed, and p.Entries[i] is given
// tokens[starts[i]:starts[i+1]] if it samples. The first is what was sampled;
// others were sampled from rows of the draft, or are known to follow and need no
// logits. A stream with several tokens that are not computed has them computed
// together in the next step. An entry that samples but is given nothing has its last
// row before the draft computed again in the next step.
//
// Rows of the draft count as computed as far as the entry is given the same tokens.
// What the others wrote is overwritten by the next step and never offered to others.
//
// Sequences that ended since Schedule get nothing. p.Finished lists those that
// ended in between or now.
func (s *Scheduler) Update(p *Plan, tokens, starts []int32) {
	s.inFlight = false
	for i := range p.Entries {
		e := &p.Entries[i]
		seq := e.Seq
		seq.planned = false
		if seq.closing {
			s.end(seq)
			p.Finished = append(p.Finished, seq)
			continue
		}
		if given := tokens[starts[i]:starts[i+1]]; !e.Sample {
			s.computed(seq, e.Rows)
		} else if len(given) == 0 {
			s.computed(seq, e.Rows-e.Draft-1)
		} else {
			s.computed(seq, e.Rows-e.Draft)
			right := seq.agrees(given, e.Draft)
			e.Taken = s.take(seq, given)
			e.Accepted = min(right, e.Taken)
			// The last token is computed in the next step in any case: only rows of a
			// step give logits.
			s.computed(seq, min(e.Accepted, len(given)-1))
		}
		if seq.limit == 0 && seq.want() == 0 {
			seq.reason = Length
		}
		if seq.reason != Running {
			s.leave(seq)
			s.end(seq)
			p.Finished = append(p.Finished, seq)
		}
	}
	if invariants.Enabled {
		s.check()
	}
}

// take appends generated tokens to a sequence until one of them ends it, and says
// how many it has got.
func (s *Scheduler) take(seq *Seq, tokens []int32) (taken int) {
	before := len(seq.tokens)
	seq.stream = true
	for _, t := range tokens {
		s.counters.Generated++
		s.charge(seq.client, 1)
		if seq.append(t, s.cfg.EOG) {
			break
		}
	}
	return len(seq.tokens) - before
}

// computed records n more rows and offers the blocks that became full to others.
func (s *Scheduler) computed(seq *Seq, n int) {
	s.counters.PromptRows += uint64(max(0, min(seq.computed+n, seq.prompt)-seq.computed))
	seq.computed += n
	seq.scored = max(seq.scored, min(seq.computed, seq.prompt-1))
	seq.hidden.From = max(seq.hidden.From, seq.computed)
	if s.cfg.PrefixCache {
		s.index(seq)
	}
	if s.windows != nil {
		s.pass(seq)
	}
}

// index makes the blocks findable that have become full.
func (s *Scheduler) index(seq *Seq) {
	size := s.cfg.BlockSize
	for ; (seq.indexed+1)*size <= seq.computed; seq.indexed++ {
		i := seq.indexed
		seq.extendHashes(i+1, size)
		found := s.blocks.index(seq.blocks[i], seq.tail, seq.hashes[i], seq.tokens[i*size:(i+1)*size])
		seq.tail = s.blocks.id[found]
		if s.windows != nil {
			s.windows.attach(seq.windows[i], found)
		}
	}
}

// pass releases the blocks that no row to come sees into. A table keeps their places,
// so that a block is found by its position.
func (s *Scheduler) pass(seq *Seq) {
	for first := s.windows.first(seq.computed); seq.passed < min(first, len(seq.windows)); seq.passed++ {
		s.windows.release(seq.windows[seq.passed])
		seq.windows[seq.passed] = none
	}
}

// Abort ends a sequence at once, wherever it is. If its rows are being computed
// its blocks stay its own until Update: nobody else may write them before.
func (s *Scheduler) Abort(seq *Seq) { s.close(seq, Aborted) }

// Fail is Abort for a sequence that went wrong: its keys and values are not
// offered to others either.
func (s *Scheduler) Fail(seq *Seq) {
	seq.discard = true
	s.close(seq, Failed)
}

func (s *Scheduler) close(seq *Seq, why Reason) {
	if seq.state == ended || seq.closing {
		return
	}
	seq.reason = why
	if seq.state == waiting {
		i := slices.Index(s.waiting, seq)
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.end(seq)
		return
	}
	s.leave(seq)
	if seq.planned {
		seq.closing = true
		return
	}
	s.end(seq)
}

// end frees what a sequence holds; it is in no list any more.
func (s *Scheduler) end(seq *Seq) {
	s.release(seq)
	seq.state, seq.closing = ended, false
	s.drop(seq)
}
