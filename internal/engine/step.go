package engine

import (
	"time"

	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// step runs one step and says whether there was anything to do.
func (e *Engine) step() (worked bool) {
	defer e.rescue()
	e.applyAborts()
	if e.sched.Running()+e.sched.Waiting() == 0 {
		e.sched.Schedule(sched.Budget{}) // it lets go of what has ended
		e.stats.publish(e)
		return false
	}
	e.lease()
	defer e.release()
	e.dog.step.Store(e.steps + 1)
	start := time.Now()
	e.propose()
	plan := e.sched.Schedule(e.pace.budget())
	if len(plan.Entries) == 0 {
		e.stats.publish(e)
		return false
	}
	worked, e.plan = true, plan
	e.steps++
	e.dog.rows.Store(int64(plan.Batch.Rows()))
	e.dog.streams.Store(int64(plan.Streams))
	e.begin(plan, start)
	logits := e.x.Forward(&plan.Batch)
	forward := time.Now()
	e.applyAborts() // a stream that was closed during the pass gets nothing of it
	e.failNotFinite(plan)
	e.pool(plan)
	e.sample(plan, logits)
	e.release()
	now := time.Now()
	e.sched.Update(plan, e.tokens, e.starts)
	e.plan = nil
	e.pace.observe(plan.Streams, plan.Batch.Rows()-plan.StreamRows, now.Sub(start))
	e.stats.paced(&e.pace, plan.Streams)
	e.drafts.observe(plan, now.Sub(start))
	e.stats.publish(e) // before a reader learns that its request has ended
	e.deliver(plan, start, forward, now)
	e.stats.step(e, plan, start, forward, now)
	e.views.note(e, plan, [3]time.Time{start, forward, now})
	return true
}

// lease makes the workers ours for a step.
func (e *Engine) lease() {
	if e.run != nil {
		e.run.Lease()
		e.leased = true
	}
}

// release ends a lease, if there is one.
func (e *Engine) release() {
	if e.leased {
		e.leased = false
		e.run.Release()
	}
}

// failNotFinite fails the sequences whose rows are not finite. None of the step's
// keys and values of such a sequence is offered to others. A draft ends before such a
// row: its token may be a wrong guess, and is computed again if it is not.
func (e *Engine) failNotFinite(plan *sched.Plan) {
	i := 0
	for _, row := range e.x.NotFinite() {
		for row >= plan.Batch.Start[i+1] {
			i++
		}
		entry := &plan.Entries[i]
		if draft := int(row-plan.Batch.Start[i+1]) + entry.Draft + entry.Cut; draft >= 0 {
			entry.CutDraft(draft)
			continue
		}
		if seq := entry.Seq; seq.Reason() == sched.Running {
			owner(seq).failure = ErrNotFinite
			e.sched.Fail(seq)
		}
	}
}

// begin notes who takes part in a step for the first time.
func (e *Engine) begin(plan *sched.Plan, start time.Time) {
	for _, seq := range plan.Admitted {
		s := owner(seq)
		if s.started {
			continue // it comes back after a preemption
		}
		s.started = true
		e.requests.begin()
		s.cached.Store(int64(seq.Cached()))
		e.settle(s)
		s.timings.Scheduled, s.stepped = start, start
		e.stats.admitted(s)
		s.begun.Store(true)
		s.advance(seq.Cached())
		if s.request.EchoLogprobs {
			s.write(&sample.Output{Token: s.request.Prompt[0]})
			s.publish()
		}
	}
}

func owner(seq *sched.Seq) *Stream { return seq.Owner.(*Stream) }

// deliver writes the outputs of a step, which began at start, computed until
// forward and sampled until now, to their streams and ends those that are
// finished.
func (e *Engine) deliver(plan *sched.Plan, start, forward, now time.Time) {
	items := e.job.items
	for i := range plan.Entries {
		entry := &plan.Entries[i]
		s := owner(entry.Seq)
		s.timings.Between += start.Sub(s.stepped)
		s.stepped = now
		s.timings.Steps++
		s.timings.Forward += forward.Sub(start)
		s.timings.Sampling += now.Sub(forward)
		s.advance(entry.Seq.Computed())
		taken := entry.Taken
		for ; len(items) > 0 && items[0].entry == i; items = items[1:] {
			if it := &items[0]; it.valid() && entry.Seq.Reason() != Failed {
				taken -= e.write(s, it, taken, now)
			}
		}
		if entry.Draft > 0 {
			s.timings.Drafted += entry.Draft
			s.timings.Accepted += entry.Accepted
			e.stats.drafted(entry)
		}
		if entry.Seq.Reason() == sched.Running {
			s.publish()
		}
	}
	for _, seq := range plan.Finished {
		e.finish(seq, now)
	}
}

// write writes one output of a sequence that is still wanted: the score of a token of
// its prompt, or of the tokens that it took and that are not written yet those that
// belong to this output. It returns how many these are. A stop token is not part of
// the text.
func (e *Engine) write(s *Stream, it *item, taken int, now time.Time) (written int) {
	if it.score {
		s.write(&it.out)
		return 0
	}
	if it.ahead == 0 { // the tokens of one step come together
		e.stats.token(s, now)
		s.timings.LastToken = now
	}
	if s.timings.FirstToken.IsZero() {
		s.timings.FirstToken = now
		s.prefill.Store(int64(s.timings.Prefill()))
	}
	if taken <= 0 {
		return 0
	}
	s.write(&it.out)
	written = min(taken, 1+len(it.forced))
	for _, t := range it.forced[:written-1] {
		s.write(&sample.Output{Token: t})
	}
	return written
}

// finish ends the stream of a sequence that the scheduler has ended.
func (e *Engine) finish(seq *sched.Seq, now time.Time) {
	s := owner(seq)
	completion := seq.Len() - seq.Prompt()
	if seq.StopToken() >= 0 {
		completion++
	}
	f := Finish{
		Reason:      seq.Reason(),
		StopToken:   seq.StopToken(),
		Err:         s.failure,
		Usage:       Usage{Prompt: seq.Prompt(), Cached: seq.Cached(), Completion: completion},
		Preemptions: seq.Preemptions(),
	}
	if s.pooled != nil && f.Reason == Length {
		if f.Embedding, f.Err = e.embed(s.pooled); f.Err != nil {
			f.Reason = Failed
		}
	}
	e.end(s, f, now)
}

// end tells a stream's reader that there is no more, and forgets the stream.
func (e *Engine) end(s *Stream, f Finish, now time.Time) {
	e.unsettle(s)
	s.timings.Finished = now
	f.Timings = s.timings
	s.finish = f
	e.views.past(s)
	s.published.Store(int64(s.written))
	e.stats.ended(s)
	left := e.requests.leave(s.started) // all numbers are right when a reader learns of the end
	s.ended.Store(true)
	if s.at >= 0 {
		last := len(e.streams) - 1
		e.streams[s.at] = e.streams[last]
		e.streams[s.at].at = s.at
		e.streams[last] = nil
		e.streams = e.streams[:last]
		s.at = -1
	}
	if s.constraint != nil {
		s.constraint.close()
		s.constraint = nil
	}
	e.drafts.takeBack(s)
	s.seq, s.request.Constraint = nil, nil
	if left == 0 {
		signal(e.emptied)
	}
	s.rouse()
}

// applyAborts ends the streams whose readers have gone. One that is part of the
// plan in flight ends with its Update.
func (e *Engine) applyAborts() {
	all := e.kill.Load()
	if !all && !e.aborts.Load() {
		return
	}
	e.aborts.Store(false)
	if all {
		e.collect()
		if !e.closed.Load() {
			e.kill.Store(false)
		}
	}
	now := time.Now()
	for i := len(e.streams) - 1; i >= 0; i-- {
		if s := e.streams[i]; all || s.aborted.Load() {
			e.abort(s, now)
		}
	}
}

func (e *Engine) abort(s *Stream, now time.Time) {
	seq := s.seq
	planned := e.plan != nil && inPlan(e.plan, seq)
	e.sched.Abort(seq)
	if !planned {
		e.finish(seq, now)
	}
}

func inPlan(plan *sched.Plan, seq *sched.Seq) bool {
	for i := range plan.Entries {
		if plan.Entries[i].Seq == seq {
			return true
		}
	}
	return false
}
