package sched

// classes is the number of priorities.
const classes = High - Low + 1

// client is one user's share of the machine while it has requests here.
type client struct {
	key      string
	requests int   // waiting or running
	running  int   // of these, with a slot
	waiting  int   // of these, never admitted yet
	service  int64 // tokens computed for it
}

// enqueue puts a new sequence at the end of the queue. A client who had nothing
// waiting starts level with the others: idle time earns no credit.
func (s *Scheduler) enqueue(seq *Seq, key string) {
	c := s.clients[key]
	if c == nil {
		c = &client{key: key}
		s.clients[key] = c
	}
	if c.waiting == 0 {
		c.service = max(c.service, s.virtual)
	}
	c.requests++
	c.waiting++
	seq.client = c
	s.age(seq.rank())
	s.waiting = append(s.waiting, seq)
}

// age starts to count how long the class waits, if no request of it waits yet.
func (s *Scheduler) age(class int) {
	if !s.classWaits(class) {
		s.aged[class] = s.step
	}
}

func (s *Scheduler) classWaits(class int) bool {
	for _, q := range s.waiting {
		if q.rank() == class {
			return true
		}
	}
	return false
}

// drop takes an ended sequence off its client's books.
func (s *Scheduler) drop(seq *Seq) {
	c := seq.client
	if !seq.admitted {
		c.waiting--
	}
	if c.requests--; c.requests == 0 {
		delete(s.clients, c.key)
	}
}

// admit moves sequences from the queue into free slots while there are blocks
// for their prompts. Whoever is next and does not fit holds up all others, or
// small requests would starve a large one. Texts that are computed whole join while
// the step has rows for them; the first may have more than the budget.
func (s *Scheduler) admit(p *Plan, b Budget) {
	if len(s.waiting) == 0 {
		return
	}
	rows := 0
	for len(s.running) < s.cfg.MaxSeqs {
		i := s.next()
		if i < 0 {
			return
		}
		seq := s.waiting[i]
		tail := s.match(seq)
		if !s.fits(seq) {
			return
		}
		if rows += len(seq.tokens); s.cfg.Whole && rows > len(seq.tokens) && rows > min(b.Alone, s.cfg.MaxRows) {
			return
		}
		s.enter(p, i, tail)
	}
}

// enter takes the sequence at an index out of the queue and starts it.
func (s *Scheduler) enter(p *Plan, i int, tail uint64) {
	seq := s.waiting[i]
	s.remove(i)
	s.start(seq, tail)
	p.Admitted = append(p.Admitted, seq)
}

func (s *Scheduler) remove(i int) {
	copy(s.waiting[i:], s.waiting[i+1:])
	s.waiting[len(s.waiting)-1] = nil
	s.waiting = s.waiting[:len(s.waiting)-1]
}

// next is the index in waiting of the sequence to admit, or -1. The highest class
// goes first, its age included. Within a class, sequences that were preempted for
// want of blocks go first, in the order of arrival; then clients of whom nothing
// runs; then the client that got least so far, and of that client the oldest request.
func (s *Scheduler) next() int {
	best := [classes]int{none, none, none}
	for i, q := range s.waiting {
		if q.deferred == s.step || s.worthWaiting(q) {
			continue
		}
		if b := best[q.rank()]; b == none || q.before(s.waiting[b]) {
			best[q.rank()] = i
		}
	}
	choice, level := none, int64(0)
	for class := classes - 1; class >= 0; class-- {
		if best[class] == none {
			continue
		}
		l := int64(class) + (s.step-s.aged[class])/int64(s.cfg.AgeSteps)
		if choice == none || l > level {
			choice, level = best[class], l
		}
	}
	return choice
}

// before says that q goes before r, which is of the same class and arrived earlier.
func (q *Seq) before(r *Seq) bool {
	if first := q.evicted(); first || r.evicted() {
		return first && !r.evicted()
	}
	if idle := idleClient(q); idle != idleClient(r) {
		return idle
	}
	return q.client.service < r.client.service
}

// worthWaiting reports whether a running sequence is computing the block that q
// would have to compute first. Within a few steps q can share it, so q waits.
func (s *Scheduler) worthWaiting(q *Seq) bool {
	size := s.cfg.BlockSize
	full := q.reusable() / size
	if !s.cfg.PrefixCache || full == 0 {
		return false
	}
	q.extendHashes(full, size)
	for _, r := range s.running {
		n := min(full, len(r.tokens)/size)
		at := r.computed / size // the block that r is working on
		if at >= n {
			continue
		}
		r.extendHashes(at+1, size)
		if r.hashes[at] == q.hashes[at] {
			q.deferred = s.step
			return true
		}
	}
	return false
}

