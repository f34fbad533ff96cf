package engine

import (
	"fmt"
	"sync/atomic"

	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// item is one row of logits to look at.
type item struct {
	entry  int // of the plan
	row    int // of the logits
	score  bool
	target int32 // the prompt's next token, if score
	void   bool  // the sequence ended meanwhile
	err    error
	out    sample.Output
}

// sampleJob is the sampling of one step, shared among the workers.
type sampleJob struct {
	e      *Engine
	plan   *sched.Plan
	logits []float32 // [rows, vocab]
	items  []item
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

// sample looks at all rows of logits and leaves the tokens in e.tokens. A
// sequence whose row is unusable fails alone.
func (e *Engine) sample(plan *sched.Plan, logits []float32) {
	j := &e.job
	j.list(plan)
	if len(j.items) == 0 {
		return
	}
	j.plan, j.logits = plan, logits
	j.next.Store(0)
	if e.run != nil && len(j.items) > 1 {
		e.run.Share(j)
	} else {
		j.Do(0, 1)
	}
	j.plan, j.logits = nil, nil
	for i := range j.items {
		it := &j.items[i]
		seq := plan.Entries[it.entry].Seq
		switch {
		case it.err != nil && seq.Reason() == sched.Running:
			owner(seq).failure = it.err
			e.sched.Fail(seq)
		case !it.score:
			e.tokens[it.entry] = it.out.Token
		}
	}
}

// list makes an item of every row of logits.
func (j *sampleJob) list(plan *sched.Plan) {
	j.items = j.items[:0]
	for i := range plan.Entries {
		entry := &plan.Entries[i]
		for k := range entry.Logits {
			n := len(j.items)
			j.items = j.items[:n+1]
			it := &j.items[n]
			it.entry, it.row, it.err = i, entry.Logit+k, nil
			it.void = entry.Seq.Reason() != sched.Running
			it.score = !entry.Sample || k < entry.Logits-1
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

// one samples or scores a row. A panic, as in a constraint, is the sequence's
// own.
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
	c := s.request.Constraint
	if c != nil {
		in.Allowed = c.Allowed()
	}
	it.err = with.Sample(in, &it.out)
	if it.err == nil && c != nil {
		it.err = c.Accept(it.out.Token)
	}
}
