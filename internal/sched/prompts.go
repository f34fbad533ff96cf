package sched

// share is how many rows of a step one prompt gets.
type share struct {
	seq  *Seq
	most int // rows that it could use
	rows int
}

// planPrompts shares the rest of the step among the sequences that are behind,
// which are prompts for the most part. The oldest gets at least half, so that it
// always advances; what is left goes to those that need least, so that a short
// prompt is not stuck behind a long one.
func (s *Scheduler) planPrompts(p *Plan, b Budget) {
	list := s.behind(p)
	if len(list) == 0 {
		return
	}
	if s.cfg.Whole { // admit has seen to it that all fit
		for _, sh := range list {
			s.give(p, sh.seq, sh.most, 0)
		}
		clear(list)
		return
	}
	left := s.promptRows(p.StreamRows, list, b)
	list[0].rows = min(list[0].most, (left+1)/2)
	left -= list[0].rows
	for left > 0 {
		i := shortest(list)
		if i < 0 {
			break
		}
		n := min(list[i].most-list[i].rows, left)
		list[i].rows += n
		left -= n
	}
	for _, sh := range list {
		s.givePrompt(p, sh.seq, sh.rows)
	}
	clear(list)
}

// behind lists the running sequences without a row in this step, in the order
// of arrival, each with the rows it could use.
func (s *Scheduler) behind(p *Plan) []share {
	list := s.prompts[:0]
	spare := s.cfg.MaxLogits - len(s.running) - p.DraftRows // logits beyond one for each
	for _, seq := range s.running {
		if seq.planned {
			continue
		}
		most := seq.want()
		if seq.promptLogits {
			most = min(most, max(0, seq.scored-seq.computed)+1+spare)
			rows, sample := seq.logits(most)
			if !sample {
				rows--
			}
			spare -= max(0, rows)
		}
		list = append(list, share{seq: seq, most: most})
	}
	s.prompts = list
	return list
}

// shortest is the index of the prompt that is nearest to its end and can use
// more rows, or none.
func shortest(list []share) int {
	best, least := none, 0
	for i, sh := range list {
		if left := sh.seq.want() - sh.rows; sh.most > sh.rows && (best == none || left < least) {
			best, least = i, left
		}
	}
	return best
}

// promptRows is the number of prompt rows of this step. A prompt that is alone is
// cut into equal parts: otherwise all weights would be read for the few rows of its
// last step. The rows of the whole step are rounded to whole panels, unless that
// changes their number much.
func (s *Scheduler) promptRows(streams int, list []share, b Budget) int {
	align := s.cfg.Align
	if streams == 0 {
		most := min(max(b.Alone, 1), s.cfg.MaxRows)
		most = max(most/align*align, min(most, align))
		if len(list) > 1 {
			return most
		}
		steps := max(1, (list[0].most+most-1)/most)
		even := (list[0].most + steps - 1) / steps
		return max(1, min((even+align-1)/align*align, most))
	}
	rows := max(0, min(b.Beside, s.cfg.MaxRows-streams))
	whole := (streams+rows+align/2)/align*align - streams
	if whole > rows/2 && whole <= rows+rows/4 && streams+whole <= s.cfg.MaxRows {
		return whole
	}
	return rows
}

// givePrompt plans n rows of a prompt, or as many as there are blocks for. Streams
// may have taken the blocks that it was promised. They end or are preempted sooner
// or later, so a prompt waits and preempts nobody.
func (s *Scheduler) givePrompt(p *Plan, seq *Seq, n int) {
	room := (len(seq.blocks)+s.free())*s.cfg.BlockSize - seq.computed
	if n = min(n, room); n > 0 {
		s.give(p, seq, n, 0)
	}
}
