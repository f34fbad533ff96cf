package sched

import "slices"

// yield starts the requests of clients of whom nothing runs, although others have
// taken all slots or blocks: clients of whom several sequences run give up the
// youngest ones, which are computed again later. So a client who floods the server
// delays another one's first request by no more than the step that is running.
//
// A client keeps one sequence at least. When as many clients as there are slots have
// one each, nobody gives up any more, and requests wait for others to end.
func (s *Scheduler) yield(p *Plan) {
	if s.cfg.Whole || !slices.ContainsFunc(s.waiting, idleClient) {
		return
	}
	for {
		i := s.next()
		if i < 0 || !idleClient(s.waiting[i]) {
			return
		}
		seq := s.waiting[i]
		tail := s.match(seq)
		if len(s.running) == s.cfg.MaxSeqs || !s.fits(seq) {
			if !s.makeRoom(p, seq) {
				return
			}
			tail = s.match(seq) // cached blocks may have changed hands
			i = slices.Index(s.waiting, seq)
		}
		s.enter(p, i, tail)
	}
}

func idleClient(q *Seq) bool { return q.client.running == 0 }

// makeRoom preempts sequences until there are a slot and blocks for seq, or none if
// that is not enough.
func (s *Scheduler) makeRoom(p *Plan, seq *Seq) bool {
	short, windows, victims := s.short(seq), s.shortWindows(seq), 0
	for _, r := range s.running {
		if s.yields(r, seq) {
			victims++
			short -= s.gain(r)
			windows -= s.gainWindows(r)
		}
	}
	if victims == 0 || short > 0 || windows > 0 {
		return false
	}
	for len(s.running) == s.cfg.MaxSeqs || !s.fits(seq) {
		v := s.yielding(seq)
		if v == nil {
			return false // the clients have come down to one sequence each
		}
		s.preempt(p, v)
		v.yielded = true
		v.yields++
		s.match(seq)
	}
	return true
}

// yields reports whether r may have to make room for seq: one of a higher class
// never has to.
func (s *Scheduler) yields(r, seq *Seq) bool {
	return r.client.running > 1 && r.rank() <= seq.rank()
}

// yielding is the youngest sequence of those who have most, or nil.
func (s *Scheduler) yielding(seq *Seq) (v *Seq) {
	for _, r := range s.running {
		if s.yields(r, seq) && (v == nil || r.client.running >= v.client.running) {
			v = r
		}
	}
	return v
}

// gain is the number of blocks that nobody holds or is promised any more when r is
// preempted.
func (s *Scheduler) gain(r *Seq) (n int) {
	for _, b := range r.blocks {
		if s.blocks.refs[b] == 1 {
			n++
		}
	}
	return n + max(0, s.promised(r)-len(r.blocks))
}

// gainWindows is gain for the blocks of the layers with a window.
func (s *Scheduler) gainWindows(r *Seq) (n int) {
	w := s.windows
	if w == nil {
		return 0
	}
	held := r.windows[r.passed:]
	for _, b := range held {
		if w.refs[b] == 1 {
			n++
		}
	}
	return n + max(0, w.most(s.promised(r))-len(held))
}
