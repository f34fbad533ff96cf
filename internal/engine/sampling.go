package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// item is one row of logits to look at.
type item struct {
	entry  int // of the plan
	row    int // of the logits
	score  bool
	target int32 // the prompt's next token, if score
	void   bool  // there is no output: the sequence ended meanwhile, or its constraint is not prepared
	err    error
	out    sample.Output
	forced []int32 // tokens that follow the one in out
}

// sampleJob is the sampling of one step, shared among the workers.
type sampleJob struct {
	e      *Engine
	plan   *sched.Plan
	logits []float32 // [rows, vocab]
	items  []item
	until  time.Time // constraints are waited for
	next   atomic.Int32
}

func (j *sampleJob) init(e *Engine, maxLogits int) {
	j.e = e
	j.items = make([]item, maxLogits)
	tops := make([]sample.Logprob, maxLogits*sample.MaxTop)
	for i := range j.items {
		j.items[i].out.Top = tops[i*sample.MaxTop : i*sample.MaxTop : (i+1)*sample.MaxTop]
	}
	j.items = j.items[:0]
}

// sample looks at all rows of logits and leaves in e.tokens what each sequence
// gets. A sequence whose row is unusable fails alone.
func (e *Engine) sample(plan *sched.Plan, logits []float32) {
	e.job.list(plan)
	e.runJob(plan, logits)
	items := e.job.items
	e.tokens, e.starts = e.tokens[:0], append(e.starts[:0], 0)
	for i := range plan.Entries {
		for ; len(items) > 0 && items[0].entry == i; items = items[1:] {
			seq := plan.Entries[i].Seq
			switch it := &items[0]; {
			case it.err != nil && seq.Reason() == sched.Running:
				owner(seq).failure = it.err
				e.sched.Fail(seq)
			case !it.score && !it.void && it.err == nil:
				e.tokens = append(e.tokens, it.out.Token)
				e.tokens = append(e.tokens, it.forced...)
			}
		}
		e.starts = append(e.starts, int32(len(e.tokens)))
	}
}

// runJob samples and scores what is listed.
func (e *Engine) runJob(plan *sched.Plan, logits []float32) {
	j := &e.job
	if len(j.items) == 0 {
		return
	}
	j.plan, j.logits, j.until = plan, logits, time.Now().Add(constraintWait)
	j.next.Store(0)
	if e.run != nil && len(j.items) > 1 {
		e.run.Share(j)
	} else {
		j.Do(0, 1)
	}
	j.plan, j.logits = nil, nil
}

// list makes an item of every row of logits.
func (j *sampleJob) list(plan *sched.Plan) {
	j.items = j.items[:0]
	for i := range plan.Entries {
		entry := &plan.Entries[i]
		for k := range entry.Logits() {
			n := len(j.items)
			j.items = j.items[:n+1]
			it := &j.items[n]
			it.entry, it.row, it.err, it.forced = i, entry.Logit+k, nil, nil
			it.void = entry.Seq.Reason() != sched.Running
			it.score = k < entry.Scored
			if it.score {
				pos := plan.Batch.Positions[plan.Batch.Logits[it.row]]
				it.target = entry.Seq.Tokens()[pos+1]
			}
		}
	}
}

// Do takes items until none is left; Runner calls it on every worker.
func (j *sampleJob) Do(worker, _ int) {
	for {
		i := int(j.next.Add(1)) - 1
		if i >= len(j.items) {
			return
		}
		if it := &j.items[i]; !it.void {
			j.one(it, j.e.workers[worker])
		}
	}
}

// one samples or scores a row. A panic, such as one in a constraint, fails this
// sequence only.
func (j *sampleJob) one(it *item, with *sample.Sampler) {
	defer func() {
		if v := recover(); v != nil {
			it.err = fmt.Errorf("%w: %v", ErrStep, v)
		}
	}()
	vocab := j.e.x.Vocab()
	x := j.logits[it.row*vocab : (it.row+1)*vocab]
	seq := j.plan.Entries[it.entry].Seq
	s := owner(seq)
	if it.score {
		it.err = with.Score(x, it.target, s.tops(), &it.out)
		return
	}
	in := sample.Input{
		Logits:  x,
		Params:  &s.request.Params,
		Rand:    &s.rnd,
		History: seq.Tokens(),
		Prompt:  seq.Prompt(),
	}
	if s.constraint == nil {
		it.err = with.Sample(in, &it.out)
		return
	}
	it.constrained(s, in, with, j.until)
}

// constrained samples a token that the stream's constraint allows, and has the
// constraint prepared for the next one.
func (it *item) constrained(s *Stream, in sample.Input, with *sample.Sampler, until time.Time) {
	c := s.constraint
	ready, err := c.await(until)
	if it.void, it.err = !ready, err; it.void || err != nil {
		return
	}
	in.Allowed = c.Allowed()
	if it.err = with.Sample(in, &it.out); it.err != nil {
		return
	}
	if it.forced, it.err = c.Accept(it.out.Token); it.err != nil {
		return
	}
	if left := s.seq.Prompt() + s.seq.Limit() - s.seq.Len() - 1 - len(it.forced); left > 0 {
		c.ask(left)
	}
}