// match finds the cached blocks that q begins with, in s.matched, and returns
// the identity of the last, or the root. Where layers have a window, q begins with no more blocks
// than it can go on after.
func (s *Scheduler) match(q *Seq) (tail uint64) {
	s.matched = s.matched[:0]
	if !s.cfg.PrefixCache {
		return q.root
	}
	tail = q.root
	size := s.cfg.BlockSize
	full := q.reusable() / size
	q.extendHashes(full, size)
	for i := range full {
		b := s.blocks.find(tail, q.hashes[i], q.tokens[i*size:(i+1)*size])
		if b == none {
			break
		}
		tail = s.blocks.id[b]
		s.matched = append(s.matched, b)
	}
	if s.windows == nil {
		return tail
	}
	s.matched = s.matched[:s.windows.resumable(s.matched)]
	if len(s.matched) == 0 {
		return q.root
	}
	return s.blocks.id[s.matched[len(s.matched)-1]]
}

// fits reports whether there are blocks for q beside those that the running
// sequences are promised. q shares the blocks in s.matched. It needs room for its
// whole prompt and some to grow: otherwise it would be preempted at once.
func (s *Scheduler) fits(q *Seq) bool { return s.short(q) <= 0 && s.shortWindows(q) <= 0 }

// short is the number of blocks that are missing for q; it fits if that is at most 0.
func (s *Scheduler) short(q *Seq) int {
	need := s.promised(q) - len(s.matched)
	for _, b := range s.matched {
		if s.blocks.refs[b] == 0 {
			need++
		}
	}
	for _, r := range s.running {
		need += max(0, s.promised(r)-len(r.blocks))
	}
	return need - s.blocks.free()
}

// shortWindows is short for the blocks of the layers with a window.
func (s *Scheduler) shortWindows(q *Seq) int {
	if s.windows == nil {
		return 0
	}
	w, shared := s.windows, s.seen()
	need := w.most(s.promised(q)) - len(shared)
	for _, b := range shared {
		if w.refs[w.of[b]] == 0 {
			need++
		}
	}
	for _, r := range s.running {
		need += max(0, w.most(s.promised(r))-(len(r.windows)-r.passed))
	}
	return need - w.free()
}

// seen is the part of s.matched that the first row after it sees in the layers with a
// window.
func (s *Scheduler) seen() []int32 {
	return s.matched[s.windows.first(len(s.matched)*s.cfg.BlockSize):]
}

// promised is the number of blocks for all of a sequence's tokens and its next few.
func (s *Scheduler) promised(q *Seq) int {
	grow := min(q.remaining(), s.cfg.BlockSize)
	if q.preemptions > 0 {
		grow = min(q.remaining(), 4*s.cfg.BlockSize)
	}
	return s.blocksFor(len(q.tokens) + grow)
}

// start gives a sequence its slot and the prefix that was matched.
func (s *Scheduler) start(q *Seq, tail uint64) {
	for _, b := range s.matched {
		s.blocks.hold(b)
		q.blocks = append(q.blocks, b)
	}
	if s.windows != nil {
		shared := s.seen()
		for q.passed = 0; q.passed < len(s.matched)-len(shared); q.passed++ {
			q.windows = append(q.windows, none)
		}
		for _, b := range shared {
			s.windows.hold(s.windows.of[b])
			q.windows = append(q.windows, s.windows.of[b])
		}
	}
	q.indexed, q.tail = len(s.matched), tail
	q.computed = len(s.matched) * s.cfg.BlockSize
	if !q.admitted {
		q.admitted = true
		q.client.waiting--
		q.cached = q.computed
		s.counters.PrefixQuery += uint64(q.prompt)
		s.counters.PrefixHit += uint64(q.cached)
		s.charge(q.client, q.want())
	}
	s.aged[q.rank()] = s.step
	q.state, q.yielded = running, false
	q.client.running++
	s.running = insert(s.running, q)
}

// charge adds tokens to what a client has got. The service that newcomers start
// with grows by the average of all clients. Clients that come and go therefore
// start level with one that stays, and cannot keep it waiting.
func (s *Scheduler) charge(c *client, tokens int) {
	c.service += int64(tokens)
	s.shared += int64(tokens)
	n := int64(len(s.clients))
	s.virtual += s.shared / n
	s.shared %= n
}
