package sched

// What Survey says of a block that no sequence holds.
const (
	BlockClean  = 0  // it has no content
	BlockCached = -1 // its content can be found again
)

// Survey calls each with every block of the cache and how it is used: the number of
// sequences that hold it, BlockClean or BlockCached. It must not be called while a
// plan is being run.
func (s *Scheduler) Survey(each func(block int, use int32)) {
	for i, refs := range s.blocks.refs {
		if refs == 0 && s.blocks.id[i] != 0 {
			refs = BlockCached
		}
		each(i, refs)
	}
}

// Admitted are the sequences that have a slot, in the order of arrival; read-only,
// and valid until the scheduler's next call.
func (s *Scheduler) Admitted() []*Seq { return s.running }

// Queue are the sequences that have none, in the order of arrival; read-only, and
// valid until the scheduler's next call.
func (s *Scheduler) Queue() []*Seq { return s.waiting }

// Blocks is the sequence's block table; read-only, and valid until the scheduler's
// next call.
func (q *Seq) Blocks() []int32 { return q.blocks }
