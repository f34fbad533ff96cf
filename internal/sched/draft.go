package sched

// Draft proposes tokens that may follow the last one of a decoding sequence. The next
// Schedule gives them rows beside the last token's, as many as are free, so that one
// step shows for each whether the model would have chosen it. A guess that is wrong
// costs nothing but its row. Draft keeps what a row is of use for: no more tokens than
// may still be generated behind it, and none from the first that would end the
// sequence. It returns how many it has kept.
func (s *Scheduler) Draft(seq *Seq, tokens []int32) int {
	seq.draft = 0
	if !seq.Streams() {
		return 0
	}
	n := min(len(tokens), seq.remaining()-1)
	for i, t := range tokens[:max(n, 0)] {
		if seq.ends(t, s.cfg.EOG) {
			n = i
			break
		}
	}
	if n <= 0 {
		return 0
	}
	end := len(seq.tokens)
	seq.tokens = append(seq.tokens, tokens[:n]...)[:end]
	seq.draft = n
	return n
}

// draftRows is how many tokens of its draft a stream gets rows for beside the n that
// it has to compute. It gets none where these do not end with its last token, and
// never rows, logits or blocks that others are in need of: spare rows are left, and
// other streams lack owed blocks.
func (s *Scheduler) draftRows(p *Plan, seq *Seq, n, spare, owed int) int {
	if seq.draft == 0 || n < seq.want() {
		return 0
	}
	logits := s.cfg.MaxLogits - min(len(s.running)+len(s.waiting), s.cfg.MaxSeqs) - p.DraftRows
	draft := min(seq.draft, spare, logits)
	if draft <= 0 {
		return 0
	}
	// A block that only the draft needs stays with the sequence: the others are left one
	// each beside what they lack now.
	if lack := s.lacking(seq, n+draft); lack > s.lacking(seq, n) && lack+owed+len(s.running) > s.free() {
		return 0
	}
	return draft
}

// agrees is the number of tokens, from the first, that are the same as in a draft of n.
func (q *Seq) agrees(tokens []int32, n int) int {
	draft := q.Drafted(n)[len(q.tokens):]
	same := 0
	for same < min(n, len(tokens)) && tokens[same] == draft[same] {
		same++
	}
	return same
}

// CutDraft drops the rows of the draft from the nth token on: what was computed for
// them is of no use. The caller does so before Update.
func (e *Entry) CutDraft(n int) {
	cut := max(0, e.Draft-n)
	e.Rows, e.Draft, e.Cut = e.Rows-cut, e.Draft-cut, e.Cut+cut
}

// Reserve gives a stream the blocks for what it has to compute and n tokens more, if
// there are enough for all that run, and reports whether it has them. Whoever guesses
// by a model has keys and values to put there before the step.
func (s *Scheduler) Reserve(seq *Seq, n int) bool {
	rows := seq.want() + min(n, seq.remaining())
	lack := s.lacking(seq, rows)
	if lack > 0 && lack+len(s.running) > s.free() {
		return false
	}
	s.grow(seq, rows)
	return true
}
