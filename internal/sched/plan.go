package sched

import "github.com/penstock-llm/penstock/internal/batch"

// Plan is one step: what to compute and for whom. It is reused by the next
// Schedule.
type Plan struct {
	Batch   batch.Batch
	Entries []Entry // [Batch.Seqs()] in the order of the batch
	Streams int     // the first so many entries are streams, which were decoding already

	StreamRows int // rows of those
	DraftRows  int // rows of these that are drafts

	Admitted  []*Seq // left the queue in this step
	Preempted []*Seq // lost their blocks in this step
	Finished  []*Seq // filled by Update: ended with this step, blocks released
}

// Entry is the part of one sequence in a step. Of its rows some have logits: first
// those that are scored, then one that is sampled, then those of the draft.
type Entry struct {
	Seq    *Seq
	Rows   int  // tokens computed, those of the draft included but not those that were cut
	Logit  int  // index in Batch.Logits of the first row with logits
	Scored int  // rows of the prompt whose next token is known and gets its probability
	Sample bool // the last row before the draft gives the sequence's next token
	Draft  int  // the last rows are so many tokens of the draft; each gives one more token if its own is right
	Cut    int  // further rows behind these, which are of no use; see CutDraft
	Hidden int  // index in Batch.Hidden of the first row whose hidden state is needed
	States int  // number of those rows

	Taken    int // set by Update: tokens that the sequence was given, a stop token not included
	Accepted int // set by Update: tokens of the draft that the sequence was given
}

// Logits is the number of rows with logits.
func (e *Entry) Logits() int {
	if e.Sample {
		return e.Scored + 1 + e.Draft
	}
	return e.Scored
}

// reset empties the plan and drops its references: what has ended must not live
// on here while nothing runs.
func (p *Plan) reset() {
	clear(p.Batch.Blocks)
	clear(p.Batch.Windows)
	p.Batch.Reset()
	p.Batch.Start = append(p.Batch.Start, 0)
	clear(p.Entries)
	p.Entries = p.Entries[:0]
	p.DraftRows = 0
	for _, list := range []*[]*Seq{&p.Admitted, &p.Preempted, &p.Finished} {
		clear(*list)
		*list = (*list)[:0]
	}
}
